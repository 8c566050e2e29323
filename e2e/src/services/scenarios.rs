//! What the services are taken through, and what they should say meanwhile.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{ALL, CINDER_API, CINDER_SCHEDULER, CINDER_VOLUME, GLANCE, KEYSTONE, PLACEMENT, Services};
use crate::faults::{Act, Goal, Scenario};
use crate::processes::{Signal, send};
use crate::watch::Status;

/// Seconds until a refresh has noticed: it is due after 10 s, plus or minus a fifth, and its outcome is visible a moment later.
const REFRESHED: u64 = 13;
/// Seconds until two failures have more than `failure_window` between them.
const FAILING: u64 = 30;
/// Seconds until a service that calls others has noticed that it has lost an idle connection.
const LOST: u64 = 20;
/// Seconds until a process has been hung for the ttl of `progress`, ten seconds, and a reader has seen it.
const HUNG: u64 = 15;
/// Seconds until a process that runs again has shown it.
const RUNS_AGAIN: u64 = 3;
/// Seconds until cinder-volume has started and made its first report.
const REPORTED: u64 = 45;
/// How many seconds idle services are watched.
const IDLE: u64 = 60;

/// The services that serve RPC.
const RPC: [&str; 2] = [CINDER_SCHEDULER, CINDER_VOLUME];
/// The services with a process that serves the endpoint while another one is frozen.
const MULTI_PROCESS: [&str; 5] = [KEYSTONE, PLACEMENT, GLANCE, CINDER_API, CINDER_VOLUME];

/// All scenarios, in the order in which they are played.
pub fn scenarios(stall_after: Duration) -> Vec<Scenario<Services>> {
    let stalled = stall_after + Duration::from_secs(REFRESHED);
    vec![
        scenario("idle", "idle", |_, _| Ok(()), |_, _| Ok(())).min_duration(IDLE),
        scenario(
            "database-killed",
            "database killed",
            |services, _| services.mariadb().kill(),
            |services, _| services.mariadb().start(),
        )
        .concerns(&ALL)
        .goal(Goal {
            services: ALL.to_vec(),
            alarm: Some(Duration::from_secs(REFRESHED)),
            fault: Some(Duration::from_secs(FAILING)),
            ok: Some(Duration::from_secs(REFRESHED)),
            named: Some("database"),
            ..Goal::default()
        }),
        scenario(
            "database-frozen",
            "database frozen",
            |services, _| services.mariadb().freeze(),
            |services, _| services.mariadb().thaw(),
        )
        .concerns(&ALL)
        .goal(Goal {
            services: ALL.to_vec(),
            alarm: Some(Duration::from_secs(20)),
            fault: Some(stalled),
            ok: Some(Duration::from_secs(REFRESHED)),
            named: Some("database"),
            ..Goal::default()
        }),
        scenario(
            "broker-killed",
            "broker killed",
            |services, _| services.rabbitmq().kill(),
            |services, _| services.rabbitmq().start(),
        )
        .concerns(&[CINDER_SCHEDULER, CINDER_VOLUME, CINDER_API, KEYSTONE])
        .goal(Goal {
            services: RPC.to_vec(),
            alarm: Some(Duration::from_secs(5)),
            fault: Some(Duration::from_secs(FAILING)),
            ok: Some(Duration::from_secs(REFRESHED)),
            named: Some("message_bus"),
            ..Goal::default()
        })
        .goal(Goal {
            services: vec![CINDER_API],
            alarm: Some(Duration::from_secs(LOST)),
            fault: Some(Duration::from_secs(LOST + FAILING)),
            ok: Some(Duration::from_secs(REFRESHED)),
            named: Some("message_bus"),
            ..Goal::default()
        })
        // It only notifies: it works without the broker.
        .goal(Goal { services: vec![KEYSTONE], never: &[Status::Fault], ..Goal::default() }),
        scenario("worker-frozen", "one worker of each service frozen", freeze_workers, |_, pids| {
            pids.iter().try_for_each(|pid| send(*pid, Signal::CONT))
        })
        .concerns(&MULTI_PROCESS)
        .goal(Goal {
            services: MULTI_PROCESS.to_vec(),
            alarm: Some(Duration::from_secs(HUNG)),
            ok: Some(Duration::from_secs(RUNS_AGAIN)),
            ..Goal::default()
        }),
        scenario(
            "restart",
            "all services restarted",
            |services, _| ALL.into_iter().try_for_each(|service| services.restart(service)),
            |services, _| ALL.into_iter().try_for_each(|service| services.until_ready(service)),
        )
        .concerns(&ALL)
        .goal(Goal {
            services: ALL.to_vec(),
            ok: Some(Duration::from_secs(REFRESHED)),
            never: &[Status::Degraded, Status::Fault],
            ..Goal::default()
        }),
        scenario(
            "no-storage",
            "cinder-volume restarted with a driver that cannot be initialized",
            |services, _| {
                services.set_storage(false)?;
                services.restart(CINDER_VOLUME)
            },
            |services, _| {
                services.set_storage(true)?;
                services.restart(CINDER_VOLUME)?;
                services.until_ready(CINDER_VOLUME)
            },
        )
        .concerns(&[CINDER_VOLUME])
        .goal(Goal {
            services: vec![CINDER_VOLUME],
            alarm: Some(Duration::from_secs(REPORTED)),
            ok: Some(Duration::from_secs(REFRESHED)),
            named: Some("service_report"),
            ..Goal::default()
        }),
    ]
}

fn scenario(
    name: &'static str,
    title: &'static str,
    inject: Act<Services>,
    repair: Act<Services>,
) -> Scenario<Services> {
    Scenario::new(name, title, inject, repair)
}

fn freeze_workers(services: &mut Services, pids: &mut Vec<u32>) -> Result<()> {
    for service in MULTI_PROCESS {
        let workers = services.daemon(service)?.workers();
        pids.push(*workers.first().with_context(|| format!("{service} has no worker"))?);
    }
    pids.iter().try_for_each(|pid| send(*pid, Signal::STOP))
}
