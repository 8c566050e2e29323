//! What boards say: the input of the verdict. All times are nanoseconds of the coarse monotonic clock.

use crate::Policy;
use std::fmt;

/// The class, code and scrubbed text of the newest failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure, `ConnectionRefusedError`; empty with `error_detail = none`.
    pub class: String,
    /// A number or word of the failing library, `2003`; often empty.
    pub code: String,
    /// For people, without secrets; empty unless `error_detail = message`.
    pub text: String,
}

impl Failure {
    /// Whether nothing is known of it.
    pub fn is_empty(&self) -> bool {
        self.class.is_empty() && self.code.is_empty() && self.text.is_empty()
    }
}

impl fmt::Display for Failure {
    /// `class code: text`, without what is missing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.class)?;
        if !self.code.is_empty() {
            write!(f, "{}{}", if self.class.is_empty() { "" } else { " " }, self.code)?;
        }
        if !self.text.is_empty() {
            write!(
                f,
                "{}{}",
                if self.class.is_empty() && self.code.is_empty() { "" } else { ": " },
                self.text
            )?;
        }
        Ok(())
    }
}

/// What one board says about one indicator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// When the newest success ended.
    pub last_success_ns: Option<u64>,
    /// When the newest failure ended.
    pub last_failure_ns: Option<u64>,
    /// Failures since the newest success; not zero means that the newest outcome is a failure.
    pub failures: u32,
    /// When the first of these failures ended; `None` also when the writer was caught between two stores.
    pub failing_since_ns: Option<u64>,
    /// Operations that have begun and not ended.
    pub in_flight: u32,
    /// Since when operations have been in flight without any of them ending.
    pub waiting_since_ns: Option<u64>,
    /// What is known of the newest failure.
    pub error: Failure,
}

impl Evidence {
    /// When the newest outcome was recorded.
    pub fn newest_ns(&self) -> Option<u64> {
        if self.failures > 0 { self.last_failure_ns.max(self.last_success_ns) } else { self.last_success_ns }
    }
}

/// One indicator of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The indicator's name.
    pub name: String,
    /// How its evidence is to be judged.
    pub policy: Policy,
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
}

/// Everything one process says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The pid, as the process itself sees it.
    pub pid: u32,
    /// The pid of the process of this service that has forked it; 0 if none has.
    pub parent: u32,
    /// Whether it only watches over those that it forks, as it says itself.
    pub watches: bool,
    /// Whether it lives.
    pub life: Life,
    /// When the board was made.
    pub started_ns: u64,
    /// For how long a death counts.
    pub ttl_ns: u64,
    /// Indicators that found no room on the board.
    pub exhausted: u32,
    /// Its indicators, in the order of registration; `progress` first.
    pub indicators: Vec<Observed>,
}

impl Process {
    /// The newest sign of life on the board: any outcome, or the making of the board.
    pub fn newest_ns(&self) -> u64 {
        self.indicators.iter().filter_map(|i| i.evidence.newest_ns()).fold(self.started_ns, u64::max)
    }
}
