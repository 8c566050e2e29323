//! How evidence becomes a status, decided once, when an indicator is registered.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A refresh that has been in flight for this long is recorded as a failure, while it still is.
pub(crate) const NO_ANSWER_AFTER_NS: u64 = 5_000_000_000;

/// The built-in indicator of a process: the interpreter, the event loop or the hub records a success about once a
/// second, with [`tick`](crate::tick). When it is stale, the whole process is hung.
pub const PROGRESS: &str = "progress";

/// How much a service depends on what an indicator stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Impact {
    /// Shown, but never part of the verdict. For instance another service, whose failure no restart of this one repairs.
    Informational,
    /// At worst [`Status::Degraded`](crate::Status::Degraded), unless hanging operations fill its capacity.
    Degrading,
    /// The service cannot do its work without it. It can make the service [`Status::Fault`](crate::Status::Fault).
    Critical,
}

impl Impact {
    /// Every impact, the least first.
    pub const ALL: [Impact; 3] = [Impact::Informational, Impact::Degrading, Impact::Critical];

    /// The word used in options and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Impact::Informational => "informational",
            Impact::Degrading => "degrading",
            Impact::Critical => "critical",
        }
    }

    /// The impact with this [`name`](Impact::name).
    pub fn from_name(name: &str) -> Option<Impact> {
        Impact::ALL.into_iter().find(|impact| impact.name() == name)
    }
}

/// The policy of one indicator. It is on the board beside the evidence, so that a reader needs nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How much the service depends on it.
    pub impact: Impact,
    /// How long an outcome counts: it is fresh while its age is at most this. Zero means without limit.
    pub ttl: Duration,
    /// An indicator is failing only after at least this many failures in a row. 0 counts as 1.
    pub failure_threshold: u32,
    /// An indicator is failing only if at least this much time lies between the first and the newest of these failures.
    pub failure_window: Duration,
    /// An operation in flight for longer than this makes the indicator stuck. If no operation has ended for longer than
    /// this, the indicator is stalled. Zero means never.
    pub stall_after: Duration,
    /// An abandoned operation (cancelled, given up by its caller) is no evidence before this age, and a failure from
    /// this age on.
    pub slow_after: Duration,
    /// An indicator without an outcome for this long is refreshed, if that is possible. After a failure it is refreshed
    /// earlier. Zero means never.
    pub refresh_interval: Duration,
}

impl Policy {
    /// The defaults of the options: critical, 300 s, 2 failures over 10 s, stalled after 60 s, slow after 10 s, refreshed
    /// after 10 s.
    pub const DEFAULT: Policy = Policy {
        impact: Impact::Critical,
        ttl: Duration::from_secs(300),
        failure_threshold: 2,
        failure_window: Duration::from_secs(10),
        stall_after: Duration::from_secs(60),
        slow_after: Duration::from_secs(10),
        refresh_interval: Duration::from_secs(10),
    };

    /// The policy of [`PROGRESS`]: stale, which means hung, after 10 s.
    pub const PROGRESS: Policy = Policy { ttl: Duration::from_secs(10), ..Policy::DEFAULT };
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::DEFAULT
    }
}
