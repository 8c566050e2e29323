//! Debian's packages under a real systemd: installed, upgraded and purged while services run.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::machine::Machine;
use super::until;
use crate::setup::Setup;

/// Stands in for the script that Debian's unit runs: the service itself would need a database.
const SERVICE: &str = "#!/bin/sh\nsystemd-notify --ready\nexec sleep infinity\n";
const UNIT: &str = "nova-conductor";
const AGENT: &str = "healthboard-agent";
/// The folder in the machine for the packages.
const FOLDER: &str = "/opt/packages";
const SOON: Duration = Duration::from_secs(60);

/// Installs, upgrades and purges these packages, and checks what becomes of a unit of Nova and of the agent.
///
/// # Errors
///
/// If something does not hold. The error says what was expected, and where the machine's journal is.
pub fn prove(setup: &Setup, packages: &[PathBuf], tick: fn(Duration) -> Result<()>) -> Result<()> {
    let machine = Machine::boot(setup, &[], |root| prepare(setup, packages, root), tick)?;
    match (Proof { machine: &machine, tick }).all() {
        Ok(()) => Ok(()),
        Err(error) => {
            let journal = machine.keep_journal(setup, "packages-journal.log")?;
            bail!("{error:#}\nnext: less {}", journal.display())
        }
    }
}

fn prepare(setup: &Setup, packages: &[PathBuf], root: &Path) -> Result<()> {
    let folder = root.join(FOLDER.trim_start_matches('/'));
    fs::create_dir_all(&folder)?;
    for package in packages {
        fs::copy(package, folder.join(package.file_name().context("a package without a name")?))?;
    }
    let unit = format!("{UNIT}.service");
    fs::copy(setup.debian_units().join(&unit), root.join("usr/lib/systemd/system").join(&unit))?;
    let script = root.join("etc/init.d").join(UNIT);
    fs::create_dir_all(script.parent().context("no folder")?)?;
    fs::write(&script, SERVICE)?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).context("cannot prepare the service")
}

struct Proof<'a> {
    machine: &'a Machine,
    tick: fn(Duration) -> Result<()>,
}

impl Proof<'_> {
    fn all(&self) -> Result<()> {
        // Nova itself is not installed.
        let install = format!("dpkg --force-depends --install {FOLDER}/*.deb");
        self.machine.shell(&format!("useradd --create-home nova; systemctl start {UNIT}"))?;
        let service = self.pid(UNIT)?;
        self.machine.shell(&install)?;
        ensure!(self.pid(UNIT)? == service, "an installation restarted {UNIT}");
        ensure!(self.pid(AGENT)? == "0", "an installation started the agent");
        self.runs("/usr/bin/healthboard-run")?;

        self.machine.shell(&format!("systemctl start {AGENT}"))?;
        let agent = self.pid(AGENT)?;
        let seen =
            self.machine.shell(&format!("ls /proc/{agent}/root/etc/nova; ps -o supgrp= -p {agent}"))?;
        ensure!(
            seen.contains("nova") && !seen.contains("nova.conf.d"),
            "the agent sees of Nova: {seen}, expected its group and not its configuration"
        );
        let service = self.pid(UNIT)?;
        self.machine.shell(&install)?;
        ensure!(![agent.as_str(), "0"].contains(&&*self.pid(AGENT)?), "an upgrade did not restart the agent");
        ensure!(self.pid(UNIT)? == service, "an upgrade restarted {UNIT}");

        self.machine.shell("dpkg --purge healthboard-nova python3-healthboard healthboard")?;
        ensure!(self.pid(UNIT)? == service, "a removal restarted {UNIT}");
        ensure!(self.pid(AGENT)? == "0", "the agent outlived its package");
        let left = self.machine.shell("getent passwd healthboard || getent group healthboard || true")?;
        ensure!(left.is_empty(), "left behind: {left}");
        self.runs("/etc/init.d/nova-conductor")
    }

    fn pid(&self, unit: &str) -> Result<String> {
        self.machine.property(unit, "MainPID")
    }

    /// After a crash the unit comes back, with this command.
    fn runs(&self, command: &str) -> Result<()> {
        let started = self.machine.property(UNIT, "ExecStart")?;
        let stale = self.machine.property(UNIT, "NeedDaemonReload")?;
        ensure!(
            started.contains(&format!("path={command}")) && stale == "no",
            "{UNIT} would run {started} (NeedDaemonReload={stale}), expected {command}"
        );
        let before = self.pid(UNIT)?;
        self.machine.shell(&format!("systemctl kill --signal=KILL {UNIT}"))?;
        until("the unit comes back", SOON, self.tick, || {
            let is_active = self.machine.property(UNIT, "ActiveState")? == "active";
            Ok((is_active && self.pid(UNIT)? != before).then_some(()))
        })?;
        Ok(())
    }
}
