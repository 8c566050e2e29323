//! Blocking the main thread of a Python process, and with it eventlet's hub, from outside.
//!
//! Nova is not changed: a `sitecustomize` of the test, beside our own, handles signals that nothing else uses.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};

use super::leak;

const SITECUSTOMIZE: &str = include_str!("block.py");

/// Whether the blocked thread holds the interpreter's lock.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Lock {
    /// It holds the GIL: no other thread runs.
    Held,
    /// Other threads run.
    Released,
}

/// Writes the `sitecustomize` into `folder`. Returns the `PYTHONPATH` for services that can be blocked, and can leak.
pub(crate) fn prepare(folder: &Path) -> Result<String> {
    let folder = folder.join("block");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("sitecustomize.py"), [SITECUSTOMIZE, leak::SITECUSTOMIZE].concat())?;
    let rest = env::var("PYTHONPATH").map(|rest| format!(":{rest}")).unwrap_or_default();
    Ok(format!("{}{rest}", folder.display()))
}

/// Blocks the main thread of `pid`.
pub(crate) fn block(folder: &Path, pid: u32, lock: Lock) -> Result<()> {
    let fifo = fifo(folder, pid);
    let _ = fs::remove_file(&fifo);
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR)?;
    send_realtime(pid, if let Lock::Held = lock { 4 } else { 5 })
}

/// Sends SIGRTMIN plus `number`, as the C library counts.
pub(crate) fn send_realtime(pid: u32, number: u32) -> Result<()> {
    let signal = format!("-{}", 34 + number);
    let sent = Command::new("kill").args([&signal, &pid.to_string()]).status()?;
    ensure!(sent.success(), "cannot send the signal {signal} to process {pid}");
    Ok(())
}

/// Lets the main thread continue; an error if it was not blocked.
pub(crate) fn unblock(folder: &Path, pid: u32) -> Result<()> {
    // A non-blocking open fails if nobody waits at the other end.
    open(fifo(folder, pid), OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty())
        .with_context(|| format!("process {pid} was not blocked"))?;
    Ok(())
}

/// Named by the pid that the process knows, which is another one in a namespace.
fn fifo(folder: &Path, pid: u32) -> PathBuf {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let known = status.lines().find_map(|line| line.strip_prefix("NSpid:")?.split_whitespace().last());
    folder.join("block").join(known.unwrap_or(&pid.to_string()))
}
