//! Faults of the other servers that Nova needs.

use std::time::Duration;

use super::{REFRESHED, fault, s, stop};
use crate::cluster::COMPUTE_LIBVIRT;
use crate::faults::Scenario;

pub(super) fn scenarios(stall_after: Duration) -> Vec<Scenario> {
    vec![
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
        .fault_goal(&[COMPUTE_LIBVIRT], stall_after + s(REFRESHED), 5)
        .concerns(&[COMPUTE_LIBVIRT]),
        fault(
            "placement-gone",
            "placement gone",
            |scene, _| stop(|| scene.placement().stop()),
            |scene, _| scene.placement().start(),
        )
        .concerns(&[])
        .min_duration(65),
    ]
}
