//! Faults of the name server.

use super::{FAILING, RECONNECTED, REFRESHED, fault, s};
use crate::faults::{Goal, Scenario, Scene};
use crate::stage::{CONDUCTOR, SCHEDULER};

/// Seconds until a question to a silent name server fails: it is asked twice, for five seconds.
const QUESTION: u64 = 10;
/// The services that know their servers by name.
const BY_NAME: [&str; 2] = [CONDUCTOR, SCHEDULER];

/// Nobody notices that the name server is silent before a connection is made anew. A question takes ten seconds to fail.
pub(super) fn scenarios() -> Vec<Scenario> {
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
