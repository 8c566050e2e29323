//! The processes of a service: which of them work, watch, hang, have died or have stopped.

use super::message::span;
use super::places;
use super::report::{Processes, State};
use super::state::{Moment, state};
use crate::config::PROGRESS;
use crate::read::{DRAINS_FOR_NS, Life, Observed, Process};
use crate::status::Status;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A worker that has lived for so long has started successfully.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// Deaths go on if the newest one is not older than this.
const GOES_ON_WITHIN: Duration = Duration::from_secs(30);

/// A living process.
pub(super) struct Living<'a> {
    pub(super) process: &'a Process,
    /// Whether it leaves the work to the processes that it has forked.
    pub(super) is_master: bool,
    /// For how long it has not progressed, if that exceeds the ttl of `progress`.
    hung: Option<Duration>,
}

impl Living<'_> {
    /// Whether it takes more work if it has free capacity. A master leaves work to others, and a draining process is about
    /// to end.
    pub(super) fn takes_work(&self) -> bool {
        !self.is_master && self.process.life == Life::Alive
    }
}

/// All processes of a service.
pub(super) struct Census<'a> {
    pub(super) living: Vec<Living<'a>>,
    /// The processes that died without saying goodbye, with the time since then, the newest death first.
    pub(super) dead: Vec<(Duration, &'a Process)>,
    /// Whether no process is alive, and the last one has said goodbye.
    pub(super) stopped: bool,
    /// For how long no process has been alive.
    gone_for: Duration,
    /// Whether no worker has lived for [`SETTLED_AFTER`] in as long a time, because they die.
    crash_loops: bool,
    /// Whether a worker has recently ended because it was told to. A worker that ended by itself leaves no board.
    has_drained: bool,
}

impl<'a> Census<'a> {
    pub(super) fn of(processes: &'a [Process], at: Moment) -> Census<'a> {
        let masters = masters(processes, at);
        let alive = processes.iter().filter(|process| process.life.is_alive());
        let living: Vec<Living<'_>> = alive
            .map(|process| Living {
                process,
                is_master: masters.contains(&process.id),
                hung: hung_for(process, at),
            })
            .collect();
        // A process that calls `exec` leaves a board behind without having died.
        let lives_on = |dead: &Process| {
            let same = |living: &Process| (living.pid, living.pid_since) == (dead.pid, dead.pid_since);
            living.iter().any(|living| same(living.process))
        };
        let gone = processes.iter().filter(|p| p.life == Life::Dead && !lives_on(p));
        let mut dead: Vec<_> = gone.map(|process| (at.age(process.newest_ns()), process)).collect();
        dead.sort_unstable_by_key(|(ago, process)| (*ago, process.pid, process.id));
        let goodbye = processes
            .iter()
            .filter(|process| process.life == Life::Stopped)
            .map(|p| p.goodbye_ns.max(p.started_ns))
            .max();
        let last_death = dead.first().map(|(_, process)| process.newest_ns());
        let stopped = living.is_empty() && goodbye.is_some_and(|goodbye| Some(goodbye) >= last_death);
        let gone_for =
            goodbye.max(last_death).filter(|_| living.is_empty()).map_or(Duration::ZERO, |ns| at.age(ns));
        if stopped {
            dead.clear();
        }
        // A death counts for one ttl while another process is alive, and otherwise until the service is started again.
        if !living.is_empty() {
            dead.retain(|(ago, process)| ago.as_nanos() <= u128::from(process.ttl_ns));
        }
        let lately = |p: &Process| at.now_ns.saturating_sub(p.goodbye_ns.max(p.started_ns)) <= DRAINS_FOR_NS;
        let has_drained = processes.iter().any(|p| p.life == Life::Stopped && p.parent_id != 0 && lately(p));
        let crash_loops = !has_drained && crash_loops(&living, &dead, at);
        Census { living, dead, stopped, gone_for, crash_loops, has_drained }
    }

    /// The living processes whose evidence counts: those that progress, or all if no worker progresses.
    pub(super) fn voters(&self) -> impl Iterator<Item = &Living<'a>> {
        let all_hung = self.hung_status() == Status::Fault;
        self.living.iter().filter(move |living| all_hung || living.hung.is_none())
    }

    /// Whether no process takes work any more: all living processes drain. A master that leaves the work to others need not
    /// say so itself. It counts as draining while its workers drain, and for some seconds after they have ended.
    pub(super) fn is_draining(&self) -> bool {
        let drains = |living: &Living<'_>| living.process.life == Life::Draining;
        let has_begun = self.living.iter().any(drains) || self.has_drained && !self.living.is_empty();
        has_begun && self.living.iter().all(|living| drains(living) || living.is_master)
    }

    /// The number of processes by condition.
    pub(super) fn count(&self) -> Processes {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Processes {
            alive: count(self.living.len()),
            hung: count(self.living.iter().filter(|living| living.hung.is_some()).count()),
            dead: count(self.dead.len()),
            ..Processes::default()
        }
    }

    /// The status that hung processes cause: `FAULT` if all workers are hung, `DEGRADED` if any process is. The progress of
    /// a master does not count while it has workers.
    pub(super) fn hung_status(&self) -> Status {
        let only_masters = self.living.iter().all(|living| living.is_master);
        let mut workers = self.living.iter().filter(|living| only_masters || !living.is_master);
        match self.living.iter().any(|living| living.hung.is_some()) {
            false => Status::Ok,
            true if workers.all(|living| living.hung.is_some()) => Status::Fault,
            true => Status::Degraded,
        }
    }

    /// For how long no process could notice a change: since the last one ended, or since all workers hang.
    pub(super) fn unobserved_for(&self) -> Duration {
        if self.hung_status() != Status::Fault {
            return self.gone_for;
        }
        let hung = self
            .living
            .iter()
            .filter_map(|living| living.hung?.checked_sub(progress(living.process)?.policy.ttl));
        hung.min().unwrap_or_default()
    }

    /// The problems of the processes, each with its status.
    pub(super) fn reasons(&self) -> Vec<(Status, String)> {
        let mut reasons = Vec::new();
        let status = self.hung_status();
        for Living { process, hung, .. } in &self.living {
            if let Some(silent) = hung {
                let subject =
                    if self.living.len() == 1 { String::new() } else { format!("process {} ", process.pid) };
                let place = places::of_main(process).map_or(String::new(), |place| format!(", {place}"));
                reasons.push((status, format!("{subject}not progressing for {}{place}", span(*silent))));
            }
        }
        if let [(ago, newest), others @ ..] = &self.dead[..] {
            if self.living.is_empty() {
                reasons.push((Status::Fault, "no process is alive".to_owned()));
            } else if self.crash_loops {
                reasons.push((Status::Fault, "no worker stays alive".to_owned()));
            }
            let more =
                if others.is_empty() { String::new() } else { format!(", and {} before it", others.len()) };
            let (pid, ago) = (newest.pid, span(*ago));
            reasons.push((
                Status::Degraded,
                format!("process {pid} died {ago} ago without saying goodbye{more}"),
            ));
        }
        reasons
    }
}

/// Whether workers have died for [`SETTLED_AFTER`], and none lives that has settled: each new one dies soon after its start, or
/// its living master has started no new one. The death of a worker that had settled is where it began.
fn crash_loops(living: &[Living<'_>], dead: &[(Duration, &Process)], at: Moment) -> bool {
    let settled = |lived: Duration| lived >= SETTLED_AFTER;
    let lived = |process: &Process| Duration::from_nanos(process.newest_ns() - process.started_ns);
    let mut workers = living.iter().filter(|living| !living.is_master).peekable();
    let early_deaths = dead.iter().take_while(|(_, process)| !settled(lived(process))).count();
    let first = dead.get(early_deaths).or(dead.last());
    let lasts = first.is_some_and(|(_, process)| settled(at.silence(process.newest_ns())));
    let goes_on = dead.first().is_some_and(|(ago, _)| *ago <= GOES_ON_WITHIN);
    let parent = dead.first().map(|(_, process)| process.parent_id);
    let is_left = workers.peek().is_none() && living.iter().any(|living| Some(living.process.id) == parent);
    let repeats = early_deaths > 1 && goes_on || is_left;
    lasts && repeats && !workers.any(|worker| settled(at.age(worker.process.started_ns)))
}

/// The ids of the processes that leave the work to others. Such a process says so, or it has living children and no fresh
/// evidence that is newer than the start of the oldest child.
fn masters(processes: &[Process], at: Moment) -> BTreeSet<u64> {
    let living = || processes.iter().filter(|process| process.life.is_alive());
    let mut oldest_child_ns: BTreeMap<u64, u64> = BTreeMap::new();
    for child in living().filter(|process| process.parent_id != 0) {
        let oldest = oldest_child_ns.entry(child.parent_id).or_insert(child.started_ns);
        *oldest = child.started_ns.min(*oldest);
    }
    let works_since = |process: &Process, since_ns: u64| {
        process.indicators.iter().any(|o| {
            &*o.name != PROGRESS
                && o.evidence.newest_ns() > Some(since_ns)
                && state(&o.evidence, &o.policy, at) != State::Stale
        })
    };
    let watches = |process: &&Process| {
        process.watches
            || oldest_child_ns.get(&process.id).is_some_and(|since_ns| !works_since(process, *since_ns))
    };
    living().filter(watches).map(|process| process.id).collect()
}

fn progress(process: &Process) -> Option<&Observed> {
    process.indicators.iter().find(|i| &*i.name == PROGRESS)
}

/// For how long a process has not progressed, if that exceeds the ttl of `progress`. A process that has never recorded
/// progress is not hung.
fn hung_for(process: &Process, at: Moment) -> Option<Duration> {
    let progress = progress(process)?;
    let newest = progress.evidence.newest_ns()?;
    (state(&progress.evidence, &progress.policy, at) == State::Stale).then(|| at.silence(newest))
}
