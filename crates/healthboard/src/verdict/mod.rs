//! From evidence to status: pure functions of (boards, now).
//!
//! They implement the table in ARCHITECTURE.md. Nothing here reads a clock, a file or a setting, so tests can cover every
//! rule with tables, including the exact limits.

mod history;
mod merge;
mod message;
mod places;
mod processes;
mod report;
mod state;

pub(crate) use crate::status::Status;
pub use history::{Change, History};
pub use message::span;
pub use report::{Detail, Processes, Report, State, Traced};
pub use state::{Moment, state, status};

use crate::config::PROGRESS;
use crate::read::Process;
use merge::Merged;
use processes::Census;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

/// At most this many reasons are in a report's message.
const MAX_REASONS: usize = 3;

/// At most this many indicators are in a report's details, besides `progress`: four times the slots of a board.
const MAX_DETAILS: usize = 128;

/// The verdict of a service over all its processes.
///
/// - An indicator is `FAULT` if it is `FAULT` in a process that no other process contradicts. A process contradicts it if
///   the indicator is not `FAULT` there and its evidence is not older than the begin of the failing. Contradicted, the
///   indicator is `DEGRADED`. A hung process does not count while another one works.
/// - A server with free capacity in one process is not saturated. The capacity of a master or of a draining process does
///   not count: it takes no more work.
/// - An indicator is stale only when no process has newer evidence.
/// - If all processes are hung, the service is `FAULT`; if some are, `DEGRADED`.
/// - A process that only watches over the processes it forks (it says so, or has living children and has recorded
///   nothing since their start) does no work itself: its progress does not count while it has workers, and its evidence
///   may become stale.
/// - A process that died without saying goodbye is `DEGRADED` for one ttl. Its failures count until a living process
///   has newer evidence.
/// - Workers that die again within 10 s of their start, or are not replaced, are `FAULT` after 10 s without any other.
/// - No process alive is `FAULT`, for any length of time, unless the last one said goodbye: then the service is
///   [`stopped`](Report::stopped), which is `OK`.
/// - All indicators count; the details have the first 128 of them by name, and more are `DEGRADED`.
/// - No process and no indicator at all is `OK`: starting is not a fault.
///
/// `time` is for display only. Cost: linear in the indicators of all processes (`cargo xtask bench reading`).
pub fn judge(service: &str, processes: &[Process], at: impl Into<Moment>, time: SystemTime) -> Report {
    let at = at.into();
    let census = Census::of(processes, at);
    let mut reasons = census.reasons();
    let mut details = BTreeMap::new();

    let mut merged = Merged::default();
    for living in census.voters() {
        for observed in living.process.indicators.iter().filter(|o| &*o.name != PROGRESS) {
            merged.add(observed, living, at);
        }
    }
    for (_, process) in &census.dead {
        merged.add_dead(process);
    }
    let groups = merged.into_groups();
    let found = groups.len();
    for group in groups {
        let name = group.name.to_owned();
        let detail = group.into_detail(at);
        if detail.status > Status::Ok {
            reasons.push((detail.status, detail.message.clone()));
        }
        // All count, but any number of boards with names of their own must not fill the memory of those who read them.
        if details.len() < MAX_DETAILS {
            details.insert(name, detail);
        }
    }
    if found > MAX_DETAILS {
        reasons.push((Status::Degraded, format!("found {found} indicators: {MAX_DETAILS} are shown")));
    }
    let mut beats = Merged::default();
    for living in &census.living {
        // `progress` is the first indicator, so the search ends there.
        if let Some(observed) = living.process.indicators.iter().find(|o| &*o.name == PROGRESS) {
            beats.add_progress(observed, at);
        }
    }
    for group in beats.into_groups() {
        let mut detail = group.into_detail(at);
        detail.status = census.hung_status();
        if detail.status > Status::Ok {
            detail.state = State::Stale;
        }
        detail.message = String::new();
        details.insert(PROGRESS.to_owned(), detail);
    }

    // The sort is stable: within a status, processes come before indicators, and indicators are ordered by name.
    reasons.sort_by_key(|(status, _)| std::cmp::Reverse(*status));
    let status = reasons.first().map_or(Status::Ok, |(status, _)| *status);
    let more = reasons.len().saturating_sub(MAX_REASONS);
    let mut message = reasons.into_iter().take(MAX_REASONS).map(|(_, m)| m).collect::<Vec<_>>().join("; ");
    if more > 0 {
        message.push_str(&format!("; and {more} more"));
    }
    let full = census.living.iter().map(|living| living.process).max_by_key(|process| process.refused);
    Report {
        status,
        message,
        service: service.to_owned(),
        time,
        processes: census.count(),
        draining: census.is_draining(),
        stopped: census.stopped,
        unobserved_for: census.unobserved_for(),
        refused: full.map_or(0, |process| process.refused),
        refused_name: full.and_then(|process| process.refused_name.clone()),
        stacks: census.living.iter().filter_map(|living| places::traced(living, at)).collect(),
        history: Arc::default(),
        details,
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
