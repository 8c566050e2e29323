//! The setup, which lasts from run to run: a virtual environment with Nova and our package, databases to copy, the built command.
//!
//! Each step leaves a stamp, the hash of its sources, and is repeated when these have changed.

mod deploy;
mod packaging;
mod releases;
mod servers;
mod services;
mod static_programs;
mod versions;

use std::collections::hash_map::DefaultHasher;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

pub use self::static_programs::without_paths;
use crate::step::Step;
use crate::system;

const NOVA_CONF: &str = include_str!("../nova.conf");
const NOVA: [&str; 2] = [include_str!("../requirements.txt"), include_str!("../constraints.txt")];
const TOOLS: &str = include_str!("../requirements-tools.txt");

/// The invocations of nova-manage that create the databases.
const DATABASES: [&[&str]; 4] = [
    &["api_db", "sync"],
    &["cell_v2", "map_cell0", "--database_connection", "sqlite:///db/cell0.sqlite"],
    &["db", "sync"],
    &["cell_v2", "create_cell", "--name", "cell1"],
];

/// The sources of our Python package, in the workspace.
const SOURCES: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "crates/healthboard",
    "crates/healthboard-macros",
    "crates/healthboard-endpoint",
    "python",
];

/// What lasts from run to run, in `target/healthboard`. Remove that folder to start over.
#[derive(Debug)]
pub struct Setup {
    workspace: PathBuf,
    target: PathBuf,
    home: PathBuf,
}

impl Setup {
    /// Uses the result of an earlier [`Setup::prepare`].
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn open() -> Result<Self> {
        let setup = Self::locate()?;
        ensure!(setup.stamp("databases").exists(), "nothing is set up\nnext: cargo xtask test e2e");
        Ok(setup)
    }

    /// Sets up whatever a stage needs and is missing or out of date, and shows its progress.
    ///
    /// # Errors
    ///
    /// If a step fails; the error names its log.
    pub fn prepare() -> Result<Self> {
        let setup = Self::locate()?;
        let _alone = setup.lock()?;
        let environment = setup.environment()?;
        let nova = setup.step("nova", &(environment, NOVA), |step| {
            step.run(setup.pip().args(["-r", "e2e/requirements.txt", "-c", "e2e/constraints.txt"]))
        })?;
        setup.package(environment)?;
        setup.step("databases", &(nova, NOVA_CONF), |step| setup.make_databases(step))?;
        setup.command()?;
        Ok(setup)
    }

    /// Sets up only the virtual environment with the tools that check the Python package.
    ///
    /// # Errors
    ///
    /// If a step fails; the error names its log.
    pub fn prepare_tools() -> Result<Self> {
        let setup = Self::locate()?;
        let _alone = setup.lock()?;
        let environment = setup.environment()?;
        setup.step("tools", &(environment, TOOLS), |step| {
            step.run(setup.pip().args(["-r", "e2e/requirements-tools.txt"]))
        })?;
        Ok(setup)
    }

    /// The root of the workspace.
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// The text of a file in the workspace.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub fn workspace_file(path: &str) -> Result<String> {
        let path = Self::locate()?.workspace.join(path);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// A program of the virtual environment.
    pub fn program(&self, name: &str) -> PathBuf {
        self.venv().join("bin").join(name)
    }

    /// The virtual environment.
    pub(crate) fn venv(&self) -> PathBuf {
        self.home().join("venv")
    }

    /// The folder for logs.
    pub fn logs(&self) -> PathBuf {
        self.home().join("log")
    }

    /// What a stage puts in front of `PATH`: the programs of the virtual environment, and what we have built.
    ///
    /// # Errors
    ///
    /// When a colon is in the path of the workspace.
    pub fn search_path(&self) -> Result<OsString> {
        let folders = [self.venv().join("bin"), self.target.join("debug")];
        env::join_paths(folders).context("the path of the workspace contains a colon")
    }

    /// Puts databases and nova.conf into an empty folder.
    pub(crate) fn populate(&self, folder: &Path) -> Result<()> {
        fs::create_dir(folder.join("db"))?;
        for entry in fs::read_dir(self.template().join("db"))? {
            let entry = entry?;
            fs::copy(entry.path(), folder.join("db").join(entry.file_name()))?;
        }
        fs::write(folder.join("nova.conf"), NOVA_CONF).context("cannot write nova.conf")
    }

    fn locate() -> Result<Self> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
        let target = workspace.join(target);
        let setup = Self { home: target.join("healthboard"), target, workspace };
        fs::create_dir_all(setup.logs()).context("cannot create the folder of the setup")?;
        Ok(setup)
    }

    /// Waits until no other setup of this workspace runs.
    fn lock(&self) -> Result<File> {
        let file = File::create(self.home().join("lock"))?;
        file.lock().context("cannot lock the setup")?;
        Ok(file)
    }

    fn environment(&self) -> Result<u64> {
        system::install_missing(&system::NEEDS)?;
        let python = Command::new("python3")
            .args(["-c", "import sys; print(sys.version, sys.base_prefix)"])
            .output()?;
        self.step("environment", &python.stdout, |step| {
            let mut create = Command::new("python3");
            step.run(create.args(["-m", "venv", "--clear"]).arg(self.venv()))
        })
    }

    fn package(&self, environment: u64) -> Result<u64> {
        let mut sources = DefaultHasher::new();
        for source in SOURCES {
            hash_tree(&self.workspace.join(source), &mut sources)?;
        }
        self.step("package", &(environment, sources.finish()), |step| step.run(self.pip().arg("./python")))
    }

    fn make_databases(&self, step: &mut Step) -> Result<()> {
        let template = self.template();
        if template.exists() {
            fs::remove_dir_all(&template)?;
        }
        fs::create_dir_all(template.join("db"))?;
        fs::write(template.join("nova.conf"), NOVA_CONF)?;
        DATABASES.iter().try_for_each(|arguments| {
            let mut manage = Command::new(self.program("nova-manage"));
            step.run(manage.args(["--config-file", "nova.conf"]).args(*arguments).current_dir(&template))
        })
    }

    /// Builds the command `healthboard`, if it is out of date.
    fn command(&self) -> Result<()> {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "healthboard-cli"])
            .current_dir(&self.workspace)
            .status()?;
        ensure!(
            status.success(),
            "cannot build the command `healthboard`\nnext: cargo build -p healthboard-cli"
        );
        Ok(())
    }

    fn pip(&self) -> Command {
        let mut pip = Command::new(self.program("python"));
        pip.args(["-m", "pip", "install", "--disable-pip-version-check"]).current_dir(&self.workspace);
        pip
    }

    /// Does a step, unless its stamp says that it was done with the same `sources`. Returns their hash.
    fn step(
        &self,
        name: &str,
        sources: &impl Hash,
        work: impl FnOnce(&mut Step) -> Result<()>,
    ) -> Result<u64> {
        let mut hasher = DefaultHasher::new();
        sources.hash(&mut hasher);
        let wanted = hasher.finish();
        let stamp = self.stamp(name);
        if fs::read_to_string(&stamp).is_ok_and(|found| found == wanted.to_string()) {
            return Ok(wanted);
        }
        // An interrupted step must be repeated.
        let _ = fs::remove_file(&stamp);
        let mut step = Step::begin(&format!("setup {name}"), &self.logs())?;
        work(&mut step)?;
        step.end();
        fs::write(&stamp, wanted.to_string())?;
        Ok(wanted)
    }

    fn home(&self) -> &Path {
        &self.home
    }

    fn stamp(&self, name: &str) -> PathBuf {
        self.home().join(format!("{name}.stamp"))
    }

    fn template(&self) -> PathBuf {
        self.home().join("template")
    }
}

/// Hashes the names and contents of all files below `path`, in a stable order, except tests and the output of builds.
fn hash_tree(path: &Path, hasher: &mut impl Hasher) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if name.starts_with('.') || ["target", "tests", "__pycache__"].contains(&&*name) || name.ends_with(".so")
    {
        return Ok(());
    }
    if path.is_dir() {
        let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        entries.sort();
        return entries.iter().try_for_each(|entry| hash_tree(entry, hasher));
    }
    path.hash(hasher);
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))?.hash(hasher);
    Ok(())
}
