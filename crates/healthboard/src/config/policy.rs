//! How evidence becomes a status: what an indicator's owner decides once, when it is registered.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The built-in indicator that the interpreter, the event loop or the hub stamps from inside, about once a second. When it
/// is stale, the whole process is hung.
pub const PROGRESS: &str = "progress";

/// How much a service depends on what an indicator stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Impact {
    /// Shown, but never part of the verdict: another service whose failure a restart here does not mend.
    Informational,
    /// At worst [`Status::Degraded`](crate::Status::Degraded), unless every place of its capacity is stuck.
    Degrading,
    /// The service cannot do its work without it.
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

/// The policy of one indicator. It is written on the board beside the evidence, so that a reader needs nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How much the service depends on it.
    pub impact: Impact,
    /// How long an outcome counts: it is fresh while its age is at most this. Zero: for ever.
    pub ttl: Duration,
    /// This many failures in a row are needed to be failing.
    pub failure_threshold: u32,
    /// From the first of these failures to the newest at least this must have passed to be failing.
    pub failure_window: Duration,
    /// An operation in flight for longer than this is stuck; when none has ended for longer than this, the indicator is
    /// stalled. Zero: never.
    pub stall_after: Duration,
    /// An operation that is abandoned (cancelled, given up by its caller) says nothing before this age, and is a failure
    /// from this age on.
    pub slow_after: Duration,
    /// A process that has recorded nothing for this long refreshes the indicator, if it can; after a failure it does so
    /// earlier. Zero: never.
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

    /// The policy of [`PROGRESS`]: stale, which is hung, after 10 s.
    pub const PROGRESS: Policy = Policy { ttl: Duration::from_secs(10), ..Policy::DEFAULT };
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::DEFAULT
    }
}
