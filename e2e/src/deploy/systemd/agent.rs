//! The agent's unit, as shipped.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Check;
use crate::deploy::machine::Machine;
use crate::setup::Setup;

/// The highest exposure that `systemd-analyze security` may see, in its units.
const MAX_EXPOSURE: f64 = 2.0;

/// Puts the unit, its user and its directory into the root of a machine.
pub(super) fn install(setup: &Setup, root: &Path) -> Result<()> {
    let shipped = setup.workspace().join("deploy/agent");
    for (from, to) in [
        ("healthboard-agent.service", "etc/systemd/system/healthboard-agent.service"),
        ("tmpfiles.conf", "etc/tmpfiles.d/healthboard.conf"),
        ("sysusers.conf", "etc/sysusers.d/healthboard.conf"),
        ("default", "etc/default/healthboard-agent"),
    ] {
        let to = root.join(to);
        fs::create_dir_all(to.parent().context("no folder")?)?;
        fs::copy(shipped.join(from), to).with_context(|| format!("cannot copy {from}"))?;
    }
    fs::copy(setup.programs().join("healthboard"), root.join("usr/bin/healthboard"))?;
    let early = format!(
        "[Service]\nExecStart={}/sqlite-service --uri board /tmp/early.db\n",
        setup.programs().display()
    );
    fs::write(root.join("etc/systemd/system/early.service"), early)?;
    Ok(())
}

/// The unit is accepted and hardened; the agent runs as its own user, finds a service by itself, and says when it was killed.
pub(super) fn check(machine: &Machine) -> Result<Check> {
    let said = machine.shell("systemd-analyze verify --man=no healthboard-agent.service 2>&1")?;
    ensure!(said.is_empty(), "healthboard-agent.service: {said}");
    let said = machine.shell("systemd-analyze security --no-pager healthboard-agent.service || true")?;
    let exposure = said.lines().rev().find_map(|line| line.split("healthboard-agent.service: ").nth(1));
    let exposure = exposure.and_then(|rest| rest.split_whitespace().next()).context("no exposure")?;
    let exposure: f64 = exposure.parse().with_context(|| said.clone())?;
    ensure!(exposure < MAX_EXPOSURE, "the exposure is {exposure}: {said}");
    // The boot has made both.
    machine.shell("userdel healthboard && rm -r /run/healthboard")?;
    machine.shell("systemctl start healthboard-agent || true")?;
    let status = machine.property("healthboard-agent", "ExecMainStatus")?;
    ensure!(status == "217", "without its user the agent ended with {status}, expected 217");
    // A service that is started before its directory is there keeps its board elsewhere until its next start.
    let board = |directory: &str| {
        machine.shell(&format!("systemctl restart early; timeout 60 sh -c 'until ls {directory}/sqlite-service/*.board; do sleep 0.1; done'"))
    };
    board("/tmp/healthboard-0")?;
    machine.shell("systemd-sysusers && systemd-tmpfiles --create healthboard.conf")?;
    board("/run/healthboard")?;
    machine.shell("systemctl stop early")?;
    // The Rust service's boards belong to root and its group.
    machine.shell("chgrp -R healthboard /run/rust && systemctl start healthboard-agent")?;
    let answer = machine
        .shell("for i in $(seq 100); do curl -sf http://127.0.0.1:9955/services && break; sleep 0.1; done")?;
    ensure!(answer.contains("\"sqlite-service\":{\"status\":\"OK\""), "the agent answers {answer}");
    let user = machine.shell("ps -o user= -p $(systemctl show --value -p MainPID healthboard-agent)")?;
    ensure!(user.starts_with("health"), "it runs as {user}");
    machine.shell("systemctl reload healthboard-agent && curl -sf http://127.0.0.1:9955/livez")?;
    Ok(Check::new(
        "the agent runs by its unit, as its own user, and finds a service by itself",
        format!("`systemd-analyze security`: {exposure}"),
    ))
}
