//! The probes of `deploy/kubernetes`: the schema of the API, and what a stand-in for kubelet does with them.

use anyhow::Result;
use healthboard_e2e::Setup;
use healthboard_e2e::deploy::kubernetes::{MANIFESTS, Pace, play, play_without_startup_probe, validate};

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn the_manifests_have_the_schema_of_the_api() -> Result<()> {
    validate(&Setup::open()?)
}

/// A slow start is not killed, a missing database takes the service out and restarts nothing, a hang is restarted.
fn the_probes_act_as_they_should(manifest: &str, missing: &str, hung: &str) -> Result<()> {
    let steps = play(&Setup::open()?, manifest, Pace::Quick)?;
    let [start, away, back, hang, again] = steps.as_slice() else { panic!("{steps:#?}") };
    assert_eq!((start.seen.as_str(), start.restarts), ("ready", 0));
    assert!(away.seen.contains(missing) && away.seen.contains("[-]database failed: "), "{away:?}");
    assert_eq!((back.seen.as_str(), back.restarts), ("ready", 0));
    assert!(hang.seen.contains(hung) && hang.seen.contains("[-]progress failed"), "{hang:?}");
    assert_eq!((again.seen.as_str(), again.restarts), ("ready", 1));
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn probes_over_http_restart_a_hang_and_nothing_else() -> Result<()> {
    let failed = "HTTP probe failed with statuscode: 503";
    the_probes_act_as_they_should(
        MANIFESTS[0],
        &format!("not ready: {failed}"),
        &format!("killed: Liveness: {failed}"),
    )
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn probes_by_command_restart_a_hang_and_nothing_else() -> Result<()> {
    the_probes_act_as_they_should(
        MANIFESTS[1],
        "not ready: exit status: 2",
        "killed: Liveness: exit status: 2",
    )
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn without_a_startup_probe_a_slow_start_is_killed() -> Result<()> {
    let killed = play_without_startup_probe(&Setup::open()?, MANIFESTS[0])?;
    assert!(killed.seen.starts_with("killed: Liveness: "), "{killed:?}");
    Ok(())
}

#[test]
fn the_post_renderer_for_openstack_helm_has_the_probes_of_the_manifest() -> Result<()> {
    let manifest = Setup::workspace_file(MANIFESTS[1])?;
    let rendered = Setup::workspace_file("deploy/kubernetes/openstack-helm/kustomization.yaml")?;
    let probes: Vec<_> = manifest.lines().map(str::trim).filter(|line| line.contains("\"check\"")).collect();
    assert_eq!(probes.len(), 3, "{manifest}");
    for service in ["nova-conductor", "nova-scheduler"] {
        for probe in &probes {
            let probe = probe.replace("nova-compute", service);
            assert_eq!(rendered.matches(&probe).count(), 1, "{probe}");
        }
    }
    Ok(())
}
