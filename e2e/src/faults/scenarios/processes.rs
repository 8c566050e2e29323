//! Faults of Nova's own processes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{RPC_SERVICES, fault, s};
use crate::cluster::{API, COMPUTE, COMPUTE_LIBVIRT, Concurrency, METADATA};
use crate::faults::block::{Lock, block, unblock};
use crate::faults::leak::{give_back, leak};
use crate::faults::{Act, Goal, Scenario, Scene};
use crate::probe::ask;
use crate::processes::{Signal, send};
use crate::stage::{CONDUCTOR, SCHEDULER};

/// The ttl of `progress` is ten seconds. Five more may pass until the alarm.
const MAX_HUNG_ALARM_DELAY: u64 = 15;
/// Seconds until SQLAlchemy gives up to wait for a place in its pool.
const POOL_TIMEOUT: u64 = 30;
/// Seconds until a service has reported to Nova, which it does every ten seconds.
const REPORTED: u64 = 13;
/// The services with a second process that can serve when the holder dies.
const MULTI_PROCESS_SERVICES: [&str; 4] = [API, METADATA, CONDUCTOR, SCHEDULER];
/// The services whose main thread is blocked.
const BLOCKED_SERVICES: [&str; 3] = [CONDUCTOR, SCHEDULER, COMPUTE];
/// nova-conductor, and the services that depend on it.
const CONDUCTOR_AND_CLIENTS: [&str; 3] = [CONDUCTOR, COMPUTE, COMPUTE_LIBVIRT];

pub(super) fn scenarios(stall_after: Duration) -> Vec<Scenario> {
    vec![
        frozen("worker-frozen", "one conductor worker frozen", |scene, pids| freeze(scene, pids, 1)),
        frozen("workers-frozen", "all conductor workers frozen", |scene, pids| freeze(scene, pids, 2)),
        blocked("hub-blocked", "hub blocked, GIL released", |scene, pids| {
            block_each(scene, pids, Lock::Released)
        })
        .only(Concurrency::Eventlet),
        blocked("gil-held", "main thread blocked, GIL held", |scene, pids| {
            block_each(scene, pids, Lock::Held)
        }),
        leaked(stall_after),
        stuck_requests(stall_after),
        stuck_calls(stall_after),
        fault("reload", "SIGHUP", send_sighup, nothing).concerns(&[]),
        killed("worker-killed", "one conductor worker killed", |scene, _| kill(scene, 1)),
        killed("workers-killed", "all conductor workers killed", |scene, _| kill(scene, 2)),
        fault("master-killed", "conductor's master killed", kill_master, |scene, _| scene.restart(CONDUCTOR))
            .concerns(&CONDUCTOR_AND_CLIENTS)
            .with_tidy(|scene, _| scene.renew(CONDUCTOR)),
        Scenario {
            interval: Duration::from_millis(10),
            ..fault("holder-killed", "holder of the endpoint killed", kill_holders, nothing)
                .answer_goal(&MULTI_PROCESS_SERVICES, Duration::from_millis(200))
                .with_tidy(|scene, _| {
                    MULTI_PROCESS_SERVICES.into_iter().try_for_each(|service| scene.renew(service))
                })
        },
    ]
}

/// An operation waits 30 s for a place in the pool before it fails. Reports are due each 10 s.
fn leaked(stall_after: Duration) -> Scenario {
    fault(
        "pool-leaked",
        "all database connections of conductor's workers leaked",
        |scene, pids| {
            scene.mariadb().allow_connections(1000)?;
            pids.extend(workers(scene, 2)?);
            pids.iter().try_for_each(|pid| leak(*pid))
        },
        |_, pids| pids.iter().try_for_each(|pid| give_back(*pid)),
    )
    .goal(Goal {
        services: vec![CONDUCTOR],
        alarm: Some(s(POOL_TIMEOUT + REPORTED)),
        fault: Some(stall_after + s(POOL_TIMEOUT + REPORTED)),
        ok: Some(s(REPORTED)),
        named: Some("database"),
        ..Goal::default()
    })
    .concerns(&CONDUCTOR_AND_CLIENTS)
}

fn stuck_requests(stall_after: Duration) -> Scenario {
    fault(
        "requests-stuck",
        "all API workers in requests that hang",
        |scene, _| scene.begin_stuck_requests(2),
        |scene, _| scene.end_stuck_requests(),
    )
    .goal(Goal {
        services: vec![API],
        fault: Some(stall_after + s(5)),
        ok: Some(s(3)),
        named: Some("requests"),
        ..Goal::default()
    })
    .concerns(&[API])
}

fn stuck_calls(stall_after: Duration) -> Scenario {
    fault(
        "calls-stuck",
        "all RPC threads of conductor in calls that hang",
        |scene, _| scene.begin_stuck_calls(16),
        |scene, _| scene.end_stuck_calls(),
    )
    .goal(Goal {
        services: vec![CONDUCTOR],
        // The program that calls it has to start.
        fault: Some(stall_after + s(25)),
        named: Some("rpc_server"),
        ..Goal::default()
    })
    .prepared(|scene, _| scene.limit_threads(4), |scene, _| scene.renew(CONDUCTOR))
}

fn frozen(name: &'static str, title: &'static str, inject: Act) -> Scenario {
    fault(name, title, inject, |_, pids| pids.iter().try_for_each(|pid| send(*pid, Signal::CONT)))
        .alarm_goal(&[CONDUCTOR], Some(MAX_HUNG_ALARM_DELAY), Some(3))
        .concerns(&CONDUCTOR_AND_CLIENTS)
}

fn killed(name: &'static str, title: &'static str, inject: Act) -> Scenario {
    fault(name, title, inject, nothing)
        .answer_goal(&[CONDUCTOR], Duration::from_millis(200))
        .concerns(&CONDUCTOR_AND_CLIENTS)
        .with_tidy(|scene, _| scene.renew(CONDUCTOR))
}

fn blocked(name: &'static str, title: &'static str, inject: Act) -> Scenario {
    fault(name, title, inject, |scene, pids| pids.iter().try_for_each(|pid| unblock(scene.folder(), *pid)))
        .alarm_goal(&BLOCKED_SERVICES, Some(MAX_HUNG_ALARM_DELAY), Some(3))
        .concerns(&RPC_SERVICES)
}

impl Scenario {
    fn only(self, mode: Concurrency) -> Self {
        Self { only: Some(mode), ..self }
    }
}

fn nothing(_: &mut Scene, _: &mut Vec<u32>) -> Result<()> {
    Ok(())
}

fn freeze(scene: &mut Scene, pids: &mut Vec<u32>, count: usize) -> Result<()> {
    pids.extend(workers(scene, count)?);
    pids.iter().try_for_each(|pid| send(*pid, Signal::STOP))
}

fn kill(scene: &mut Scene, count: usize) -> Result<()> {
    workers(scene, count)?.into_iter().try_for_each(|pid| send(pid, Signal::KILL))
}

fn kill_master(scene: &mut Scene, _: &mut Vec<u32>) -> Result<()> {
    send(scene.daemon(CONDUCTOR)?.pid(), Signal::KILL)
}

fn kill_holders(scene: &mut Scene, _: &mut Vec<u32>) -> Result<()> {
    for service in MULTI_PROCESS_SERVICES {
        // Under eventlet the scheduler is a single process. No other one can serve.
        if scene.daemon(service)?.workers().is_empty() {
            continue;
        }
        let holder = ask(&scene.uri(service))?.serving().context("a report does not say who serves it")?;
        send(holder, Signal::KILL)?;
    }
    Ok(())
}

fn send_sighup(scene: &mut Scene, _: &mut Vec<u32>) -> Result<()> {
    RPC_SERVICES.into_iter().try_for_each(|service| send(scene.daemon(service)?.pid(), Signal::HUP))
}

/// Blocks one process of each service: a worker, if there are workers.
fn block_each(scene: &mut Scene, pids: &mut Vec<u32>, lock: Lock) -> Result<()> {
    for service in BLOCKED_SERVICES {
        let daemon = scene.daemon(service)?;
        let pid = daemon.workers().first().copied().unwrap_or(daemon.pid());
        block(scene.folder(), pid, lock)?;
        pids.push(pid);
    }
    Ok(())
}

fn workers(scene: &Scene, count: usize) -> Result<Vec<u32>> {
    let mut workers = scene.daemon(CONDUCTOR)?.workers();
    ensure!(workers.len() >= count, "nova-conductor has {} workers, expected {count}", workers.len());
    workers.truncate(count);
    Ok(workers)
}
