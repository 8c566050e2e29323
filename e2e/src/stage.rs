//! One run: a private folder with a nova.conf, and its daemons.

mod stagger;
mod waiting;

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{env, thread};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::setup::Setup;
use crate::watch::Watched;

/// The service with two workers.
pub const CONDUCTOR: &str = "nova-conductor";
/// The service with one worker.
pub const SCHEDULER: &str = "nova-scheduler";

/// One run of Nova in a private folder, which is the working directory of every daemon and command.
///
/// Dropping it stops the daemons and removes the folder. After a panic the folder is kept, for its logs.
#[derive(Debug)]
pub struct Stage {
    daemons: Vec<Daemon>,
    folder: TempDir,
    path: OsString,
    tick: fn(Duration) -> Result<()>,
}

/// The output of a command.
#[derive(Debug)]
pub struct Output {
    /// Its standard output and standard error.
    pub text: String,
    /// Its exit status; `None` if a signal ended it.
    pub code: Option<i32>,
}

impl Stage {
    /// Creates the folder, with databases and a nova.conf without `[healthcheck]`.
    ///
    /// # Errors
    ///
    /// If the folder cannot be created or filled.
    pub fn new(setup: &Setup) -> Result<Self> {
        let stage = Self::empty(setup)?;
        setup.populate(stage.folder())?;
        Ok(stage)
    }

    /// Creates the folder and leaves it empty.
    pub(crate) fn empty(setup: &Setup) -> Result<Self> {
        let folder = private_folder()?;
        Ok(Self { daemons: Vec::new(), folder, path: search_path(setup)?, tick: |_| Ok(()) })
    }

    /// Calls `tick` with the time waited so far, many times a second, whenever this stage waits. An error ends the wait.
    pub fn on_wait(&mut self, tick: fn(Duration) -> Result<()>) {
        self.tick = tick;
    }

    /// The folder, which is also the working directory of everything that is started.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The endpoint of a service after [`Stage::listen`].
    pub fn uri(&self, binary: &str) -> String {
        format!("unix://{}/{binary}.sock", self.folder().display())
    }

    /// Configures an endpoint for every service, on a unix socket of its own.
    ///
    /// # Errors
    ///
    /// If nova.conf cannot be written.
    pub fn listen(&self) -> Result<()> {
        self.configure(&format!("uri = {}", self.uri("{binary}")))
    }

    /// Adds `lines` to nova.conf as its section `[healthcheck]`.
    ///
    /// # Errors
    ///
    /// If nova.conf cannot be written.
    pub fn configure(&self, lines: &str) -> Result<()> {
        let mut file = OpenOptions::new().append(true).open(self.folder().join("nova.conf"))?;
        writeln!(file, "\n[healthcheck]\n{lines}").context("cannot write nova.conf")
    }

    /// Starts a service under `healthboard-run`, with the additional variables in `environment`.
    ///
    /// # Errors
    ///
    /// If it cannot be started. [`Stage::until`] notices if it ends later.
    pub fn start(&mut self, binary: &str, environment: &[(&str, &str)]) -> Result<&Daemon> {
        self.spawn(binary, &["healthboard-run", binary], environment)
    }

    /// Starts a service without `healthboard-run`.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start_bare(&mut self, binary: &str) -> Result<&Daemon> {
        self.spawn(binary, &[binary], &[])
    }

    fn spawn(&mut self, binary: &str, words: &[&str], environment: &[(&str, &str)]) -> Result<&Daemon> {
        let mut command = self.command(words[0]);
        command.args(&words[1..]).args(["--config-file", "nova.conf"]).envs(environment.iter().copied());
        self.spawn_command(binary, command)
    }

    /// Starts the agent of this host by a command `healthboard`. It answers at `uri`.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start_agent(&mut self, healthboard: &str, uri: &str) -> Result<&Daemon> {
        let mut command = self.command(healthboard);
        command.args(["agent", "--listen", uri, "--boards", "run"]);
        self.spawn_command("healthboard-agent", command)
    }

    /// Starts `command` as the service `binary`.
    pub(crate) fn spawn_command(&mut self, binary: &str, mut command: Command) -> Result<&Daemon> {
        // What it wrote before a restart stays.
        let path = self.folder().join(format!("{binary}.out"));
        let output = OpenOptions::new().create(true).append(true).open(path)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        self.daemons.push(Daemon::spawn(binary, &mut command)?);
        self.daemons.last().context("nothing was started")
    }

    /// The service of this name.
    ///
    /// # Errors
    ///
    /// If it was not started here.
    pub fn daemon(&self, binary: &str) -> Result<&Daemon> {
        self.daemons
            .iter()
            .find(|daemon| daemon.binary() == binary)
            .with_context(|| format!("{binary} was not started"))
    }

    /// What a watch needs to know of a service. `oslo` is the address of its `/healthcheck`, if it has one.
    pub(crate) fn watched(&self, service: &str, oslo: Option<String>) -> Watched {
        // A service that does not run has no process group. No group has this number.
        let group = self.daemon(service).map_or(u32::MAX, Daemon::pid);
        Watched { service: service.to_owned(), uri: self.uri(service), group, oslo }
    }

    /// The names of all services that were started.
    pub fn services(&self) -> Vec<String> {
        self.daemons.iter().map(|daemon| daemon.binary().to_owned()).collect()
    }

    /// Stops a service and waits until all its processes have ended.
    pub fn stop(&mut self, binary: &str) {
        self.daemons.retain(|daemon| daemon.binary() != binary);
    }

    /// Runs one line in a shell, in the folder of the stage, for twenty seconds at most.
    ///
    /// # Errors
    ///
    /// If there is no shell. A line that fails is not an error.
    pub fn shell(&self, line: &str) -> Result<Output> {
        let output = self
            .command("timeout")
            .args(["20", "sh", "-c", line])
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run `{line}`"))?;
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok(Output { text, code: output.status.code() })
    }

    /// Moves all databases away. From now on every use fails at once.
    ///
    /// # Errors
    ///
    /// If they are away already.
    pub fn take_database_away(&self) -> Result<()> {
        self.must("mv db db.away")
    }

    /// Moves the databases back.
    ///
    /// # Errors
    ///
    /// If they are not away.
    pub fn bring_database_back(&self) -> Result<()> {
        self.must("mv db.away db")
    }

    fn must(&self, line: &str) -> Result<()> {
        let output = self.shell(line)?;
        ensure!(output.code == Some(0), "`{line}` failed: {}", output.text.trim());
        Ok(())
    }

    /// Everything that a service has written: its log, then its standard output and standard error.
    pub fn log(&self, binary: &str) -> String {
        ["log", "out"]
            .map(|kind| fs::read(self.folder().join(format!("{binary}.{kind}"))).unwrap_or_default())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .concat()
    }

    /// Keeps the folder when this value is dropped, for its logs.
    pub fn keep_folder(&mut self) {
        self.folder.disable_cleanup(true);
    }

    /// Lets everything run after this value is dropped, and keeps the folder.
    ///
    /// # Errors
    ///
    /// If a guard has ended.
    pub fn release(&mut self) -> Result<()> {
        self.keep_folder();
        self.daemons.iter_mut().try_for_each(Daemon::release)
    }

    /// A command in the folder, with the setup's programs in its path and without the caller's settings.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in env::vars_os() {
            let ours = name.to_str().is_some_and(|name| name.starts_with("HEALTHBOARD_"));
            if ours || name == "NOTIFY_SOCKET" {
                command.env_remove(name);
            }
        }
        command
            .current_dir(self.folder())
            .env("PATH", &self.path)
            .env("HEALTHBOARD_RUNTIME_DIR", self.folder().join("run"));
        command
    }

    /// Stops all services in parallel, and waits until they have ended.
    pub(crate) fn clear(&mut self) {
        self.daemons.iter_mut().for_each(Daemon::begin_stop);
        self.daemons.clear();
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if thread::panicking() {
            self.keep_folder();
        }
        self.clear();
    }
}

/// A new folder that is removed when the value is dropped.
pub(crate) fn private_folder() -> Result<TempDir> {
    // Not $TMPDIR: the path of a unix socket has 107 bytes at most.
    tempfile::Builder::new()
        .prefix("healthboard.")
        .tempdir_in("/tmp")
        .context("cannot create a private folder in /tmp")
}

/// The programs of the setup first, then the caller's.
pub(crate) fn search_path(setup: &Setup) -> Result<OsString> {
    let mut path = setup.search_path()?;
    path.push(":");
    path.push(env::var_os("PATH").unwrap_or_default());
    Ok(path)
}
