//! The ten faults that the probes are compared in, each as in docs/faults.md.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::cluster::Cluster;
use crate::faults::block::{Lock, block, unblock};
use crate::processes::{Signal, send};

/// One fault of nova-conductor.
pub(super) struct Fault {
    /// As in docs/faults.md.
    pub(super) title: &'static str,
    /// How long it lasts: longer than the slowest probe needs, where one can notice it.
    pub(super) seconds: u64,
    pub(super) inject: Act,
    pub(super) repair: Act,
}

/// What is done to the servers, or to the workers.
pub(super) type Act = fn(&mut Cluster, &[u32]) -> Result<()>;

/// Long enough for a server that refuses or is gone.
const REFUSED: u64 = 30;
/// Long enough for a hang: our `stall_after` is 60 s, and openstack-helm's timeout 70 s.
const HUNG: u64 = 90;

pub(super) const FAULTS: [Fault; 10] = [
    of(
        "RabbitMQ killed",
        REFUSED,
        |cluster, _| cluster.rabbitmq().kill(),
        |cluster, _| cluster.rabbitmq().start(),
    ),
    of(
        "RabbitMQ frozen",
        HUNG,
        |cluster, _| cluster.rabbitmq().freeze(),
        |cluster, _| cluster.rabbitmq().thaw(),
    ),
    of(
        "RabbitMQ blackholed",
        HUNG,
        |cluster, _| cluster.rabbitmq().blackhole(),
        |cluster, _| cluster.rabbitmq().restore(),
    ),
    of(
        "MariaDB stopped",
        REFUSED,
        |cluster, _| {
            cluster.mariadb().stop();
            Ok(())
        },
        |cluster, _| cluster.mariadb().start(),
    ),
    of(
        "MariaDB frozen",
        HUNG,
        |cluster, _| cluster.mariadb().freeze(),
        |cluster, _| cluster.mariadb().thaw(),
    ),
    of(
        "MariaDB out of connections",
        REFUSED,
        |cluster, _| cluster.mariadb().exhaust_connections(),
        |cluster, _| cluster.mariadb().release_connections(),
    ),
    of(
        "MariaDB's password changed",
        REFUSED,
        |cluster, _| cluster.mariadb().change_password(),
        |cluster, _| cluster.mariadb().restore_password(),
    ),
    of("one conductor worker frozen", HUNG, |_, workers| freeze(workers, 1), thaw),
    of(ALL_FROZEN, HUNG, |_, workers| freeze(workers, 2), thaw),
    of(
        "main thread blocked, GIL held",
        HUNG,
        |cluster, workers| each(cluster.folder(), workers, |folder, pid| block(folder, pid, Lock::Held)),
        |cluster, workers| each(cluster.folder(), workers, unblock),
    ),
];

/// The fault of the test.
pub(super) const ALL_FROZEN: &str = "all conductor workers frozen";

const fn of(title: &'static str, seconds: u64, inject: Act, repair: Act) -> Fault {
    Fault { title, seconds, inject, repair }
}

fn freeze(workers: &[u32], count: usize) -> Result<()> {
    ensure!(workers.len() >= count, "found {} workers, expected {count}", workers.len());
    workers[..count].iter().try_for_each(|pid| send(*pid, Signal::STOP))
}

fn thaw(_: &mut Cluster, workers: &[u32]) -> Result<()> {
    workers.iter().try_for_each(|pid| send(*pid, Signal::CONT))
}

fn each(folder: &Path, workers: &[u32], act: impl Fn(&Path, u32) -> Result<()>) -> Result<()> {
    workers.iter().try_for_each(|pid| act(folder, *pid))
}
