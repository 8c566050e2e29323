//! The service in place of the manifest's container.

use std::fs;
use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::Pace;
use super::manifest::Container;
use super::probe::Target;
use crate::daemon::Daemon;
use crate::servers::free_port;

/// A service with an embedded database. It logs into a pipe of ours.
#[derive(Clone)]
pub(super) struct Service {
    program: PathBuf,
    folder: PathBuf,
    pub(super) target: Target,
    pace: Pace,
    slow: Duration,
    log: Arc<Mutex<Option<(PipeReader, PipeWriter)>>>,
}

impl Service {
    pub(super) fn new(container: &Container, programs: &Path, folder: &Path, pace: Pace) -> Result<Self> {
        fs::create_dir(folder.join("data"))?;
        let uri = if container.liveness.http_get.is_some() {
            format!("tcp://127.0.0.1:{}", free_port()?)
        } else {
            format!("unix://{}/health.sock", folder.display())
        };
        let target = Target { uri, command: programs.join("healthboard") };
        let slow = container.too_long() / pace.divisor();
        let (program, folder) = (programs.join("sqlite-service"), folder.to_owned());
        Ok(Self { program, folder, target, pace, slow, log: Arc::default() })
    }

    /// Starts it. The first start takes as long as it has been told to.
    pub(super) fn start(&self) -> Result<Daemon> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let slow = if log.is_none() { self.slow } else { Duration::ZERO };
        let (reader, writer) = pipe()?;
        let mut command = Command::new("sh");
        command
            .args(["-c", r#"sleep "$1"; shift; exec "$@""#, "sh", &slow.as_secs_f64().to_string()])
            .arg(&self.program)
            .args(["--uri", &self.target.uri, "data/visits.db"])
            .env("HEALTHBOARD_RUNTIME_DIR", self.folder.join("run"))
            .envs(self.pace.environment().iter().copied())
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(writer.try_clone()?);
        let daemon = Daemon::spawn("sqlite-service", &mut command)?;
        *log = Some((reader, writer));
        Ok(daemon)
    }

    pub(super) fn take_database_away(&self) -> Result<()> {
        fs::rename(self.folder.join("data"), self.folder.join("away")).context("the database is away")
    }

    pub(super) fn bring_database_back(&self) -> Result<()> {
        fs::rename(self.folder.join("away"), self.folder.join("data")).context("the database is not away")
    }

    /// Nobody reads its log any more: its main thread waits for ever in the next line that it writes.
    pub(super) fn hang(&self) -> Result<()> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, writer) = log.as_ref().context("it was not started")?;
        let mut writer = writer.try_clone()?;
        // The thread waits with it, and ends when the next start closes the pipe.
        thread::spawn(move || writer.write_all(&vec![b'\n'; 1 << 20]));
        Ok(())
    }
}
