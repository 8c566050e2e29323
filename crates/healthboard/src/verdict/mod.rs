//! From evidence to status: pure functions of (boards, now).
//!
//! Every rule of the table in ARCHITECTURE.md is a line here. Nothing reads a clock, a file or a setting, so all of it is
//! tested with tables, its equality edges included.

mod merge;
mod message;
mod processes;
mod report;
mod state;

pub(crate) use crate::status::Status;
pub use message::span;
pub use report::{Detail, Processes, Report, State};
pub use state::{Moment, state, status};

use crate::config::PROGRESS;
use crate::read::{Life, Process};
use merge::Merged;
use processes::Census;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// At most this many reasons are in a report's message.
const MAX_REASONS: usize = 3;

/// The verdict of a service over all its processes.
///
/// - An indicator is `FAULT` when it is so in every process that has evidence from since the failing began, and `DEGRADED`
///   when in some. A hung process has no say while another one works.
/// - A server that has room in one process serves, unless that one is a master or drains: those take no more work.
/// - It is stale only when no process has newer evidence.
/// - Every process hung is `FAULT`, some are `DEGRADED`.
/// - A process that only watches over those that it forks (it says so, or has living children and has recorded nothing since
///   their start) does no work itself: by progressing it keeps no service alive, and what it has recorded may grow old.
/// - A process that died without saying goodbye is `DEGRADED` for one ttl. What it had failed at counts until a living
///   process knows better.
/// - No process alive is `FAULT`, however long ago the last one died, unless the last one said goodbye: then the service is
///   [`stopped`](Report::stopped), which is no fault.
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
            merged.hear(observed, living.is_master, living.takes_work(), at);
        }
    }
    for (_, process) in &census.dead {
        merged.hear_dead(process);
    }
    for group in merged.into_groups() {
        let name = group.name.to_owned();
        let detail = group.into_detail(at);
        if detail.status > Status::Ok {
            reasons.push((detail.status, detail.message.clone()));
        }
        details.insert(name, detail);
    }
    let mut beats = Merged::default();
    for living in &census.living {
        // It is the first one: the others are not looked at.
        if let Some(observed) = living.process.indicators.iter().find(|o| &*o.name == PROGRESS) {
            beats.hear(observed, false, true, at);
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

    // Stable: of two alike, processes come before indicators, and those in the order of their names.
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
        draining: !census.living.is_empty()
            && census.living.iter().all(|living| living.process.life == Life::Draining),
        stopped: census.stopped,
        refused: full.map_or(0, |process| process.refused),
        refused_name: full.and_then(|process| process.refused_name.clone()),
        details,
    }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
