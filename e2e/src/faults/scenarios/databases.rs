//! Faults of the servers of the databases.

use std::time::Duration;

use anyhow::Result;

use super::{
    DATABASE_SERVICES, FAILING, REFRESHED, REPORT_COUNTS, REPORTED, RPC_SERVICES, THROUGH_CONDUCTOR, fault,
    s, stop,
};
use crate::cluster::{API, Backends, METADATA};
use crate::faults::{Goal, Scenario, Scene};
use crate::stage::{CONDUCTOR, SCHEDULER};
use crate::watch::Status;

/// Seconds until a refresh has no answer.
const NO_ANSWER: u64 = 6;

/// Seconds for which a report to Nova counts, and until the next one is due.
const UNREPORTED: u64 = 43;

pub(super) fn scenarios(stall_after: Duration) -> Vec<Scenario> {
    // An idle service meets the hang with its next refresh.
    let stalled = stall_after + s(REFRESHED);
    vec![
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
        unable_to_report(fault(
            "mariadb-table-locked",
            "a table locked by a change of its schema",
            |scene, _| scene.mariadb().lock_by_change("nova.services"),
            |scene, _| scene.mariadb().unlock(),
        )),
        unable_to_report(fault(
            "mariadb-disk-full",
            "MariaDB's disk full",
            |scene, _| scene.overfill_mariadb(),
            |scene, _| scene.free_mariadb(),
        )),
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
            on: Backends::Galera,
            ..refusing(fault(
                "galera-without-quorum",
                "a Galera node without quorum",
                |scene, _| scene.lose_quorum(),
                |scene, _| scene.restore_quorum(),
            ))
        },
        Scenario {
            on: Backends::PostgreSql,
            ..without_database(fault(
                "postgresql-stopped",
                "PostgreSQL stopped",
                |scene, _| scene.postgresql()?.stop(),
                |scene, _| scene.postgresql()?.start(),
            ))
        },
        Scenario {
            on: Backends::PostgreSql,
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
            on: Backends::PostgreSql,
            ..refusing(fault(
                "postgresql-read-only",
                "PostgreSQL refuses writes, as after a failover",
                |scene, _| scene.postgresql()?.refuse_writes(true),
                |scene, _| scene.postgresql()?.refuse_writes(false),
            ))
        },
        fault("mariadb-away-at-start", "MariaDB away at start", mariadb_away_at_start, |scene, _| {
            scene.mariadb().start()
        })
        .alarm_goal(&THROUGH_CONDUCTOR, None, Some(REPORTED))
        .recovered_after(REPORT_COUNTS + 2),
    ]
}

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
/// only reports meet the hang. Whether this is a FAULT depends on the work: what a service reads ends meanwhile.
fn unable_to_report(scenario: Scenario) -> Scenario {
    scenario.alarm_goal(&RPC_SERVICES, Some(UNREPORTED), Some(REFRESHED)).min_duration(70)
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

fn mariadb_away_at_start(scene: &mut Scene, _: &mut Vec<u32>) -> Result<()> {
    scene.mariadb().stop();
    [API, CONDUCTOR, SCHEDULER].into_iter().try_for_each(|service| scene.restart_afresh(service))
}
