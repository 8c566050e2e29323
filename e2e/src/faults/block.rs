//! Blocking the main thread of a Python process, and with it eventlet's hub, from outside.
//!
//! Nova itself is not touched: a `sitecustomize` of the test, beside our own, waits for a signal that nobody else uses.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};

const SITECUSTOMIZE: &str = include_str!("block.py");

/// What the blocked thread does with the interpreter meanwhile.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lock {
    /// It keeps the GIL: no other thread runs.
    Held,
    /// Other threads run.
    Released,
}

/// Puts what it takes into `folder`; answers the `PYTHONPATH` of services that can be blocked.
pub(super) fn prepare(folder: &Path) -> Result<String> {
    let folder = folder.join("block");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("sitecustomize.py"), SITECUSTOMIZE)?;
    let rest = env::var("PYTHONPATH").map(|rest| format!(":{rest}")).unwrap_or_default();
    Ok(format!("{}{rest}", folder.display()))
}

/// Blocks the main thread of `pid`.
pub(super) fn block(folder: &Path, pid: u32, lock: Lock) -> Result<()> {
    let fifo = fifo(folder, pid);
    let _ = fs::remove_file(&fifo);
    mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR)?;
    // SIGRTMIN of the C library, and what block.py adds to it.
    let signal = match lock {
        Lock::Held => "-38",
        Lock::Released => "-39",
    };
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status()?;
    ensure!(sent.success(), "cannot send the signal {signal} to process {pid}");
    Ok(())
}

/// Lets it go on; an error if it was not blocked at all.
pub(super) fn unblock(folder: &Path, pid: u32) -> Result<()> {
    // Without waiting: it fails when nobody waits at the other end.
    open(fifo(folder, pid), OFlags::WRONLY | OFlags::NONBLOCK, Mode::empty())
        .with_context(|| format!("process {pid} was not blocked"))?;
    Ok(())
}

fn fifo(folder: &Path, pid: u32) -> PathBuf {
    folder.join("block").join(pid.to_string())
}
