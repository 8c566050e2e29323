//! The health check of `deploy/containers` in a real container.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

use anyhow::Result;
use healthboard_e2e::Setup;
use healthboard_e2e::deploy::containers::{Pace, turns};

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn a_container_is_unhealthy_while_its_service_is_frozen_or_at_fault() -> Result<()> {
    let turns = turns(Pace::Quick)?;
    let seen: Vec<_> = turns.iter().map(|turn| (turn.what, turn.health.as_str())).collect();
    assert_eq!(
        seen,
        [
            ("started", "healthy"),
            ("frozen (SIGSTOP)", "unhealthy"),
            ("running again", "healthy"),
            ("its database is away", "unhealthy"),
            ("its database is back", "healthy"),
        ]
    );
    for (index, expected) in [
        "sqlite-service OK",
        "UNKNOWN: no answer from unix:///var/lib/nova/nova-compute.sock: timed out",
        "sqlite-service OK",
        "sqlite-service FAULT: database: ",
        "sqlite-service OK",
    ]
    .into_iter()
    .enumerate()
    {
        assert!(turns[index].said.starts_with(expected), "{:?}", turns[index]);
    }
    Ok(())
}

#[test]
fn the_check_in_place_of_a_tripleo_script_asks_the_service_of_that_name() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    fs::write(path("nova-scheduler"), Setup::workspace_file("deploy/containers/tripleo-healthcheck")?)?;
    symlink("nova-scheduler", path("healthcheck"))?;
    // In place of the command: what it was asked.
    fs::write(path("healthboard"), "#!/bin/sh\necho \"$@\"\nexit 1\n")?;
    fs::set_permissions(path("healthboard"), fs::Permissions::from_mode(0o755))?;
    let search = format!("{}:/usr/bin:/bin", folder.path().display());
    let mut check = Command::new("sh");
    let output = check.arg(path("healthcheck")).arg("5672").env("PATH", search).output()?;
    let asked = String::from_utf8(output.stdout)?;
    assert_eq!(
        (asked.as_str(), output.status.code()),
        ("check --docker unix:///var/lib/nova/nova-scheduler.sock\n", Some(1))
    );
    Ok(())
}

#[test]
fn the_lines_for_kolla_ask_each_service_by_its_socket() -> Result<()> {
    let text = Setup::workspace_file("deploy/containers/kolla-globals.yml")?;
    let tests = text.lines().filter_map(|line| line.strip_prefix("nova_")?.split_once("_healthcheck_test: "));
    let mut count = 0;
    for (name, test) in tests {
        // Both containers of nova-compute run the same program.
        let name = name.trim_start_matches("super_").trim_end_matches("_ironic");
        let expected = format!(
            r#"["CMD", "healthboard", "check", "--docker", "unix:///var/lib/nova/nova-{name}.sock"]"#
        );
        assert_eq!(test, expected);
        count += 1;
    }
    assert_eq!(count, 9);
    Ok(())
}

#[test]
fn the_ways_to_add_a_health_check_agree() -> Result<()> {
    let dockerfile = Setup::workspace_file("deploy/containers/Dockerfile")?;
    let compose = Setup::workspace_file("deploy/containers/compose.yaml")?;
    let (_, check) = dockerfile.split_once("    CMD [").expect("a health check");
    assert_eq!(compose.matches(&format!("test: [\"CMD\", {check}")).count(), 1, "{compose}");
    let conductor = check.replace("nova-compute", "nova-conductor");
    assert_eq!(compose.matches(&format!("test: [\"CMD\", {conductor}")).count(), 1, "{compose}");
    for times in ["interval: 10s\n", "timeout: 5s\n", "start_period: 60s\n", "retries: 3\n"] {
        let flag = format!("--{}", times.trim().replace(": ", "=").replace('_', "-"));
        assert!(dockerfile.contains(&flag) && compose.matches(times).count() == 2, "{times}");
    }
    Ok(())
}
