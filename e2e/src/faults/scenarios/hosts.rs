//! Faults of the host.

use anyhow::{Context, Result};

use super::fault;
use crate::cluster::{COMPUTE, COMPUTE_LIBVIRT};
use crate::faults::{Scenario, Scene};
use crate::processes::{Signal, send};
use crate::stage::CONDUCTOR;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        fault("disk-full", "disk full under the runtime folder, a worker killed", disk_full, |scene, _| {
            scene.disk().empty()
        })
        .concerns(&[CONDUCTOR, COMPUTE, COMPUTE_LIBVIRT])
        .with_tidy(|scene, _| scene.renew(CONDUCTOR)),
    ]
}

/// The worker that replaces the killed one needs a new board.
fn disk_full(scene: &mut Scene, _: &mut Vec<u32>) -> Result<()> {
    scene.disk().fill()?;
    let workers = scene.daemon(CONDUCTOR)?.workers();
    send(*workers.first().context("nova-conductor has no worker")?, Signal::KILL)
}
