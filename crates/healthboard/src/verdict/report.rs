//! The verdict with its details, which every format renders.

use super::history::History;
use crate::config::Impact;
use crate::failure::Failure;
use crate::stacks::Stacks;
use crate::status::Status;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The state of one indicator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing recorded yet.
    Unknown,
    /// The newest outcome is a success and fresh, and failures are not intermittent.
    Passing,
    /// The newest outcome is a fresh failure, but the failures are too few or too close together to be failing. Or failures
    /// are intermittent, with successes in between.
    Transient,
    /// There are enough failures in a row, for long enough, and the newest is fresh.
    Failing,
    /// An operation is in flight for too long, while others end.
    Stuck,
    /// Operations are in flight and none has ended for too long, or hanging operations fill the capacity.
    Stalled,
    /// The newest outcome is older than the ttl.
    Stale,
}

impl State {
    /// Every state, the best first.
    pub const ALL: [State; 7] = [
        State::Unknown,
        State::Passing,
        State::Stale,
        State::Transient,
        State::Stuck,
        State::Stalled,
        State::Failing,
    ];

    /// Whether something is wrong.
    pub fn is_problem(self) -> bool {
        !matches!(self, State::Unknown | State::Passing)
    }

    /// The word used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Passing => "passing",
            State::Transient => "transient",
            State::Failing => "failing",
            State::Stuck => "stuck",
            State::Stalled => "stalled",
            State::Stale => "stale",
        }
    }
}

/// The number of processes of a service by condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processes {
    /// Living processes, including hung ones.
    pub alive: u32,
    /// Living processes that do not progress.
    pub hung: u32,
    /// Processes that died without saying goodbye: within the ttl, or at any time if no process is alive.
    pub dead: u32,
    /// The pid of the process that answers; `None` in a report that was not made by an endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<u32>,
    /// Whether the report covers only the process that answers, because its board is in memory or the directory cannot be
    /// read. Left out if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others_unseen: bool,
}

/// One indicator over all processes of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Its status in the verdict.
    pub status: Status,
    /// The state in the process that decided the status.
    pub state: State,
    /// How much the service depends on it.
    pub impact: Impact,
    /// Age of the newest success in any living process; `None` if there is none.
    pub success_age: Option<Duration>,
    /// Age of the newest failure in any living process; `None` if there is none. Includes the failures of a dead
    /// process while they count.
    pub failure_age: Option<Duration>,
    /// Most failures in a row in any living process.
    pub failures: u32,
    /// Operations in flight in all living processes.
    pub in_flight: u32,
    /// Age of the oldest of them whose begin is known.
    pub oldest_age: Option<Duration>,
    /// The newest failure, while a process has failures in a row or intermittent ones.
    pub error: Option<Failure>,
    /// How long an outcome counts; zero means without limit.
    pub ttl: Duration,
    /// Why there is a problem, for people; empty if there is none.
    pub message: String,
}

/// Where the threads of one process stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// The process.
    pub pid: u32,
    /// Its threads.
    pub stacks: Arc<Stacks>,
}

/// The verdict and its details. Made by [`judge`](crate::judge), rendered by the [formats](crate::format).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The status of the service.
    pub status: Status,
    /// Why it is not OK, for people; empty when it is.
    pub message: String,
    /// The name operators know the service by.
    pub service: String,
    /// When the report was made, by the wall clock.
    pub time: SystemTime,
    /// The number of processes by condition.
    pub processes: Processes,
    /// Whether there are living processes and all of them are draining, apart from a master that leaves the work to others.
    /// An endpoint also sets it if all processes, including its own, have said goodbye.
    pub draining: bool,
    /// Whether no process is alive, and the last one has said goodbye.
    pub stopped: bool,
    /// For how long no process of the service could notice a change: since the last one ended, or since all workers hang.
    /// Zero while one works.
    pub unobserved_for: Duration,
    /// The number of indicators for which a board had no slot.
    pub refused: u32,
    /// The name of the first of them.
    pub refused_name: Option<String>,
    /// The stacks of the processes that hang or whose operations hang.
    pub stacks: Vec<Traced>,
    /// The recent changes, as far as they are known where the report was made. [`judge`](crate::judge) leaves it empty.
    pub history: Arc<History>,
    /// Every indicator by name.
    pub details: BTreeMap<String, Detail>,
}

impl Report {
    /// Since when the service has had its status, by the wall clock; `None` if no change is known.
    pub fn since(&self) -> Option<SystemTime> {
        let newest = self.history.service.back()?;
        (newest.status == self.status).then(|| newest.time())
    }
}
