//! Real faults on a [`Site`], each watched from before it begins until the services have recovered.
//!
//! A [`Scenario`] defines a fault and its goals. [`play`] plays it and returns an [`Outcome`]. [`page`] turns outcomes on a cluster
//! into `docs/faults.md`.

pub(crate) mod block;
mod draining;
mod finding;
mod goal;
mod helpers;
mod leak;
mod page;
mod period;
mod play;
mod requests;
mod scenarios;
mod scene;
mod site;
mod stuck;

use std::time::Duration;

use anyhow::Result;

pub use self::draining::{Drained, drain};
pub use self::finding::{CheckResult, Finding, Times};
pub use self::goal::{Check, Wanted};
pub use self::page::page;
pub use self::period::{Asked, Load, Period, period};
pub use self::play::{Outcome, Pacing, not_ok_before, play};
pub use self::scenarios::scenarios;
pub use self::scene::Scene;
pub use self::site::Site;
use crate::cluster::{Backends, Concurrency};
use crate::watch::Status;

/// An action on a site. The pids are those of the processes that the fault affects, from its beginning to its repair.
pub type Act<S = Scene> = fn(&mut S, &mut Vec<u32>) -> Result<()>;

/// One fault and its goals.
pub struct Scenario<S = Scene> {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its title in reports.
    pub title: &'static str,
    /// The only mode in which it is played; none means both.
    pub only: Option<Concurrency>,
    /// The server of the databases.
    pub on: Backends,
    /// Makes it possible, before the watch.
    pub prepare: Act<S>,
    /// Begins the fault.
    pub inject: Act<S>,
    /// Repairs it, and returns when the server answers again.
    pub repair: Act<S>,
    /// Cleans up after the watch, before the next fault.
    pub tidy: Act<S>,
    /// The minimum duration of the fault.
    pub min_duration: Duration,
    /// How often each endpoint is probed.
    pub interval: Duration,
    /// The goals.
    pub goals: Vec<Goal>,
    /// The services that the fault may affect. All others must stay OK.
    pub concerns: Vec<&'static str>,
    /// Whether all services are OK again without `tidy`.
    pub recovers: bool,
    /// How long a service must stay OK to count as recovered.
    pub recovery: Duration,
}

/// A goal for some services.
#[derive(Debug, Clone, Default)]
pub struct Goal {
    /// The services.
    pub services: Vec<&'static str>,
    /// The maximum time from the fault to DEGRADED or worse.
    pub alarm: Option<Duration>,
    /// The maximum time from the fault to FAULT.
    pub fault: Option<Duration>,
    /// The maximum time from the repair to OK.
    pub ok: Option<Duration>,
    /// The maximum time that a probe waits for any answer.
    pub answer: Option<Duration>,
    /// The indicator that a message during the fault must name.
    pub named: Option<&'static str>,
    /// Statuses that it must not have during the fault.
    pub never: &'static [Status],
}

impl<S> Scenario<S> {
    /// The maximum duration of the fault. It is longer than any goal allows, so that a miss is measured, too.
    fn max_duration(&self) -> Duration {
        let limits = self.goals.iter().flat_map(|goal| [goal.alarm, goal.fault]);
        let longest = limits.flatten().max().unwrap_or_default();
        self.min_duration.max(longest * 3 / 2 + Duration::from_secs(5))
    }
}
