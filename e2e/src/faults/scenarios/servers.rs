//! Faults of the servers that Nova needs.

use std::time::Duration;

use anyhow::Result;

use super::{DATABASE_SERVICES, RPC_SERVICES, THROUGH_CONDUCTOR, fault, s};
use crate::cluster::{API, COMPUTE, COMPUTE_LIBVIRT, Databases, METADATA};
use crate::faults::{Goal, Scenario, Scene};
use crate::servers::Resource;
use crate::stage::{CONDUCTOR, SCHEDULER};
use crate::watch::Status;

/// Seconds until a refresh has noticed: it is due after 10 s, plus or minus a fifth, and its outcome is visible a moment later.
const REFRESHED: u64 = 13;

/// Seconds until a refresh has no answer.
const NO_ANSWER: u64 = 6;

/// Seconds for which a report to Nova counts, and until the next one is due.
const UNREPORTED: u64 = 43;

/// Seconds until a question to a silent name server fails: it is asked twice, for five seconds.
const QUESTION: u64 = 10;
/// The services that know their servers by name.
const BY_NAME: [&str; 2] = [CONDUCTOR, SCHEDULER];

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

/// The goals for a lost database. Services notice it at their next refresh or report.
fn without_database(scenario: Scenario) -> Scenario {
    scenario
        .alarm_goal(&DATABASE_SERVICES, Some(REFRESHED), Some(REFRESHED))
        .alarm_goal(&THROUGH_CONDUCTOR, Some(REFRESHED), Some(REFRESHED))
        .min_duration(30)
}

/// The goals for a database server that is frozen.
fn frozen(scenario: Scenario, stalled: Duration) -> Scenario {
    scenario.alarm_goal(&DATABASE_SERVICES, Some(REFRESHED + NO_ANSWER), None).fault_goal(
        &DATABASE_SERVICES,
        stalled,
        5,
    )
}

/// The goals for a database server that answers, and refuses what the work needs.
fn refusing(scenario: Scenario) -> Scenario {
    scenario
        .alarm_goal(&DATABASE_SERVICES, Some(REFRESHED), Some(REFRESHED))
        .fault_goal(&DATABASE_SERVICES, s(REFRESHED + FAILING), REFRESHED)
        .min_duration(30)
}

/// The goals where the table of services, or the database as a whole, takes no writes without saying so. A refresh writes nothing:
/// only reports meet the hang. What nova-conductor reads for others ends meanwhile, so it need not be a FAULT there.
fn unable_to_report(scenario: Scenario, stall_after: Duration) -> Scenario {
    scenario.alarm_goal(&RPC_SERVICES, Some(UNREPORTED), Some(REFRESHED)).goal(Goal {
        services: vec![SCHEDULER],
        fault: Some(stall_after + s(REFRESHED)),
        named: Some("database"),
        ..Goal::default()
    })
}

/// The goals for a cell whose database is away: named, and never a reason to restart the API.
fn without_cell(scenario: Scenario, alarm: u64) -> Scenario {
    scenario
        .goal(Goal {
            services: vec![API, METADATA],
            alarm: Some(s(alarm)),
            ok: Some(s(REFRESHED)),
            named: Some("database_nova_cell2"),
            never: &[Status::Fault, Status::Silent],
            ..Goal::default()
        })
        .concerns(&[API, METADATA, SCHEDULER])
        .min_duration(80)
}

pub(super) fn scenarios(stall_after: Duration) -> Vec<Scenario> {
    // An idle service meets the hang with its next refresh.
    let stalled = stall_after + s(REFRESHED);
    let mut all = broker(stall_after);
    all.extend(names());
    all.extend([
        without_database(fault(
            "mariadb-stopped",
            "MariaDB stopped",
            |scene, _| stop(|| scene.mariadb().stop()),
            |scene, _| scene.mariadb().start(),
        )),
        frozen(
            fault(
                "mariadb-frozen",
                "MariaDB frozen",
                |scene, _| scene.mariadb().freeze(),
                |scene, _| scene.mariadb().thaw(),
            ),
            stalled,
        ),
        refusing(fault(
            "mariadb-read-only",
            "MariaDB refuses writes, as after a failover",
            |scene, _| scene.mariadb().refuse_writes(),
            |scene, _| scene.mariadb().take_writes(),
        )),
        fault(
            "mariadb-locked",
            "MariaDB locked for a backup",
            |scene, _| scene.mariadb().lock_for_backup(),
            |scene, _| scene.mariadb().unlock(),
        )
        .alarm_goal(&DATABASE_SERVICES, Some(REFRESHED + NO_ANSWER), Some(REFRESHED))
        .min_duration(30),
        unable_to_report(
            fault(
                "mariadb-table-locked",
                "a table locked by a change of its schema",
                |scene, _| scene.mariadb().lock_by_change("nova.services"),
                |scene, _| scene.mariadb().unlock(),
            ),
            stall_after,
        ),
        unable_to_report(
            fault(
                "mariadb-disk-full",
                "MariaDB's disk full",
                |scene, _| scene.overfill_mariadb(),
                |scene, _| scene.free_mariadb(),
            ),
            stall_after,
        ),
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
        without_cell(
            fault(
                "cell-frozen",
                "the database of one cell frozen",
                |scene, _| scene.cell2().freeze(),
                |scene, _| scene.cell2().thaw(),
            ),
            REFRESHED + NO_ANSWER,
        ),
        without_cell(
            fault(
                "cell-killed",
                "the database of one cell killed",
                |scene, _| scene.cell2().kill(),
                |scene, _| scene.cell2().start(),
            ),
            REFRESHED,
        ),
        Scenario {
            on: Databases::Galera,
            ..refusing(fault(
                "galera-without-quorum",
                "a Galera node without quorum",
                |scene, _| scene.lose_quorum(),
                |scene, _| scene.restore_quorum(),
            ))
        },
        Scenario {
            on: Databases::PostgreSql,
            ..without_database(fault(
                "postgresql-stopped",
                "PostgreSQL stopped",
                |scene, _| scene.postgresql()?.stop(),
                |scene, _| scene.postgresql()?.start(),
            ))
        },
        Scenario {
            on: Databases::PostgreSql,
            ..frozen(
                fault(
                    "postgresql-frozen",
                    "PostgreSQL frozen",
                    |scene, _| scene.postgresql()?.freeze(),
                    |scene, _| scene.postgresql()?.thaw(),
                ),
                stalled,
            )
        },
        Scenario {
            on: Databases::PostgreSql,
            ..refusing(fault(
                "postgresql-read-only",
                "PostgreSQL refuses writes, as after a failover",
                |scene, _| scene.postgresql()?.refuse_writes(true),
                |scene, _| scene.postgresql()?.refuse_writes(false),
            ))
        },
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
        .alarm_goal(&RPC_SERVICES, Some(2), Some(RECONNECTED_SOON))
        .min_duration(30),
        fault(
            "rabbitmq-stopped",
            "RabbitMQ stopped",
            |scene, _| stop(|| scene.rabbitmq().stop()),
            |scene, _| scene.rabbitmq().start(),
        )
        .alarm_goal(&RPC_SERVICES, None, Some(RECONNECTED_SOON)),
        fault(
            "rabbitmq-frozen",
            "RabbitMQ frozen",
            |scene, _| scene.rabbitmq().freeze(),
            |scene, _| scene.rabbitmq().thaw(),
        )
        .alarm_goal(&RPC_SERVICES, Some(SILENT), Some(RECONNECTED))
        .min_duration(80),
        fault(
            "rabbitmq-blackholed",
            "RabbitMQ blackholed",
            |scene, _| scene.rabbitmq().blackhole(),
            |scene, _| scene.rabbitmq().restore(),
        )
        .alarm_goal(&RPC_SERVICES, Some(SILENT), Some(RECONNECTED))
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

/// Faults of the name server, which nobody notices before a connection is made anew. A question takes ten seconds to fail.
fn names() -> Vec<Scenario> {
    let silent = |name, title, inject, goal: Goal| {
        fault(name, title, inject, |scene: &mut Scene, _: &mut Vec<u32>| scene.silence_names(false))
            .goal(Goal { services: BY_NAME.to_vec(), ..goal })
            .prepared(|scene, _| scene.use_names(&BY_NAME), |scene, _| scene.use_addresses(&BY_NAME))
            .min_duration(40)
    };
    vec![
        silent(
            "names-lost-database",
            "the name server silent, the database's connections lost",
            |scene, _| {
                scene.silence_names(true)?;
                scene.mariadb().end_connections()
            },
            Goal {
                alarm: Some(s(REFRESHED + QUESTION)),
                fault: Some(s(REFRESHED + FAILING + 2 * QUESTION)),
                ok: Some(s(REFRESHED + QUESTION)),
                named: Some("database"),
                ..Goal::default()
            },
        ),
        silent(
            "names-lost-broker",
            "the name server silent, the broker's connections lost",
            |scene, _| {
                scene.silence_names(true)?;
                scene.rabbitmq().end_connections()
            },
            // `rabbitmqctl` takes seconds to start, before it can close the connections.
            Goal {
                alarm: Some(s(QUESTION + 5)),
                ok: Some(s(RECONNECTED)),
                named: Some("message_bus"),
                ..Goal::default()
            },
        ),
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
