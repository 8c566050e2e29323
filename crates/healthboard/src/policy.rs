//! How evidence becomes a status: what an indicator's owner decides once, when it is registered.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How much a service depends on what an indicator stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Impact {
    /// Shown, but never part of the verdict: another service whose failure a restart here does not mend.
    Informational,
    /// At worst [`Status::Degraded`](crate::Status::Degraded).
    Degrading,
    /// The service cannot do its work without it.
    Critical,
}

impl Impact {
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
        [Impact::Informational, Impact::Degrading, Impact::Critical].into_iter().find(|i| i.name() == name)
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
    /// The failures must have gone on for at least this long to be failing.
    pub failure_window: Duration,
    /// Operations in flight of which none has ended for longer than this are stalled. Zero: never.
    pub stall_after: Duration,
    /// A process that has recorded nothing for this long, or for 5 s after a failure, refreshes the indicator, if it can.
    /// Zero: never.
    pub refresh_interval: Duration,
}

impl Policy {
    /// The defaults of the options: critical, 300 s, 2 failures over 10 s, stalled after 60 s, refreshed after 2 s.
    pub const DEFAULT: Policy = Policy {
        impact: Impact::Critical,
        ttl: Duration::from_secs(300),
        failure_threshold: 2,
        failure_window: Duration::from_secs(10),
        stall_after: Duration::from_secs(60),
        refresh_interval: Duration::from_secs(2),
    };
}

impl Default for Policy {
    fn default() -> Policy {
        Policy::DEFAULT
    }
}
