//! Other processes: started, looked at, and certainly ended.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process that ends with this value, and with this process.
pub struct Running(Child);

impl Running {
    pub fn start(command: &mut Command) -> Result<Running> {
        // SAFETY: prctl is a system call, and neither allocates nor locks.
        unsafe {
            command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            });
        }
        let started = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        started.map(Running).with_context(|| format!("cannot start {}", command.get_program().display()))
    }

    /// Its pid.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// CPU time of all its threads so far.
    pub fn cpu(&self) -> Result<Duration> {
        // What it still does after its last answer is part of it.
        std::thread::sleep(Duration::from_millis(2));
        let mut nanoseconds = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let line = fs::read_to_string(thread?.path().join("schedstat"))?;
            let on_cpu = line.split(' ').next().context("an empty schedstat")?;
            nanoseconds += on_cpu.parse::<u64>()?;
        }
        ensure!(nanoseconds > 0, "this kernel does not account for CPU time");
        Ok(Duration::from_nanos(nanoseconds))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until this is so.
pub fn until(what: &str, mut happened: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !happened() {
        ensure!(start.elapsed() < Duration::from_secs(10), "still not so after 10 s: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// One process of a service with eight indicators; without an endpoint's URI it only keeps its board.
pub fn service(place: &Path, uri: Option<&str>) -> Result<Running> {
    Running::start(Command::new(built("service")).arg(place).args(uri))
}

/// A program of this build.
pub fn built(name: &str) -> PathBuf {
    std::env::current_exe().unwrap_or_default().with_file_name(name)
}

/// How many processes of the service are there.
pub fn boards(place: &Path) -> usize {
    let entries = fs::read_dir(place.join("bench")).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().ends_with(".board")).count()
}
