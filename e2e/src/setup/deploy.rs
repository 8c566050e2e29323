//! What `cargo xtask deploy` needs in addition.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Setup;
use crate::system::{self, Need};

const CONTAINER: [Need; 3] = [
    ("command -v systemd-nspawn", "systemd-container"),
    ("command -v mmdebstrap", "mmdebstrap"),
    ("command -v nsenter", "util-linux"),
];

/// What the root of a container has besides the essential packages.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,python3";

/// The packages of Debian that have units of Nova.
const NOVA: [&str; 5] = ["nova-api", "nova-compute", "nova-conductor", "nova-consoleproxy", "nova-scheduler"];

impl Setup {
    /// Sets up a root with systemd for containers, the units of Debian's packages of Nova, and the programs that run there.
    ///
    /// # Errors
    ///
    /// If a step fails; the error names its log.
    pub fn prepare_systemd(&self) -> Result<()> {
        let _alone = self.lock()?;
        system::install_missing(&CONTAINER)?;
        fs::create_dir_all(self.deploy())?;
        // The same as here, so that programs of this machine run there.
        let codename = codename()?;
        self.step("container", &(&codename, PACKAGES), |step| {
            let mut make = Command::new("mmdebstrap");
            make.args(["--variant=minbase", &format!("--include={PACKAGES}"), &codename]);
            step.run(make.arg(self.systemd_root()))
        })?;
        self.step("units", &(&codename, NOVA), |step| {
            let units = self.deploy().join("debian");
            if units.exists() {
                fs::remove_dir_all(&units)?;
            }
            fs::create_dir(&units)?;
            step.run(Command::new("apt-get").args(["update", "-q"]))?;
            step.run(Command::new("apt-get").arg("download").args(NOVA).current_dir(&units))?;
            let unpack = "for package in *.deb; do dpkg-deb -x \"$package\" . || exit; done";
            step.run(Command::new("sh").args(["-c", unpack]).current_dir(&units))
        })?;
        let build = ["build", "--quiet", "--package", "sqlite-service"];
        let status = Command::new(env!("CARGO")).args(build).current_dir(self.workspace()).status()?;
        ensure!(status.success(), "cannot build an example\nnext: cargo build -p sqlite-service");
        Ok(())
    }

    /// The folder for containers.
    pub(crate) fn deploy(&self) -> PathBuf {
        self.home().join("deploy")
    }

    /// The packed root of a container.
    pub(crate) fn systemd_root(&self) -> PathBuf {
        self.deploy().join("root.tar")
    }

    /// The folder with the units of Debian's packages of Nova.
    pub(crate) fn debian_units(&self) -> PathBuf {
        let units = self.deploy().join("debian");
        // Debian 12 has not merged the two in its packages.
        let old = units.join("lib/systemd/system");
        if old.exists() { old } else { units.join("usr/lib/systemd/system") }
    }

    /// The folder with the programs of the workspace.
    pub(crate) fn programs(&self) -> PathBuf {
        self.target.join("debug")
    }
}

/// The name of this machine's release of Debian.
fn codename() -> Result<String> {
    let release = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    let value = |name: &str| {
        release.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_matches('"').to_owned()))
    };
    ensure!(
        value("ID=").as_deref() == Some("debian"),
        "the containers have this machine's distribution, which must be Debian"
    );
    value("VERSION_CODENAME=").context("/etc/os-release has no VERSION_CODENAME")
}
