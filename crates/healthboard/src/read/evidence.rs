//! What boards say: the input of the verdict. All times are nanoseconds of the coarse monotonic clock.

use crate::config::Policy;
use crate::failure::Failure;
use std::sync::Arc;

/// What one board says about one indicator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// When the newest success was recorded, of the work or of a refresh.
    pub last_success_ns: Option<u64>,
    /// When the newest failure was recorded.
    pub last_failure_ns: Option<u64>,
    /// Failures since the newest success that could clear them; not zero means that the newest outcome is a failure.
    pub failures: u32,
    /// When the first of these failures was recorded; `None` also when the writer was caught between two stores.
    pub failing_since_ns: Option<u64>,
    /// When an operation of the work last ended, however.
    pub last_end_ns: Option<u64>,
    /// Operations that have begun and not ended, a refresh among them.
    pub in_flight: u32,
    /// When the refresh in flight began.
    pub refresh_ns: Option<u64>,
    /// When the oldest of the work's operations in flight began, as far as each is known.
    pub oldest_ns: Option<u64>,
    /// When the newest of them began.
    pub youngest_ns: Option<u64>,
    /// Since when there have been others without interruption, of which each begin is not known.
    pub beyond_ns: Option<u64>,
    /// The present run of abandoned operations; `None` once an operation has ended.
    pub abandoned: Option<Abandoned>,
    /// Operations that can be in flight at all; 0 where nobody has said.
    pub capacity: u32,
    /// What is known of the newest failure.
    pub error: Option<Box<Failure>>,
}

/// Operations that were given up by their callers, one after the other, while none has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abandoned {
    /// When the first of them began.
    pub since_ns: u64,
    /// When the last of them was given up.
    pub until_ns: u64,
}

impl Evidence {
    /// Operations of the work in flight.
    pub fn work_in_flight(&self) -> u32 {
        self.in_flight.saturating_sub(u32::from(self.refresh_ns.is_some()))
    }

    /// When the oldest operation in flight began, be it the refresh.
    pub fn longest_ns(&self) -> Option<u64> {
        [self.oldest_ns, self.refresh_ns].into_iter().flatten().min()
    }

    /// When the newest outcome was recorded.
    pub fn newest_ns(&self) -> Option<u64> {
        if self.failures > 0 { self.last_failure_ns.max(self.last_success_ns) } else { self.last_success_ns }
    }
}

/// One indicator of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The indicator's name.
    pub name: Arc<str>,
    /// How its evidence is to be judged.
    pub policy: Arc<Policy>,
    /// What was recorded.
    pub evidence: Evidence,
}

/// Whether the writer of a board lives, as its lock tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The lock is held.
    Alive,
    /// The lock is held and the process has said that it is going.
    Draining,
    /// The lock is free, and the process never said goodbye.
    Dead,
    /// The process has said goodbye.
    Stopped,
}

impl Life {
    /// Whether the process is there and has not taken its leave.
    pub fn is_alive(self) -> bool {
        matches!(self, Life::Alive | Life::Draining)
    }
}

/// Everything one process says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The pid, as the process itself sees it. Not unique where processes in different pid namespaces share a directory.
    pub pid: u32,
    /// When the pid came into being, in clock ticks since the boot: a process that executes itself anew keeps both.
    pub pid_since: u64,
    /// A number that no other process has.
    pub id: u64,
    /// The id of the process of this service that has forked it; 0 if none has.
    pub parent_id: u64,
    /// Whether it only watches over those that it forks, as it says itself.
    pub watches: bool,
    /// Whether it lives.
    pub life: Life,
    /// When the board was made.
    pub started_ns: u64,
    /// When its keeper last looked after the board.
    pub kept_ns: u64,
    /// When it said goodbye; 0 if it has not.
    pub goodbye_ns: u64,
    /// For how long a death counts.
    pub ttl_ns: u64,
    /// Indicators that found no room on the board.
    pub refused: u32,
    /// The name of the first of them.
    pub refused_name: Option<String>,
    /// Its indicators, in the order of registration; `progress` first.
    pub indicators: Vec<Observed>,
}

impl Process {
    /// The newest sign of life on the board.
    pub fn newest_ns(&self) -> u64 {
        let outcomes = self.indicators.iter().filter_map(|i| i.evidence.newest_ns());
        outcomes.fold(self.started_ns.max(self.kept_ns), u64::max)
    }
}
