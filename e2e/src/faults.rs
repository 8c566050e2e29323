//! Real faults on a cluster, each watched from before it begins until the services have recovered.
//!
//! A [`Scenario`] says what is done and what is to be reached; [`play`] does it and answers with an [`Outcome`]; a [`page`] of
//! outcomes is `docs/faults.md`.

mod block;
mod draining;
mod finding;
mod goal;
mod helpers;
mod page;
mod play;
mod quiet;
mod scenarios;
mod scene;

use std::time::Duration;

use anyhow::Result;

pub use self::draining::{Drained, drain};
pub use self::finding::{Finding, Said, Times};
pub use self::goal::{Check, Wanted};
pub use self::page::page;
pub use self::play::{Outcome, Patience, play};
pub use self::quiet::{Quiet, quiet};
pub use self::scenarios::scenarios;
pub use self::scene::Scene;
use crate::cluster::Concurrency;

/// What is done to a cluster. The pids are of the processes that a fault is about, from its beginning to its end.
pub type Act = fn(&mut Scene, &mut Vec<u32>) -> Result<()>;

/// One fault: what is done, and what is to be reached.
#[derive(Clone)]
pub struct Scenario {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What happens, for people.
    pub title: &'static str,
    /// The mode it is about, if only about one.
    pub only: Option<Concurrency>,
    /// Begins the fault.
    pub inject: Act,
    /// Ends it, and returns when the server answers again.
    pub mend: Act,
    /// What must be put right before the next fault, after the watch.
    pub tidy: Act,
    /// How long the fault lasts at least.
    pub least: Duration,
    /// How often each endpoint is asked.
    pub interval: Duration,
    /// What is to be reached.
    pub goals: Vec<Goal>,
    /// The services that may notice it. All others stay OK.
    pub concerns: Vec<&'static str>,
    /// Whether all is OK again without being put right.
    pub recovers: bool,
}

/// What is to be reached by some services.
#[derive(Debug, Clone, Default)]
pub struct Goal {
    /// Which.
    pub of: Vec<&'static str>,
    /// DEGRADED or worse, so long after the fault at most.
    pub alarm: Option<Duration>,
    /// FAULT, so long after the fault at most.
    pub fault: Option<Duration>,
    /// OK again, so long after the mend at most.
    pub ok: Option<Duration>,
    /// An answer to each probe, whatever it says, within this.
    pub answer: Option<Duration>,
}

impl Scenario {
    /// How long the fault lasts at most: longer than any goal allows, so that a miss is measured, too.
    fn most(&self) -> Duration {
        let limits = self.goals.iter().flat_map(|goal| [goal.alarm, goal.fault]);
        let longest = limits.flatten().max().unwrap_or_default();
        self.least.max(longest * 3 / 2 + Duration::from_secs(5))
    }
}
