//! Kills holders at any moment: the endpoints stay the same two sockets, no connection is refused, another process
//! answers.

use crate::listeners::Endpoints;
use crate::probes::{Probes, until};
use crate::random::Random;
use crate::roles;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::{Duration, Instant};

/// Processes of the service. All but one are standbys.
const PROCESSES: usize = 3;

/// Sockets of a standby: one for each endpoint, and its connection to the holder.
const SOCKETS: usize = 3;

/// The longest time between two kills.
const MAX_PAUSE: Duration = Duration::from_millis(30);

/// The processes of the service, killed when this is dropped.
struct Processes(Vec<Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        for process in &mut self.0 {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Kills this many holders, and a standby from time to time; returns the result.
pub(crate) fn run(times: u64) -> Result<String> {
    let folder = tempfile::tempdir()?;
    let endpoints = Endpoints::new(folder.path())?;
    let runtime = folder.path().join("run");
    let words = [runtime.to_str().context("a path that is text")?, &endpoints.uri()];
    let start = || roles::start("serves", &words);
    let mut processes = Processes(Vec::new());
    for _ in 0..PROCESSES {
        processes.0.push(start()?);
    }
    until("an endpoint", || Ok(UnixStream::connect(&endpoints.socket).ok()))?;
    let listeners = endpoints.listeners()?;

    let probes = Probes::default();
    let mut random = Random::new();
    let mut took = Vec::new();
    probes.during(&endpoints, || {
        let serving = || Ok(probes.results()?.serving);
        let (mut holder, _) = until("an answer", serving)?;
        for _ in 0..times {
            wait_for_standbys(&processes.0)?;
            random.sleep(MAX_PAUSE);
            if random.below(4) == 0 {
                let standby = processes.0.iter().find(|child| child.id() != holder).map(Child::id);
                kill(&mut processes.0, standby.context("a standby")?)?;
                processes.0.push(start()?);
                random.sleep(MAX_PAUSE);
            }
            let killed = Instant::now();
            kill(&mut processes.0, holder)?;
            let before = holder;
            let (next, since) =
                until("the next holder", || Ok(serving()?.filter(|(pid, _)| *pid != before)))?;
            took.push(since.saturating_duration_since(killed));
            let found = endpoints.listeners()?;
            ensure!(found == listeners, "another socket listens: {found:?}, and it was {listeners:?}");
            holder = next;
            processes.0.push(start()?);
        }
        Ok(())
    })?;

    let results = probes.results()?;
    took.sort();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)];
    Ok(format!(
        "{} answers, 0 refused, {} cut by a kill, one listener each; next answer: median {:.1?}, p99 {:.1?}, longest {:.1?}; \
         {}",
        results.answers,
        results.cut,
        at(50),
        at(99),
        at(100),
        results.longest_gap
    ))
}

/// Waits until each process has all the sockets it needs to take over.
fn wait_for_standbys(processes: &[Child]) -> Result<()> {
    for process in processes {
        until("a standby", || Ok((sockets(process.id()) >= SOCKETS).then_some(())))?;
    }
    Ok(())
}

fn kill(processes: &mut Vec<Child>, pid: u32) -> Result<()> {
    let at = processes.iter().position(|child| child.id() == pid).context("a process of ours")?;
    let mut process = processes.swap_remove(at);
    let killed = process.kill();
    process.wait()?;
    Ok(killed?)
}

/// How many sockets the keeper of a process has.
fn sockets(pid: u32) -> usize {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let mut tasks = tasks.map(|task| task.path());
    let keeper =
        tasks.find(|task| fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "healthboard\n"));
    let files = keeper.and_then(|task| fs::read_dir(task.join("fd")).ok()).into_iter().flatten().flatten();
    let targets = files.filter_map(|file| fs::read_link(file.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}
