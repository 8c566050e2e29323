//! The verdict with its details: what every format renders.

use crate::{Failure, Impact};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// The one word about a service or an indicator. Ordered: the worst is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Well, or nothing known yet.
    Ok,
    /// Works, with something amiss; answered with 200.
    Degraded,
    /// Does not do its work; answered with 503.
    Fault,
}

impl Status {
    /// `OK`, `DEGRADED` or `FAULT`.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::Degraded => "DEGRADED",
            Status::Fault => "FAULT",
        }
    }

    /// The status with this [`name`](Status::name).
    pub fn from_name(name: &str) -> Option<Status> {
        [Status::Ok, Status::Degraded, Status::Fault].into_iter().find(|s| s.name() == name)
    }
}

/// What the evidence of one indicator amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing recorded yet.
    Unknown,
    /// The newest outcome is a success, and fresh.
    Passing,
    /// The newest outcome is a failure, and fresh, but too few or too short to count as failing.
    Transient,
    /// Enough failures in a row, for long enough.
    Failing,
    /// Operations are in flight and none has ended for too long.
    Stalled,
    /// The newest outcome is older than the ttl.
    Stale,
}

impl State {
    /// The word used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Passing => "passing",
            State::Transient => "transient",
            State::Failing => "failing",
            State::Stalled => "stalled",
            State::Stale => "stale",
        }
    }
}

/// How many processes of a service are in which condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processes {
    /// Living processes, hung ones among them.
    pub alive: u32,
    /// Living processes that do not progress.
    pub hung: u32,
    /// Processes that died without saying goodbye, within the ttl.
    pub dead: u32,
    /// The pid of the process that serves the endpoint, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<u32>,
}

/// One indicator over all processes of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Its share in the verdict.
    pub status: Status,
    /// The state in the process that decided the status.
    pub state: State,
    /// How much the service depends on it.
    pub impact: Impact,
    /// Age of the newest success in any living process.
    pub success_age: Option<Duration>,
    /// Age of the newest failure in any living process.
    pub failure_age: Option<Duration>,
    /// Most failures in a row in any living process.
    pub failures: u32,
    /// Operations in flight in all living processes.
    pub in_flight: u32,
    /// The newest failure, while it is the newest outcome somewhere.
    pub error: Option<Failure>,
    /// How long an outcome counts.
    pub ttl: Duration,
    /// What a person would say of it; empty when all is well.
    pub message: String,
}

/// The verdict with everything behind it. Made by [`judge`](crate::judge); rendered by formats.
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
    /// How the processes are.
    pub processes: Processes,
    /// Whether every living process has said that it is going.
    pub draining: bool,
    /// Indicators that found no room on a board.
    pub exhausted: u32,
    /// Every indicator by name.
    pub details: BTreeMap<String, Detail>,
}
