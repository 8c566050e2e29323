//! One server: a command that can be started repeatedly.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::daemon::Daemon;
use crate::processes::Signal;

/// How often a server is probed while it starts.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long a server may take to start. `RabbitMQ` takes 16 s after a `kill -9` on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// One server: a command that can be started repeatedly, and a probe that tells whether it answers.
///
/// It is stopped when it is dropped, like a [`Daemon`].
pub struct Server {
    name: &'static str,
    command: Command,
    log: PathBuf,
    answers: Box<dyn Fn() -> bool + Send>,
    daemon: Option<Daemon>,
}

impl Server {
    /// A server that has not been started. Its output goes to `folder/NAME.out`.
    pub(crate) fn new(
        name: &'static str,
        mut command: Command,
        folder: &Path,
        answers: impl Fn() -> bool + Send + 'static,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}.out"));
        let output = OpenOptions::new().create(true).append(true).open(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        Ok(Self { name, command, log, answers: Box::new(answers), daemon: None })
    }

    /// The pid of its first process; `None` while it is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Daemon::pid)
    }

    /// What it has written.
    pub(crate) fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Starts it and returns when it answers.
    ///
    /// # Errors
    ///
    /// If it runs already, ends, or does not answer; the error names its log.
    pub fn start(&mut self) -> Result<()> {
        self.begin_start()?;
        self.until_it_answers()
    }

    /// Starts it without waiting, so that several servers can start in parallel.
    pub(crate) fn begin_start(&mut self) -> Result<()> {
        if self.daemon.is_some() {
            bail!("{} runs already", self.name);
        }
        self.daemon = Some(Daemon::spawn(self.name, &mut self.command)?);
        Ok(())
    }

    /// Returns when it answers.
    pub(crate) fn until_it_answers(&mut self) -> Result<()> {
        let start = Instant::now();
        while !(self.answers)() {
            let daemon = self.daemon.as_mut().with_context(|| format!("{} is stopped", self.name))?;
            if let Some(status) = daemon.try_wait()? {
                self.daemon = None;
                bail!("{} has ended ({status})\nnext: less {}", self.name, self.log.display());
            }
            if start.elapsed() > START_TIMEOUT {
                let (name, log) = (self.name, self.log.display());
                bail!("{name} has not answered for {} s\nnext: less {log}", START_TIMEOUT.as_secs());
            }
            sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    /// Stops it, and returns when it has ended.
    pub fn stop(&mut self) {
        self.daemon = None;
    }

    /// Kills it with all its processes, as `kill -9` does.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.stop();
        Ok(())
    }

    /// Freezes all its processes with SIGSTOP. Its connections stay open.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn freeze(&mut self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Ends [`Server::freeze`], and returns when the server answers.
    ///
    /// # Errors
    ///
    /// If it does not run or does not answer.
    pub fn thaw(&mut self) -> Result<()> {
        self.signal(Signal::CONT)?;
        self.until_it_answers()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let daemon = self.daemon.as_ref().with_context(|| format!("{} does not run", self.name))?;
        daemon.signal(signal)
    }

    /// Starts stopping it without waiting.
    pub(crate) fn begin_stop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.begin_stop();
        }
    }
}
