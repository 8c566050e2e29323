//! All faults and their goals.

mod broker;
mod databases;
mod hosts;
mod names;
mod processes;
mod servers;

use std::time::Duration;

use anyhow::Result;

use super::{Act, Goal, Scenario};
use crate::cluster::{ALL, API, Backends, COMPUTE, COMPUTE_LIBVIRT, METADATA};
use crate::stage::{CONDUCTOR, SCHEDULER};

/// The services that wait for messages.
const RPC_SERVICES: [&str; 4] = [CONDUCTOR, SCHEDULER, COMPUTE, COMPUTE_LIBVIRT];
/// Those of them that report their state without RPC.
const CONTROLLERS: [&str; 2] = [CONDUCTOR, SCHEDULER];
/// The services that connect to the databases.
const DATABASE_SERVICES: [&str; 4] = [API, METADATA, CONDUCTOR, SCHEDULER];
/// The services that reach the databases through nova-conductor.
const THROUGH_CONDUCTOR: [&str; 2] = [COMPUTE, COMPUTE_LIBVIRT];

/// Seconds until a refresh has noticed: it is due after 10 s, plus or minus a fifth, and its outcome is visible a moment later.
const REFRESHED: u64 = 13;
/// Seconds from a first failure until the failing one is a FAULT: the failure window, and a refresh after it.
const FAILING: u64 = 13;
/// Seconds until oslo.messaging connects again: it waits for two more after each attempt, up to 30. The service is not OK before,
/// even if the server is.
const RECONNECTED: u64 = 35;
/// Seconds until a compute service that has lost the reply to its report is OK again: the report waits for 60 s, the next one follows
/// within 10 s.
const REPORTED: u64 = 75;

/// For so long a service that is OK may still find connections that were lost in the fault.
const RECOVERY: Duration = Duration::from_secs(5);
/// Seconds for which a report to Nova counts. One that was never made is missed after that time.
const REPORT_COUNTS: u64 = 30;

/// More often than any monitoring probes.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// All faults, in an order in which one has little effect on the next. `stall_after` is the value in the cluster's nova.conf.
pub fn scenarios(stall_after: Duration) -> Vec<Scenario> {
    let mut all = broker::scenarios(stall_after);
    all.extend(names::scenarios());
    all.extend(databases::scenarios(stall_after));
    all.extend(servers::scenarios(stall_after));
    all.extend(processes::scenarios(stall_after));
    all.extend(hosts::scenarios());
    // A cluster for each server of the databases.
    all.sort_by_key(|scenario| scenario.on as u8);
    all
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A fault without goals that may concern all services of Nova, all of which recover.
fn fault(name: &'static str, title: &'static str, inject: Act, repair: Act) -> Scenario {
    Scenario::new(name, title, inject, repair).concerns(&ALL)
}

impl<S> Scenario<S> {
    /// A fault without goals that concerns no service. All services recover.
    pub(crate) fn new(name: &'static str, title: &'static str, inject: Act<S>, repair: Act<S>) -> Self {
        Self {
            name,
            title,
            only: None,
            on: Backends::Usual,
            prepare: |_, _| Ok(()),
            inject,
            repair,
            tidy: |_, _| Ok(()),
            min_duration: s(20),
            interval: PROBE_INTERVAL,
            goals: Vec::new(),
            concerns: Vec::new(),
            recovers: true,
            recovery: RECOVERY,
        }
    }

    /// An alarm within `alarm` seconds, and OK within `ok` seconds of the repair.
    pub(crate) fn alarm_goal(
        mut self,
        services: &[&'static str],
        alarm: Option<u64>,
        ok: Option<u64>,
    ) -> Self {
        let (alarm, ok) = (alarm.map(s), ok.map(s));
        self.goals.push(Goal { services: services.to_vec(), alarm, ok, ..Goal::default() });
        self
    }

    /// FAULT within `fault`, and OK within `ok` seconds of the repair.
    pub(crate) fn fault_goal(mut self, services: &[&'static str], fault: Duration, ok: u64) -> Self {
        self.goals.push(Goal {
            services: services.to_vec(),
            fault: Some(fault),
            ok: Some(s(ok)),
            ..Goal::default()
        });
        self
    }

    /// An answer to each probe within `limit`.
    fn answer_goal(mut self, services: &[&'static str], limit: Duration) -> Self {
        self.goals.push(Goal { services: services.to_vec(), answer: Some(limit), ..Goal::default() });
        self
    }

    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goals.push(goal);
        self
    }

    /// The services that the fault may affect.
    pub(crate) fn concerns(self, concerns: &[&'static str]) -> Self {
        Self { concerns: concerns.to_vec(), ..self }
    }

    /// A fault that lasts this long at least.
    pub(crate) fn min_duration(self, seconds: u64) -> Self {
        Self { min_duration: s(seconds), ..self }
    }

    /// Who is OK for so long has recovered.
    fn recovered_after(self, seconds: u64) -> Self {
        Self { recovery: s(seconds), ..self }
    }

    /// What makes the fault possible, and what undoes that.
    fn prepared(self, prepare: Act<S>, tidy: Act<S>) -> Self {
        Self { prepare, tidy, ..self }
    }

    /// Services do not recover by themselves: `tidy` makes them OK again.
    fn with_tidy(self, tidy: Act<S>) -> Self {
        Self { tidy, recovers: false, ..self }
    }
}

/// Makes an act of stopping, which cannot fail.
fn stop(act: impl FnOnce()) -> Result<()> {
    act();
    Ok(())
}
