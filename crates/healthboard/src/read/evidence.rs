//! The content of boards: the input of the verdict. All times are nanoseconds of the coarse monotonic clock.

use crate::config::Policy;
use crate::failure::Failure;
use crate::stacks::Stacks;
use std::sync::Arc;

/// The evidence of one indicator on one board. All times are nanoseconds of the coarse monotonic clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// When the newest success was recorded, of the work or of a refresh.
    pub last_success_ns: Option<u64>,
    /// When the newest failure was recorded.
    pub last_failure_ns: Option<u64>,
    /// When the last failure of the previous streak was recorded.
    pub earlier_failure_ns: Option<u64>,
    /// Failures in a row that no success has cleared. A later success of a refresh does not clear them if one of them
    /// is [`by_work`](Failure::by_work).
    pub failures: u32,
    /// When the first of these failures was recorded; `None` if there are none, or if the copy was torn.
    pub failing_since_ns: Option<u64>,
    /// When an operation of the work last ended, with any outcome.
    pub last_end_ns: Option<u64>,
    /// Operations that have begun and not ended, including a refresh.
    pub in_flight: u32,
    /// When the refresh in flight began.
    pub refresh_ns: Option<u64>,
    /// When the oldest of the work's operations in flight began, among the up to 32 whose begin is known.
    pub oldest_ns: Option<u64>,
    /// When the newest of them began.
    pub youngest_ns: Option<u64>,
    /// Since when there have always been operations in flight whose begin is not known.
    pub beyond_ns: Option<u64>,
    /// The present run of abandoned operations; `None` once an operation has ended.
    pub abandoned: Option<Abandoned>,
    /// The most operations that can be in flight at once; 0 if not known.
    pub capacity: u32,
    /// The newest failure. `None` if there was none, if the only streak so far is over, or if its text could not be read.
    pub error: Option<Box<Failure>>,
}

/// A run of abandoned operations: they follow each other closely, and none has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abandoned {
    /// When the first of them began.
    pub since_ns: u64,
    /// When the last of them was abandoned.
    pub until_ns: u64,
}

impl Evidence {
    /// Operations of the work in flight.
    pub fn work_in_flight(&self) -> u32 {
        self.in_flight.saturating_sub(u32::from(self.refresh_ns.is_some()))
    }

    /// When the oldest operation in flight began, including the refresh.
    pub fn longest_ns(&self) -> Option<u64> {
        [self.oldest_ns, self.refresh_ns].into_iter().flatten().min()
    }

    /// When the newest outcome was recorded. A failure that a refresh has cleared does not count.
    pub fn newest_ns(&self) -> Option<u64> {
        if self.failures > 0 { self.last_failure_ns.max(self.last_success_ns) } else { self.last_success_ns }
    }
}

/// One indicator of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The indicator's name.
    pub name: Arc<str>,
    /// How its evidence becomes a status.
    pub policy: Arc<Policy>,
    /// Its evidence.
    pub evidence: Evidence,
}

/// Whether the writer of a board is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The lock is held.
    Alive,
    /// The lock is held, and the process has called [`drain`](crate::drain).
    Draining,
    /// The lock is free, and the process neither said goodbye nor was draining.
    Dead,
    /// The process has said goodbye, or it has ended while it was draining: it may have been killed for taking too long.
    Stopped,
}

impl Life {
    /// Whether the process is alive and has not said goodbye.
    pub fn is_alive(self) -> bool {
        matches!(self, Life::Alive | Life::Draining)
    }
}

/// The content of the board of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The pid, as the process itself sees it. Not unique where processes in different pid namespaces share a directory.
    pub pid: u32,
    /// When the process with this pid began, in clock ticks since the boot. `exec` changes neither.
    pub pid_since: u64,
    /// The id of the board: a random number that identifies the process.
    pub id: u64,
    /// The id of the process of this service that has forked it; 0 if none has.
    pub parent_id: u64,
    /// Whether it has said that it only watches over the processes it forks.
    pub watches: bool,
    /// Whether it is alive.
    pub life: Life,
    /// When the board was made.
    pub started_ns: u64,
    /// When its keeper last checked the board.
    pub kept_ns: u64,
    /// When it said goodbye, or about when it ended while draining; 0 if neither.
    pub goodbye_ns: u64,
    /// For how long its death counts, in nanoseconds.
    pub ttl_ns: u64,
    /// The number of indicators for which the board had no slot.
    pub refused: u32,
    /// The name of the first of them.
    pub refused_name: Option<String>,
    /// Its indicators in the order of registration, `progress` first.
    pub indicators: Vec<Observed>,
    /// Where its threads stood when it was last seen to hang.
    pub stacks: Option<Arc<Stacks>>,
}

impl Process {
    /// The newest sign of life on the board: a check by the keeper, or an outcome.
    pub fn newest_ns(&self) -> u64 {
        let outcomes = self.indicators.iter().filter_map(|i| i.evidence.newest_ns());
        outcomes.fold(self.started_ns.max(self.kept_ns), u64::max)
    }
}
