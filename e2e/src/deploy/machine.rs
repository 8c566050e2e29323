//! A machine for tests: Debian with a systemd of its own, in a container.
//!
//! Never start systemd by `unshare` on the root of the machine: its first units would empty the machine's temporary folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::cgroup::ControlGroup;
use super::until;
use crate::daemon::Daemon;
use crate::processes::children;
use crate::setup::Setup;

/// How long the boot may take. On an idle machine it takes half a second.
const BOOT_TIMEOUT: Duration = Duration::from_secs(60);

/// How many machines this process has booted.
static BOOTED: AtomicU32 = AtomicU32::new(0);

/// A booted Debian in systemd-nspawn. Dropping it powers it off.
pub(super) struct Machine {
    // Before the group and the folder: it uses them.
    _daemon: Daemon,
    _group: ControlGroup,
    folder: TempDir,
    /// Its first process, as this machine sees it.
    leader: u32,
}

impl Machine {
    /// Unpacks the root of the setup, has `prepare` put its files there, and boots it, with these options of systemd-nspawn.
    pub(super) fn boot(
        setup: &Setup,
        options: &[String],
        prepare: impl FnOnce(&Path) -> Result<()>,
        tick: fn(Duration) -> Result<()>,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("root.")
            .tempdir_in(setup.deploy())
            .context("cannot create the root of a machine")?;
        let unpacked =
            Command::new("tar").arg("-xf").arg(setup.systemd_root()).arg("-C").arg(folder.path()).status()?;
        ensure!(unpacked.success(), "cannot unpack {} ({unpacked})", setup.systemd_root().display());
        prepare(folder.path())?;
        // Relaxed: it only matters that no two machines get the same number.
        let number = BOOTED.fetch_add(1, Ordering::Relaxed);
        let log_path = setup.logs().join(format!("machine-{number}.log"));
        let log = File::create(&log_path)?;
        let name = format!("healthboard-{}-{number}", std::process::id());
        let group = ControlGroup::create(&name)?;
        let mut nspawn = Command::new("sh");
        nspawn
            .args(["-c", "echo $$ > \"$0\" && exec systemd-nspawn \"$@\""])
            .arg(group.processes())
            .arg("--directory")
            .arg(folder.path())
            .args(["--boot", "--machine", &name])
            .args(["--register=no", "--keep-unit", "--private-network", "--console=pipe"])
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            // The workspace may be below it.
            .env("SYSTEMD_NSPAWN_TMPFS_TMP", "0")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .args(options);
        let mut daemon = Daemon::spawn("systemd-nspawn", &mut nspawn)?;
        let (leader, _) = until("the machine boots", BOOT_TIMEOUT, tick, || {
            if let Some(status) = daemon.try_wait()? {
                anyhow::bail!("systemd-nspawn has ended ({status})\nnext: less {}", log_path.display());
            }
            let leader = leader_below(daemon.pid());
            Ok(leader.filter(|leader| is_up(*leader)))
        })?;
        Ok(Self { _daemon: daemon, _group: group, folder, leader })
    }

    /// Runs a line of shell in it, and returns what that writes.
    pub(super) fn shell(&self, line: &str) -> Result<String> {
        let output = enter(self.leader, line).stdin(Stdio::null()).output().context("cannot run nsenter")?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "`{line}` failed ({}): {text}", output.status);
        Ok(text)
    }

    /// Writes its journal into a file of this name in the folder for logs, and returns the path.
    pub(super) fn keep_journal(&self, setup: &Setup, name: &str) -> Result<PathBuf> {
        let path = setup.logs().join(name);
        fs::write(&path, self.shell("journalctl --no-pager -b")?)?;
        Ok(path)
    }

    /// A property of a unit.
    pub(super) fn property(&self, unit: &str, name: &str) -> Result<String> {
        Ok(self.shell(&format!("systemctl show --value -p {name} {unit}"))?.trim().to_owned())
    }

    /// A file in it, as this machine sees it.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.leader))
    }

    /// Leaves its files where they are, for a look.
    pub(super) fn keep(mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }
}

/// Options with which a machine sees the folders of this one that the programs of the setup need, read only.
pub(super) fn shared(setup: &Setup) -> Result<Vec<String>> {
    let list = "import sys; print(*{sys.prefix, sys.base_prefix, *sys.path}, sep='\\n')";
    let output = Command::new(setup.program("python")).args(["-c", list]).output()?;
    ensure!(output.status.success(), "cannot run the Python of the setup");
    let text = String::from_utf8(output.stdout).context("a path is not UTF-8")?;
    let mut folders: Vec<PathBuf> = text.lines().map(PathBuf::from).collect();
    folders.push(setup.programs());
    // The machine has the distribution's own.
    folders.retain(|folder| {
        folder.is_dir() && (!folder.starts_with("/usr") || folder.starts_with("/usr/local"))
    });
    folders.sort();
    folders.dedup();
    Ok(folders.iter().map(|folder| format!("--bind-ro={}", folder.display())).collect())
}

/// The first process of the container that this nspawn runs.
fn leader_below(nspawn: u32) -> Option<u32> {
    let is_first = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("NSpid:")).unwrap_or_default();
        line.split_whitespace().count() > 2 && line.ends_with("\t1")
    };
    children(nspawn).into_iter().find(is_first)
}

/// Whether systemd has started everything.
fn is_up(leader: u32) -> bool {
    let output = enter(leader, "systemctl is-system-running").stdin(Stdio::null()).output();
    output.is_ok_and(|output| matches!(output.stdout.trim_ascii(), b"running" | b"degraded"))
}

fn enter(leader: u32, line: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--all", "--target", &leader.to_string(), "sh", "-ec", line]);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
}
