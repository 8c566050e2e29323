//! Processes by pid: children, threads, signals.

use std::fs;

use anyhow::{Context, Result};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

/// The children of `pid`, in ascending order; none if it has ended.
pub fn children(pid: u32) -> Vec<u32> {
    let mut found: Vec<u32> = task_ids(pid)
        .filter_map(|task| fs::read_to_string(format!("/proc/{pid}/task/{task}/children")).ok())
        .flat_map(|line| line.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect();
    found.sort_unstable();
    found
}

/// The number of threads of `pid`; 0 if it has ended.
pub fn threads(pid: u32) -> usize {
    task_ids(pid).count()
}

/// Whether `pid` exists and is not a zombie.
pub fn is_alive(pid: u32) -> bool {
    // The state follows the command name, which is in parentheses and may contain any character.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .ok()
        .and_then(|stat| stat.rsplit_once(") ").map(|(_, rest)| !rest.starts_with(['Z', 'X'])))
        .unwrap_or(false)
}

/// Sends `signal` to this one process.
///
/// # Errors
///
/// If the process has ended or belongs to another user.
pub fn send(pid: u32, signal: Signal) -> Result<()> {
    let target =
        i32::try_from(pid).ok().and_then(Pid::from_raw).with_context(|| format!("{pid} is not a pid"))?;
    kill_process(target, signal).with_context(|| format!("cannot send {signal:?} to process {pid}"))
}

fn task_ids(pid: u32) -> impl Iterator<Item = u32> {
    fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
