//! The roles of this program when a part starts it again.

use crate::evidence::{failure, success_before};
use crate::{forks, writers};
use anyhow::{Context, Result, bail};
use healthboard::{Builder, ErrorDetail, Handle, Indicator, Policy, Service};
use healthboard_endpoint::Start;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The name of the tested service.
pub(crate) const SERVICE: &str = "tortured";

/// Threads of a writer. Each has one operation in flight at a time.
pub(crate) const THREADS: u32 = 3;

/// A way to make a process.
#[derive(Clone, Copy)]
pub(crate) enum Fork {
    /// `fork` while other threads record.
    Threads,
    /// `vfork` and `exec`, as `posix_spawn` does it.
    Spawn,
    /// The system call, without any handler.
    Clone,
}

impl Fork {
    pub(crate) const ALL: [Fork; 3] = [Fork::Threads, Fork::Spawn, Fork::Clone];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Fork::Threads => "fork with threads",
            Fork::Spawn => "vfork and exec",
            Fork::Clone => "raw clone",
        }
    }
}

/// Starts this program in a role.
pub(crate) fn start(role: &str, words: &[&str]) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("role").arg(role).args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().with_context(|| format!("cannot start the role {role}"))
}

pub(crate) fn play(role: &str, words: &[&str]) -> Result<()> {
    match (role, words) {
        ("parent", [runtime, times]) => writers::parent(Path::new(runtime), times.parse()?),
        ("serves", [runtime, uri]) => serve(&started(runtime, uri)?),
        ("forks", [runtime, uri, kind, times]) => {
            let kind = Fork::ALL.into_iter().find(|fork| fork.name() == *kind).context("no such fork")?;
            forks::fork_in_a_loop(Path::new(runtime), started(runtime, uri)?, kind, times.parse()?)
        }
        _ => bail!("no such role: {role} {words:?}"),
    }
}

/// A service that keeps the texts of failures. A death counts for one second.
pub(crate) fn builder(runtime: impl AsRef<Path>) -> Builder {
    let builder = Service::builder(SERVICE).runtime_dir(runtime.as_ref());
    builder.error_detail(ErrorDetail::Message).option("ttl", "1")
}

fn started(runtime: &str, uri: &str) -> Result<Handle> {
    Ok(builder(runtime).option("uri", uri).start()?)
}

fn serve(health: &Handle) -> Result<()> {
    let database = health.indicator("database", Policy::DEFAULT);
    loop {
        database.record_ok();
        health.tick();
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Records for as long as the process lives. `done` gets the number of the newest failure that is certainly on the
/// board.
pub(crate) fn write(health: &Handle, done: &'static AtomicU64) -> ! {
    let contended = health.indicator("contended", Policy::DEFAULT);
    let in_flight = health.indicator("in_flight", Policy::DEFAULT);
    for thread in 0..THREADS {
        std::thread::spawn(move || {
            for number in 1.. {
                let operation = in_flight.begin();
                match thread {
                    0 => contended.record_ok(),
                    _ => contended.record_fail(&failure(number)),
                }
                operation.ok();
            }
        });
    }
    let counted: Indicator = health.indicator("counted", Policy::DEFAULT);
    for number in 1.. {
        if success_before(number) {
            counted.record_ok();
        }
        counted.record_fail(&failure(number));
        // Relaxed: the reader has waited for the end of this process.
        done.store(number, Relaxed);
    }
    unreachable!("there is no end of numbers")
}
