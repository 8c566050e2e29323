//! Faults of the broker.

use std::time::Duration;

use anyhow::Result;

use super::{
    CONTROLLERS, RECONNECTED, RECOVERY, REFRESHED, REPORT_COUNTS, REPORTED, RPC_SERVICES, THROUGH_CONDUCTOR,
    fault, s, stop,
};
use crate::cluster::{Backends, COMPUTE};
use crate::faults::{Goal, Scenario, Scene};
use crate::servers::Resource;
use crate::stage::CONDUCTOR;
use crate::watch::Status;

/// Seconds for which `RabbitMQ` may send nothing over a connection that works: oslo.messaging asks for heartbeats of 60 s. The rest
/// is for a busy host.
const SILENT: u64 = 70;
/// Seconds until oslo.messaging connects again after an outage of half a minute.
const RECONNECTED_SOON: u64 = 15;
/// oslo.messaging's default of `rpc_response_timeout`.
const RPC_TIMEOUT: Duration = s(60);

pub(super) fn scenarios(stall_after: Duration) -> Vec<Scenario> {
    // Who reports through the conductor publishes every 10 s.
    let blocked = |scenario: Scenario| {
        scenario
            .alarm_goal(&THROUGH_CONDUCTOR, Some(REFRESHED), None)
            .fault_goal(&THROUGH_CONDUCTOR, stall_after + s(REFRESHED), 5)
            .min_duration(80)
    };
    // The service has connected again and is OK, but the reply to its report was lost: the report stalls, unless it times out first.
    let stalls = if stall_after < RPC_TIMEOUT { stall_after } else { Duration::ZERO };
    let loses_replies = |scenario: Scenario| Scenario { recovery: RECOVERY + stalls, ..scenario };
    vec![
        loses_replies(fault(
            "rabbitmq-killed",
            "RabbitMQ killed",
            |scene, _| scene.rabbitmq().kill(),
            |scene, _| scene.rabbitmq().start(),
        ))
        .alarm_goal(&CONTROLLERS, Some(2), Some(RECONNECTED_SOON))
        .alarm_goal(&THROUGH_CONDUCTOR, Some(2), Some(REPORTED))
        .min_duration(30),
        loses_replies(fault(
            "rabbitmq-stopped",
            "RabbitMQ stopped",
            |scene, _| stop(|| scene.rabbitmq().stop()),
            |scene, _| scene.rabbitmq().start(),
        ))
        .alarm_goal(&CONTROLLERS, None, Some(RECONNECTED_SOON))
        .alarm_goal(&THROUGH_CONDUCTOR, None, Some(REPORTED)),
        loses_replies(fault(
            "rabbitmq-frozen",
            "RabbitMQ frozen",
            |scene, _| scene.rabbitmq().freeze(),
            |scene, _| scene.rabbitmq().thaw(),
        ))
        .alarm_goal(&CONTROLLERS, Some(SILENT), Some(RECONNECTED))
        .alarm_goal(&THROUGH_CONDUCTOR, Some(SILENT), Some(REPORTED))
        .min_duration(80),
        loses_replies(fault(
            "rabbitmq-blackholed",
            "RabbitMQ blackholed",
            |scene, _| scene.rabbitmq().blackhole(),
            |scene, _| scene.rabbitmq().restore(),
        ))
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
        Scenario {
            on: Backends::RabbitMqCluster,
            ..fault(
                "rabbitmq-node-rebooted",
                "one of three nodes of RabbitMQ killed, and started after 30 s",
                |scene, _| scene.rabbitmq().kill(),
                |scene, _| scene.rabbitmq().start(),
            )
            .goal(Goal {
                services: RPC_SERVICES.to_vec(),
                // The others take over. Only who was connected to this node notices.
                never: &[Status::Fault, Status::Silent],
                ..Goal::default()
            })
            .min_duration(30)
        },
        fault("rabbitmq-away-at-start", "RabbitMQ away at start", rabbitmq_away_at_start, |scene, _| {
            scene.rabbitmq().start()
        })
        .recovered_after(REPORT_COUNTS + 2),
    ]
}

fn rabbitmq_away_at_start(scene: &mut Scene, _: &mut Vec<u32>) -> Result<()> {
    scene.rabbitmq().stop();
    [CONDUCTOR, COMPUTE].into_iter().try_for_each(|service| scene.restart_afresh(service))
}
