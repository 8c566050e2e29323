//! Faults of the servers that Nova needs.

use std::time::Duration;

use anyhow::Result;

use super::{CONTROLLERS, DATABASE_SERVICES, THROUGH_CONDUCTOR, fault, s};
use crate::cluster::{API, COMPUTE, COMPUTE_LIBVIRT};
use crate::faults::{Scenario, Scene};
use crate::servers::Resource;
use crate::stage::{CONDUCTOR, SCHEDULER};

/// Seconds until a refresh has noticed: it is due after 10 s, plus or minus a fifth, and its outcome is visible a moment later.
const REFRESHED: u64 = 13;

/// Seconds until a refresh has no answer.
const NO_ANSWER: u64 = 6;

/// Seconds from a first failure until the failing one is a FAULT: the failure window, and a refresh after it.
const FAILING: u64 = 13;

/// Seconds for which `RabbitMQ` may send nothing over a connection that works: oslo.messaging asks for heartbeats of 60 s. The rest
/// is for a busy host.
const SILENT: u64 = 70;
/// Seconds until oslo.messaging connects again: it waits for two more after each attempt, up to 30. The service is not OK before,
/// even if the server is.
const RECONNECTED: u64 = 35;
/// The same after an outage of half a minute.
const RECONNECTED_SOON: u64 = 15;
/// Seconds until a compute service that has lost the reply to its report is OK again: the report waits for 60 s, the next one follows
/// within 10 s.
const REPORTED: u64 = 75;

/// The goals for a lost database. Services notice it at their next refresh or report.
fn without_database(scenario: Scenario) -> Scenario {
    scenario
        .alarm_goal(&DATABASE_SERVICES, Some(REFRESHED), Some(REFRESHED))
        .alarm_goal(&THROUGH_CONDUCTOR, Some(REFRESHED), Some(REFRESHED))
        .min_duration(30)
}

pub(super) fn scenarios(stall_after: Duration) -> Vec<Scenario> {
    // An idle service meets the hang with its next refresh.
    let stalled = stall_after + s(REFRESHED);
    let mut all = broker(stall_after);
    all.extend([
        without_database(fault(
            "mariadb-stopped",
            "MariaDB stopped",
            |scene, _| stop(|| scene.mariadb().stop()),
            |scene, _| scene.mariadb().start(),
        )),
        fault(
            "mariadb-frozen",
            "MariaDB frozen",
            |scene, _| scene.mariadb().freeze(),
            |scene, _| scene.mariadb().thaw(),
        )
        .alarm_goal(&DATABASE_SERVICES, Some(REFRESHED + NO_ANSWER), None)
        .fault_goal(&DATABASE_SERVICES, stalled, 5),
        fault(
            "mariadb-read-only",
            "MariaDB refuses writes, as after a failover",
            |scene, _| scene.mariadb().refuse_writes(),
            |scene, _| scene.mariadb().take_writes(),
        )
        .alarm_goal(&DATABASE_SERVICES, Some(REFRESHED), Some(REFRESHED))
        .fault_goal(&DATABASE_SERVICES, s(REFRESHED + FAILING), REFRESHED)
        .min_duration(30),
        fault(
            "mariadb-locked",
            "MariaDB locked for a backup",
            |scene, _| scene.mariadb().lock_for_backup(),
            |scene, _| scene.mariadb().unlock(),
        )
        .alarm_goal(&DATABASE_SERVICES, Some(REFRESHED + NO_ANSWER), Some(REFRESHED))
        .min_duration(30),
        without_database(fault(
            "mariadb-exhausted",
            "MariaDB out of connections",
            |scene, _| scene.mariadb().exhaust_connections(),
            |scene, _| scene.mariadb().release_connections(),
        )),
        without_database(fault(
            "mariadb-password",
            "MariaDB's password changed",
            |scene, _| scene.mariadb().change_password(),
            |scene, _| scene.mariadb().restore_password(),
        )),
        fault(
            "libvirtd-terminated",
            "libvirtd terminated",
            |scene, _| stop(|| scene.libvirtd().stop()),
            |scene, _| scene.libvirtd().start(),
        )
        .concerns(&[COMPUTE_LIBVIRT]),
        fault(
            "libvirtd-frozen",
            "libvirtd frozen",
            |scene, _| scene.libvirtd().freeze(),
            |scene, _| scene.libvirtd().thaw(),
        )
        .fault_goal(&[COMPUTE_LIBVIRT], stalled, 5)
        .concerns(&[COMPUTE_LIBVIRT]),
        fault(
            "placement-gone",
            "placement gone",
            |scene, _| stop(|| scene.placement().stop()),
            |scene, _| scene.placement().start(),
        )
        .concerns(&[])
        .min_duration(65),
        Scenario {
            // A killed process is reported for longer than the next fault can wait.
            tidy: |scene, _| scene.renew(API),
            ..fault("mariadb-away-at-start", "MariaDB away at start", mariadb_away_at_start, |scene, _| {
                scene.mariadb().start()
            })
        },
    ]);
    all
}

fn broker(stall_after: Duration) -> Vec<Scenario> {
    // Who reports through the conductor publishes every 10 s.
    let blocked = |scenario: Scenario| {
        scenario
            .alarm_goal(&THROUGH_CONDUCTOR, Some(REFRESHED), None)
            .fault_goal(&THROUGH_CONDUCTOR, stall_after + s(REFRESHED), 5)
            .min_duration(80)
    };
    vec![
        fault(
            "rabbitmq-killed",
            "RabbitMQ killed",
            |scene, _| scene.rabbitmq().kill(),
            |scene, _| scene.rabbitmq().start(),
        )
        .alarm_goal(&CONTROLLERS, Some(2), Some(RECONNECTED_SOON))
        .alarm_goal(&THROUGH_CONDUCTOR, Some(2), Some(REPORTED))
        .min_duration(30),
        fault(
            "rabbitmq-stopped",
            "RabbitMQ stopped",
            |scene, _| stop(|| scene.rabbitmq().stop()),
            |scene, _| scene.rabbitmq().start(),
        )
        .alarm_goal(&CONTROLLERS, None, Some(RECONNECTED_SOON))
        .alarm_goal(&THROUGH_CONDUCTOR, None, Some(REPORTED)),
        fault(
            "rabbitmq-frozen",
            "RabbitMQ frozen",
            |scene, _| scene.rabbitmq().freeze(),
            |scene, _| scene.rabbitmq().thaw(),
        )
        .alarm_goal(&CONTROLLERS, Some(SILENT), Some(RECONNECTED))
        .alarm_goal(&THROUGH_CONDUCTOR, Some(SILENT), Some(REPORTED))
        .min_duration(80),
        fault(
            "rabbitmq-blackholed",
            "RabbitMQ blackholed",
            |scene, _| scene.rabbitmq().blackhole(),
            |scene, _| scene.rabbitmq().restore(),
        )
        .alarm_goal(&CONTROLLERS, Some(SILENT), Some(RECONNECTED))
        .alarm_goal(&THROUGH_CONDUCTOR, Some(SILENT), Some(REPORTED))
        .min_duration(80),
        blocked(fault(
            "rabbitmq-out-of-memory",
            "RabbitMQ out of memory",
            |scene, _| scene.rabbitmq().exhaust(Resource::Memory),
            |scene, _| scene.rabbitmq().restock(Resource::Memory),
        )),
        blocked(fault(
            "rabbitmq-out-of-disk",
            "RabbitMQ out of disk",
            |scene, _| scene.rabbitmq().exhaust(Resource::Disk),
            |scene, _| scene.rabbitmq().restock(Resource::Disk),
        )),
        fault("rabbitmq-away-at-start", "RabbitMQ away at start", rabbitmq_away_at_start, |scene, _| {
            scene.rabbitmq().start()
        }),
    ]
}

fn rabbitmq_away_at_start(scene: &mut Scene, _: &mut Vec<u32>) -> Result<()> {
    scene.rabbitmq().stop();
    [CONDUCTOR, COMPUTE].into_iter().try_for_each(|service| scene.restart(service))
}

fn mariadb_away_at_start(scene: &mut Scene, _: &mut Vec<u32>) -> Result<()> {
    scene.mariadb().stop();
    [API, CONDUCTOR, SCHEDULER].into_iter().try_for_each(|service| scene.restart(service))
}

/// Makes an act of stopping, which cannot fail.
fn stop(act: impl FnOnce()) -> Result<()> {
    act();
    Ok(())
}
