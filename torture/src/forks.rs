//! Forks in a loop: every child has its own board at once, none hangs, and the endpoints stay with the parent.

use crate::evidence::failure;
use crate::listeners::Endpoints;
use crate::probes::{Probes, until};
use crate::roles::{self, Fork, SERVICE};
use anyhow::{Context, Result, bail, ensure};
use healthboard::{Directory, Handle, Indicator, Policy};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// A child that lives longer hangs.
const MAX_LIFE: Duration = Duration::from_secs(60);

/// The file that the parent creates when it is done.
const DONE: &str = "done";

/// Threads that record while their process forks.
const RECORDING: usize = 3;

/// Makes a process fork this often; returns the result.
pub(crate) fn run(kind: Fork, times: u64) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let endpoints = Endpoints::new(folder.path())?;
    let runtime = folder.path().join("run");
    let words =
        [runtime.to_str().context("a path that is text")?, &endpoints.uri(), kind.name(), &times.to_string()];
    let mut parent = roles::start("forks", &words)?;
    let pid = parent.id();
    let begin = Instant::now();
    until("an endpoint", || Ok(UnixStream::connect(&endpoints.socket).ok()))?;
    let listeners = endpoints.listeners()?;

    let probes = Probes::default();
    let result = probes.during(&endpoints, || {
        let done = runtime.join(DONE);
        while !done.exists() {
            let ended = parent.try_wait()?;
            ensure!(ended.is_none(), "the parent ended early, with {ended:?}");
            let serving = probes.results()?.serving;
            ensure!(serving.is_none_or(|(serving, _)| serving == pid), "another process serves: {serving:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
        let found = endpoints.listeners()?;
        ensure!(found == listeners, "another socket listens: {found:?}, and it was {listeners:?}");
        Ok(())
    });
    if result.is_err() {
        let _ = parent.kill();
    }
    // It waits for the end of its input.
    let status = parent.wait()?;
    result?;
    ensure!(status.success(), "the parent ended with {status}");
    let results = probes.results()?;
    let alive: Vec<_> =
        Directory::new(runtime.join(SERVICE)).read()?.into_iter().filter(|p| p.life.is_alive()).collect();
    ensure!(alive.is_empty(), "still alive: {alive:?}");
    ensure!(results.cut == 0, "{} connections were cut", results.cut);
    let each = begin.elapsed() / u32::try_from(times).unwrap_or(1);
    Ok(format!(
        "{} answers, 0 refused, 0 cut, one listener each; {}; {each:.1?} each",
        results.answers, results.longest_gap
    ))
}

/// The role: forks this often, while other threads record, except for raw clones.
pub(crate) fn fork_in_a_loop(runtime: &Path, health: Handle, kind: Fork, times: u64) -> Result<()> {
    let own = health.indicator("own", Policy::DEFAULT);
    // A raw clone runs no fork handlers, so no other thread may hold a lock of the C library.
    if !matches!(kind, Fork::Clone) {
        for thread in 0..RECORDING {
            std::thread::spawn(move || record(&health, thread));
        }
    }
    for number in 1..=times {
        own.record_fail(&failure(number));
        match kind {
            Fork::Spawn => ensure!(Command::new("/bin/true").status()?.success(), "/bin/true failed"),
            Fork::Threads | Fork::Clone => fork_once(&health, own, kind, number)?,
        }
        ensure!(
            u64::from(own.failures()) == number,
            "the parent has recorded {number} failures, not {}",
            own.failures()
        );
    }
    std::fs::write(runtime.join(DONE), "")?;
    // It serves until the probes have stopped.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    health.goodbye();
    Ok(())
}

fn record(health: &Handle, thread: usize) {
    let database = health.indicator("database", Policy::DEFAULT);
    for number in 1.. {
        let operation = database.begin();
        if thread == 0 {
            database.record_fail(&failure(number));
        }
        operation.ok();
        if number.is_multiple_of(64) {
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

fn fork_once(health: &Handle, own: Indicator, kind: Fork, number: u64) -> Result<()> {
    // SAFETY: the child records, which is the test, and ends without any handler. Its parent waits for it.
    let pid = unsafe {
        match kind {
            Fork::Clone => libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as i32,
            _ => libc::fork(),
        }
    };
    if pid == 0 {
        let code = live(health, own, number);
        // SAFETY: ends the process.
        unsafe { libc::_exit(code) };
    }
    ensure!(pid > 0, "cannot fork: {}", std::io::Error::last_os_error());
    match wait_for(pid)? {
        0 => Ok(()),
        1 => bail!("child {number} had no board"),
        2 => bail!("child {number} had evidence of its parent"),
        3 => bail!("child {number} lost what it had recorded"),
        status => bail!("child {number} ended with {status:#x}"),
    }
}

/// The actions of a child; returns its exit code. Not all children say goodbye.
fn live(health: &Handle, own: Indicator, number: u64) -> i32 {
    let operation = own.begin();
    if !health.attach() {
        return 1;
    }
    if own.failures() != 0 {
        return 2;
    }
    own.record_fail(&failure(number));
    if own.failures() != 1 {
        return 3;
    }
    operation.ok();
    if !number.is_multiple_of(4) {
        health.goodbye();
    }
    0
}

/// The exit code of a child, or its whole status if it was killed.
fn wait_for(pid: i32) -> Result<i32> {
    let begin = Instant::now();
    loop {
        let mut status = 0;
        // SAFETY: a child of ours.
        if unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) } == pid {
            return Ok(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { status });
        }
        ensure!(
            begin.elapsed() < MAX_LIFE,
            "child {pid} hangs\nnext: look at /proc/{pid}/task/*/stack, it is still there"
        );
        std::thread::sleep(Duration::from_micros(50));
    }
}
