//! The probes of `deploy/kubernetes`: the schema of the API, and what a stand-in for kubelet does with them.

use std::path::Path;

use anyhow::{Context, Result};
use healthboard_e2e::Setup;
use healthboard_e2e::deploy::kubernetes::{
    MANIFESTS, Pace, documents, openstack_helm, play, play_without_startup_probe, validate,
};
use serde_json::Value;

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

/// The chart makes the root of its containers read-only.
#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn with_the_chart_of_openstack_helm_the_probes_are_those_of_the_manifest_and_all_that_is_written_is_on_a_mount()
-> Result<()> {
    let setup = Setup::open()?;
    let api = documents(&setup, &setup.workspace().join(MANIFESTS[0]))?;
    let mut api = api[1]["spec"]["template"]["spec"]["containers"][0].clone();
    let rendered = openstack_helm(&setup)?;
    assert_eq!(rendered.len(), 2);
    for deployment in &rendered {
        let pod = &deployment["spec"]["template"]["spec"];
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
        let command = container["command"].as_array().context("no command")?;
        assert_eq!((&command[0], &command[1]), (&"healthboard-run".into(), &deployment["metadata"]["name"]));
        for name in ["startupProbe", "livenessProbe", "readinessProbe"] {
            // The chart names no ports.
            api[name]["httpGet"]["port"] = 8099.into();
            assert_eq!(container[name], api[name], "{name}");
        }
        let ours = |of: &Value| -> Vec<Value> {
            let all = of["env"].as_array().into_iter().flatten();
            all.filter(|one| one["name"] == "POD_IP" || one["name"] == "HEALTHBOARD_URI").cloned().collect()
        };
        assert_eq!(ours(container), ours(&api));
        let places: Vec<&str> = container["env"].as_array().into_iter().flatten().filter_map(path).collect();
        assert_eq!(places, ["/tmp/healthboard"]);
        for place in places {
            let mounts = container["volumeMounts"].as_array().into_iter().flatten();
            let mount = mounts
                .filter(|mount| {
                    mount["mountPath"].as_str().is_some_and(|at| Path::new(place).starts_with(at))
                })
                .max_by_key(|mount| mount["mountPath"].as_str().map(str::len))
                .with_context(|| format!("{place} is on no mount"))?;
            let mut volumes = pod["volumes"].as_array().into_iter().flatten();
            let volume = volumes.find(|volume| volume["name"] == mount["name"]).context("no such volume")?;
            assert!(mount["readOnly"] != true && volume["emptyDir"].is_object(), "{place}: {mount} {volume}");
        }
    }
    Ok(())
}

/// The path that one of our variables names.
fn path(variable: &Value) -> Option<&str> {
    let is_ours = variable["name"].as_str()?.starts_with("HEALTHBOARD_");
    let value = variable["value"].as_str()?;
    Some(value.strip_prefix("unix://").unwrap_or(value)).filter(|path| is_ours && path.starts_with('/'))
}
