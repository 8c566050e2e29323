//! The rules of ARCHITECTURE.md, "From evidence to status", as tables and properties. Times are seconds ago.

mod messages;
mod processes;
mod properties;
mod services;
mod states;

pub(super) use super::*;
pub(super) use crate::Failure;
pub(super) use crate::config::{Impact, Policy};
pub(super) use crate::read::{Abandoned, Evidence, Life, Observed};
pub(super) use std::time::Duration;

pub(super) const SECOND: u64 = 1_000_000_000;
pub(super) const NOW: u64 = 10_000 * SECOND;

pub(super) fn ago(seconds: u64) -> Option<u64> {
    Some(NOW - seconds * SECOND)
}

/// A success of the work, this long ago.
pub(super) fn passing(seconds: u64) -> Evidence {
    Evidence { last_success_ns: ago(seconds), last_end_ns: ago(seconds), ..Evidence::default() }
}

/// `times` failures of the work in a row.
pub(super) fn failing(times: u32, since: u64, newest: u64) -> Evidence {
    Evidence {
        last_failure_ns: ago(newest),
        last_end_ns: ago(newest),
        failures: times,
        failing_since_ns: ago(since),
        error: Some(Failure::new("OperationalError").code("2003").into()),
        ..Evidence::default()
    }
}

/// Two streaks of failures, each followed by a success; the ages of their newest failures.
pub(super) fn intermittent(newest: u64, earlier: u64) -> Evidence {
    Evidence {
        last_success_ns: ago(newest.saturating_sub(1)),
        earlier_failure_ns: ago(earlier),
        failures: 0,
        failing_since_ns: None,
        ..failing(1, newest, newest)
    }
}

/// `n` operations in flight; the ages of the oldest, of the youngest and of the newest end, in seconds.
pub(super) fn in_flight(n: u32, oldest: u64, youngest: u64, end: u64) -> Evidence {
    Evidence { in_flight: n, oldest_ns: ago(oldest), youngest_ns: ago(youngest), ..passing(end) }
}

/// One operation in flight, and nothing else.
pub(super) fn hanging(seconds: u64) -> Evidence {
    Evidence { in_flight: 1, oldest_ns: ago(seconds), youngest_ns: ago(seconds), ..Evidence::default() }
}

pub(super) fn observed(name: &str, evidence: Evidence) -> Observed {
    Observed { name: name.into(), policy: Policy::DEFAULT.into(), evidence }
}

pub(super) fn with_impact(impact: Impact, observed: Observed) -> Observed {
    Observed { policy: Policy { impact, ..*observed.policy }.into(), ..observed }
}

/// `progress`, recorded this many seconds ago.
pub(super) fn beat(seconds: u64) -> Observed {
    Observed { name: PROGRESS.into(), policy: Policy::PROGRESS.into(), evidence: passing(seconds) }
}

/// A living process that has run for 5000 s.
pub(super) fn process(pid: u32, indicators: Vec<Observed>) -> Process {
    Process {
        pid,
        pid_since: 1,
        id: u64::from(pid) << 32 | 7,
        parent_id: 0,
        watches: false,
        life: Life::Alive,
        started_ns: NOW - 5000 * SECOND,
        kept_ns: 0,
        goodbye_ns: 0,
        ttl_ns: 300 * SECOND,
        refused: 0,
        refused_name: None,
        indicators,
        stacks: None,
    }
}

/// The same, forked by `parent`.
pub(super) fn child(parent: &Process, pid: u32, indicators: Vec<Observed>) -> Process {
    Process { parent_id: parent.id, ..process(pid, indicators) }
}

/// A process that died without saying goodbye: its keeper last checked the board this many seconds ago.
pub(super) fn dead(pid: u32, seconds: u64, indicators: Vec<Observed>) -> Process {
    Process { life: Life::Dead, kept_ns: NOW - seconds * SECOND, ..process(pid, indicators) }
}

/// A process that said goodbye this many seconds ago.
pub(super) fn gone(pid: u32, seconds: u64) -> Process {
    let goodbye_ns = NOW - seconds * SECOND;
    Process { life: Life::Stopped, goodbye_ns, kept_ns: goodbye_ns, ..process(pid, vec![]) }
}

pub(super) fn judged(processes: &[Process]) -> Report {
    judge("nova-conductor", processes, NOW, SystemTime::UNIX_EPOCH)
}

/// The status and the message of a service.
pub(super) fn said(processes: &[Process]) -> (Status, String) {
    let report = judged(processes);
    (report.status, report.message)
}
