//! What happens to Nova's own processes.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{CONSUMERS, fault};
use crate::cluster::{API, COMPUTE, COMPUTE_LIBVIRT, Concurrency, METADATA};
use crate::faults::block::{Lock, block, unblock};
use crate::faults::{Act, Scenario, Scene};
use crate::probe::ask;
use crate::processes::{Signal, send};
use crate::stage::{CONDUCTOR, SCHEDULER};

/// Ten seconds without progress are allowed, and five until it must be said.
const HUNG: u64 = 15;
/// What has a process that can serve when another one dies.
const SEVERAL: [&str; 4] = [API, METADATA, CONDUCTOR, SCHEDULER];
/// Whose main thread is blocked.
const BLOCKED: [&str; 3] = [CONDUCTOR, SCHEDULER, COMPUTE];
/// Who may notice that nova-conductor is not what it was.
const AROUND_CONDUCTOR: [&str; 3] = [CONDUCTOR, COMPUTE, COMPUTE_LIBVIRT];

pub(super) fn scenarios() -> Vec<Scenario> {
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
        fault("reload", "SIGHUP", hang_up, nothing).concerns(&[]),
        killed("worker-killed", "one conductor worker killed", |scene, _| kill(scene, 1)),
        killed("workers-killed", "all conductor workers killed", |scene, _| kill(scene, 2)),
        fault("master-killed", "conductor's master killed", kill_master, |scene, _| scene.restart(CONDUCTOR))
            .concerns(&AROUND_CONDUCTOR)
            .tidied(|scene, _| scene.renew(CONDUCTOR)),
        Scenario {
            interval: Duration::from_millis(10),
            ..fault("holder-killed", "holder of the endpoint killed", kill_holders, nothing)
                .answers(&SEVERAL, Duration::from_millis(200))
                .tidied(|scene, _| SEVERAL.into_iter().try_for_each(|service| scene.renew(service)))
        },
    ]
}

fn frozen(name: &'static str, title: &'static str, inject: Act) -> Scenario {
    fault(name, title, inject, |_, pids| pids.iter().try_for_each(|pid| send(*pid, Signal::CONT)))
        .goal(&[CONDUCTOR], Some(HUNG), Some(3))
        .concerns(&AROUND_CONDUCTOR)
}

fn killed(name: &'static str, title: &'static str, inject: Act) -> Scenario {
    fault(name, title, inject, nothing)
        .answers(&[CONDUCTOR], Duration::from_millis(200))
        .concerns(&AROUND_CONDUCTOR)
        .tidied(|scene, _| scene.renew(CONDUCTOR))
}

fn blocked(name: &'static str, title: &'static str, inject: Act) -> Scenario {
    fault(name, title, inject, |scene, pids| pids.iter().try_for_each(|pid| unblock(scene.folder(), *pid)))
        .goal(&BLOCKED, Some(HUNG), Some(3))
        .concerns(&CONSUMERS)
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
    for service in SEVERAL {
        // Under eventlet the scheduler is one process alone: with it goes the service.
        if scene.daemon(service)?.workers().is_empty() {
            continue;
        }
        let holder = ask(&scene.uri(service))?.serving().context("a report does not say who serves it")?;
        send(holder, Signal::KILL)?;
    }
    Ok(())
}

fn hang_up(scene: &mut Scene, _: &mut Vec<u32>) -> Result<()> {
    CONSUMERS.into_iter().try_for_each(|service| send(scene.daemon(service)?.pid(), Signal::HUP))
}

/// One process of each: a worker where there are workers.
fn block_each(scene: &mut Scene, pids: &mut Vec<u32>, lock: Lock) -> Result<()> {
    for service in BLOCKED {
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
