//! Other versions of healthboard: this one with another layout of the board, and with another way to hand over sockets.

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{SOURCES, Setup, hash_tree};

/// The line that has the version of the layout.
const LAYOUT: (&str, &str) = ("crates/healthboard/src/board/layout.rs", "pub(crate) const LAYOUT: u64 = ");

/// The layout of the other version.
const OTHER: u64 = 99;

/// The line that has the version of the handover, and the one that replaces it.
const HANDOVER: (&str, &str, &str) = (
    "crates/healthboard-endpoint/src/handover.rs",
    "const GREETING: ",
    "const GREETING: &[u8] = b\"healthboard endpoint 99\";",
);

/// The members of its workspace.
const MEMBERS: (&str, &str) = ("members = [", r#"members = ["crates/*", "python"]"#);

impl Setup {
    /// The folder with the Python package of this version alone, for `PYTHONPATH`.
    pub fn this_package(&self) -> PathBuf {
        self.versions().join("this")
    }

    /// The same of the other version.
    pub fn other_package(&self) -> PathBuf {
        self.versions().join("other")
    }

    /// The same of a version that differs only in the handover.
    pub fn package_with_other_handover(&self) -> PathBuf {
        self.versions().join("handover")
    }

    /// The command `healthboard` of the other version.
    pub fn other_command(&self) -> PathBuf {
        self.versions().join("build/debug/healthboard")
    }

    pub(super) fn prepare_versions(&self) -> Result<()> {
        let mut sources = DefaultHasher::new();
        for source in SOURCES.iter().chain(&["crates/healthboard-cli"]) {
            hash_tree(&self.workspace.join(source), &mut sources)?;
        }
        let sources = sources.finish();
        self.step("versions", &sources, |step| {
            let source = self.versions().join("source");
            for old in
                [&source, &self.this_package(), &self.other_package(), &self.package_with_other_handover()]
            {
                if old.exists() {
                    fs::remove_dir_all(old)?;
                }
            }
            fs::create_dir_all(self.this_package())?;
            let installed =
                format!("cp -r lib/python3.*/site-packages/healthboard* {}", self.this_package().display());
            step.run(Command::new("sh").args(["-c", &installed]).current_dir(self.venv()))?;
            fs::create_dir_all(&source)?;
            let mut copy = Command::new("cp");
            copy.args([
                "--recursive",
                "--parents",
                "Cargo.toml",
                "Cargo.lock",
                "LICENSE",
                "crates",
                "python",
            ]);
            step.run(copy.arg("--target-directory").arg(&source).current_dir(&self.workspace))?;
            replace(&source.join("Cargo.toml"), MEMBERS.0, MEMBERS.1)?;
            let build = self.versions().join("build");
            let mut install = |package: PathBuf| {
                let mut pip = self.pip();
                pip.args(["--no-deps", "--target"]).arg(package).arg(source.join("python"));
                step.run(pip.env("CARGO_TARGET_DIR", &build).env("MATURIN_PEP517_ARGS", "--profile dev"))
            };
            let (file, begin, other) = HANDOVER;
            let this = replace(&source.join(file), begin, other)?;
            install(self.package_with_other_handover())?;
            replace(&source.join(file), begin, &this)?;
            replace(&source.join(LAYOUT.0), LAYOUT.1, &format!("{}{OTHER};", LAYOUT.1))?;
            install(self.other_package())?;
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--package", "healthboard-cli"]).current_dir(&source);
            step.run(cargo.env("CARGO_TARGET_DIR", &build))
        })?;
        Ok(())
    }

    fn versions(&self) -> PathBuf {
        self.home().join("versions")
    }
}

/// Replaces the line of a file that begins so, and returns it.
fn replace(file: &Path, begin: &str, by: &str) -> Result<String> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let old = text.lines().find(|line| line.starts_with(begin));
    let old = old.with_context(|| format!("{} has no line `{begin}…`", file.display()))?;
    ensure!(old != by, "{} has `{by}` already", file.display());
    fs::write(file, text.replace(old, by)).context("cannot write a file of the other version")?;
    Ok(old.to_owned())
}
