//! The drop-ins for Nova's units, as systemd reads them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::Check;
use crate::deploy::machine::Machine;
use crate::setup::Setup;

/// The units that RDO ships: the name, the type and the command. From rdo-packages/nova-distgit, 2024.2, commit
/// f9c929bc68a76721fe8d085dabd11eb5bf85e7b8: there are no packages for the container's distribution.
const RDO: [(&str, &str, &str); 9] = [
    ("api", "notify", "/usr/bin/nova-api"),
    ("compute", "notify", "/usr/bin/nova-compute"),
    ("conductor", "notify", "/usr/bin/nova-conductor"),
    ("metadata-api", "notify", "/usr/bin/nova-api-metadata"),
    ("novncproxy", "simple", "/usr/bin/nova-novncproxy --web /usr/share/novnc/ $OPTIONS"),
    ("os-compute-api", "notify", "/usr/bin/nova-api-os-compute"),
    ("scheduler", "notify", "/usr/bin/nova-scheduler"),
    ("serialproxy", "simple", "/usr/bin/nova-serialproxy"),
    ("spicehtml5proxy", "simple", "/usr/bin/nova-spicehtml5proxy"),
];
/// The APIs of a Nova that has no such programs. The commands are ours.
const RDO_UWSGI: [(&str, &str, &str); 3] = [
    ("api", "notify", "/usr/bin/uwsgi --plugin python3 --ini /etc/nova/api-uwsgi.ini"),
    ("metadata-api", "notify", "/usr/bin/uwsgi --plugin python3 --ini /etc/nova/metadata-uwsgi.ini"),
    ("os-compute-api", "notify", "/usr/bin/uwsgi --plugin python3 --ini /etc/nova/api-uwsgi.ini"),
];

/// What units and drop-ins run, as empty programs.
const PROGRAMS: [&str; 11] = [
    "healthboard-run",
    "uwsgi",
    "nova-compute",
    "nova-conductor",
    "nova-novncproxy",
    "nova-scheduler",
    "nova-serialproxy",
    "nova-spicehtml5proxy",
    "nova-api",
    "nova-api-metadata",
    "nova-api-os-compute",
];

/// Puts all units and their drop-ins into the root of a machine.
pub(super) fn install(setup: &Setup, root: &Path) -> Result<()> {
    let units = root.join("etc/systemd/system");
    let programs = root.join("usr/bin");
    for program in PROGRAMS {
        fs::copy(root.join("usr/bin/true"), programs.join(program))?;
    }
    fs::create_dir_all(root.join("etc/init.d"))?;
    for unit in debian(setup)? {
        fs::copy(setup.debian_units().join(&unit), units.join(&unit))?;
        let script = root.join("etc/init.d").join(unit.trim_end_matches(".service"));
        fs::copy(root.join("usr/bin/true"), script)?;
    }
    for (unit, kind, command) in rdo() {
        let text = format!("[Service]\nType={kind}\nUser=nova\nExecStart={command}\n");
        fs::write(units.join(unit), text)?;
    }
    for folder in ["debian", "rdo", "rdo-uwsgi"] {
        let dropins = setup.workspace().join("deploy/systemd").join(folder);
        for entry in fs::read_dir(&dropins).with_context(|| format!("cannot read {}", dropins.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let to = units.join(if folder == "rdo-uwsgi" { uwsgi(&name) } else { name });
            fs::create_dir(&to)?;
            fs::copy(entry.path().join("healthboard.conf"), to.join("healthboard.conf"))?;
        }
    }
    Ok(())
}

/// Checks that every unit has a drop-in which systemd accepts and which puts `healthboard-run` in front of its command.
pub(super) fn check(setup: &Setup, machine: &Machine) -> Result<Check> {
    let mut units = debian(setup)?;
    units.extend(rdo().map(|(unit, ..)| unit));
    for unit in &units {
        let said = machine.shell(&format!("systemd-analyze verify --man=no {unit} 2>&1"))?;
        ensure!(said.is_empty(), "{unit}: {said}");
        let commands = machine.property(unit, "ExecStart")?;
        let text = fs::read_to_string(machine.path(&format!("/etc/systemd/system/{unit}")))?;
        let own = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).context("no command")?;
        ensure!(
            commands.matches("path=").count() == 1
                && commands.contains("path=/usr/bin/healthboard-run")
                && commands.contains(&format!(" {} ;", own.trim())),
            "{unit} runs {commands}, expected healthboard-run and {own}"
        );
        for (name, expected) in [("NotifyAccess", "all"), ("RuntimeDirectoryPreserve", "yes")] {
            let found = machine.property(unit, name)?;
            ensure!(found == expected, "{unit}: {name} is {found}, expected {expected}");
        }
        // systemd sorts them, and Debian's units have `lock/nova` as well.
        let folders = machine.property(unit, "RuntimeDirectory")?;
        let chosen = machine.property(unit, "Environment")?.contains("HEALTHBOARD_RUNTIME_DIR=/run/nova");
        let is_nova = folders == "nova" || folders.split(' ').any(|folder| folder == "nova") && chosen;
        ensure!(is_nova, "{unit} keeps its boards in the first of {folders}, expected nova");
    }
    Ok(Check::new("every unit of Nova has a drop-in that systemd accepts", format!("{} units", units.len())))
}

/// The units of RDO: the file, the type and the command.
fn rdo() -> impl Iterator<Item = (String, &'static str, &'static str)> {
    let unit = |name: &str| format!("openstack-nova-{name}.service");
    let usual = RDO.into_iter().map(move |(name, kind, command)| (unit(name), kind, command));
    usual.chain(RDO_UWSGI.into_iter().map(move |(name, kind, command)| (uwsgi(&unit(name)), kind, command)))
}

/// Beside the unit of the same name, as that of another service.
fn uwsgi(unit: &str) -> String {
    unit.replace("openstack-", "uwsgi-")
}

/// The units in Debian's packages of Nova.
fn debian(setup: &Setup) -> Result<Vec<String>> {
    let mut units = Vec::new();
    for entry in fs::read_dir(setup.debian_units()).context("Debian's units are not set up")? {
        units.push(entry?.file_name().to_string_lossy().into_owned());
    }
    units.retain(|unit| unit.ends_with(".service"));
    units.sort();
    ensure!(!units.is_empty(), "Debian's packages of Nova have no unit");
    Ok(units)
}
