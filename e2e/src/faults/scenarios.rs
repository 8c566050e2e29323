//! All faults, and what is to be reached during each.

mod hosts;
mod processes;
mod servers;

use std::time::Duration;

use super::{Goal, Scenario};
use crate::cluster::{ALL, API, COMPUTE, COMPUTE_LIBVIRT, METADATA};
use crate::stage::{CONDUCTOR, SCHEDULER};

/// What waits for messages.
const CONSUMERS: [&str; 4] = [CONDUCTOR, SCHEDULER, COMPUTE, COMPUTE_LIBVIRT];
/// What has the databases for itself.
const DATABASE: [&str; 4] = [API, METADATA, CONDUCTOR, SCHEDULER];
/// What has them through nova-conductor.
const THROUGH_CONDUCTOR: [&str; 2] = [COMPUTE, COMPUTE_LIBVIRT];

/// As often as monitoring asks at best.
const TENTH: Duration = Duration::from_millis(100);

/// All faults, in an order in which one does little to the next; `stall_after` is what the cluster's nova.conf says.
pub fn scenarios(stall_after: Duration) -> Vec<Scenario> {
    let mut all = servers::scenarios(stall_after);
    all.extend(processes::scenarios());
    all.extend(hosts::scenarios());
    all
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A fault that all may notice, that all recover from, and that has no goals yet.
fn fault(name: &'static str, title: &'static str, inject: super::Act, mend: super::Act) -> Scenario {
    Scenario {
        name,
        title,
        only: None,
        inject,
        mend,
        tidy: |_, _| Ok(()),
        least: s(20),
        interval: TENTH,
        goals: Vec::new(),
        concerns: ALL.to_vec(),
        recovers: true,
    }
}

impl Scenario {
    /// Alarm within `alarm`, and OK within `ok` of the mend.
    fn goal(mut self, of: &[&'static str], alarm: Option<u64>, ok: Option<u64>) -> Self {
        let (alarm, ok) = (alarm.map(s), ok.map(s));
        self.goals.push(Goal { of: of.to_vec(), alarm, ok, ..Goal::default() });
        self
    }

    /// FAULT within `fault`, and OK within `ok` of the mend.
    fn hang(mut self, of: &[&'static str], fault: Duration, ok: u64) -> Self {
        self.goals.push(Goal { of: of.to_vec(), fault: Some(fault), ok: Some(s(ok)), ..Goal::default() });
        self
    }

    /// An answer to each probe within `limit`.
    fn answers(mut self, of: &[&'static str], limit: Duration) -> Self {
        self.goals.push(Goal { of: of.to_vec(), answer: Some(limit), ..Goal::default() });
        self
    }

    fn concerns(self, concerns: &[&'static str]) -> Self {
        Self { concerns: concerns.to_vec(), ..self }
    }

    fn least(self, seconds: u64) -> Self {
        Self { least: s(seconds), ..self }
    }

    /// What it leaves behind has to be put right by `tidy`.
    fn tidied(self, tidy: super::Act) -> Self {
        Self { tidy, recovers: false, ..self }
    }
}
