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

/// Each thread of `pid` as the kernel sees it: its name, its state, and the code in which it waits or runs. It shows where a
/// process hangs that cannot run Python any more.
pub(crate) fn threads_in_kernel(pid: u32) -> String {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let line = |task: u32| {
        let read =
            |file: &str| fs::read_to_string(format!("/proc/{pid}/task/{task}/{file}")).unwrap_or_default();
        let (name, waits, status) = (read("comm"), read("wchan"), read("status"));
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or(" unknown");
        // The number of the call, its arguments, the stack pointer, the program counter; or `running`.
        let call = read("syscall");
        let counter = call.rsplit(' ').next().and_then(|word| word.trim().strip_prefix("0x"));
        let counter = counter.and_then(|word| u64::from_str_radix(word, 16).ok());
        let place = counter.and_then(|counter| place_in(&maps, counter)).unwrap_or_default();
        format!("{task} {}{state} {waits} {} {place}", name.trim(), call.trim())
    };
    task_ids(pid).map(line).collect::<Vec<_>>().join("\n")
}

/// The file that is mapped at an address, and the address in that file.
fn place_in(maps: &str, address: u64) -> Option<String> {
    maps.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (from, to) = words.next()?.split_once('-')?;
        let hex = |word: &str| u64::from_str_radix(word, 16).ok();
        let (from, to, offset) = (hex(from)?, hex(to)?, hex(words.nth(1)?)?);
        let file = words.nth(2).unwrap_or("memory without a file");
        (from..to).contains(&address).then(|| format!("{file}+{:#x}", address - from + offset))
    })
}

fn task_ids(pid: u32) -> impl Iterator<Item = u32> {
    fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}
