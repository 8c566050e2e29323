//! What `cargo xtask deploy` needs in addition.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Setup;
use crate::system::{self, Need};

const PROGRAMS: [Need; 17] = [
    ("test -x /usr/bin/chromium", "chromium"),
    ("command -v prometheus && command -v promtool", "prometheus"),
    ("command -v prometheus-alertmanager && command -v amtool", "prometheus-alertmanager"),
    ("command -v prometheus-node-exporter", "prometheus-node-exporter"),
    ("command -v zabbix_server", "zabbix-server-mysql"),
    ("test -d /usr/share/zabbix/include", "zabbix-frontend-php"),
    ("command -v php", "php-cli"),
    (
        "php -m | grep -q mysqli && php -m | grep -q bcmath",
        "php-mysql php-xml php-mbstring php-gd php-bcmath php-ldap",
    ),
    ("command -v icinga2", "icinga2-bin icinga2-common"),
    ("command -v nagios4", "nagios4-core"),
    ("command -v systemd-nspawn", "systemd-container"),
    ("command -v mmdebstrap", "mmdebstrap"),
    ("command -v nsenter && command -v unshare", "util-linux"),
    ("command -v podman", "podman"),
    ("command -v runc", "runc"),
    ("command -v ss", "iproute2"),
    ("command -v gawk", "gawk"),
];

/// The packages with the scripts of the checks that containers have today, by name and version.
const SCRIPTS: &str = include_str!("../../requirements-probes.txt");

/// A browser's driver, by name and version.
const BROWSER: &str = include_str!("../../requirements-pages.txt");

/// What the root of a machine has besides the essential packages.
const PACKAGES: &str =
    "systemd,systemd-sysv,dbus,python3,procps,iproute2,curl,socat,haproxy,keepalived,rsyslog,openssl";

/// The packages of Debian that have units of Nova.
const NOVA: [&str; 5] = ["nova-api", "nova-compute", "nova-conductor", "nova-consoleproxy", "nova-scheduler"];

impl Setup {
    /// Sets up whatever those need who act on health, and is missing or out of date: what [`Setup::prepare_cluster`] sets up, a root
    /// with systemd for containers, the units of Debian's packages of Nova, podman, and the checks that containers have today.
    ///
    /// # Errors
    ///
    /// If a step fails; the error names its log.
    pub fn prepare_deploy() -> Result<Self> {
        let setup = Self::prepare_cluster()?;
        Self::prepare_tools()?;
        setup.prepare_machines()?;
        setup.prepare_consumers()?;
        setup.prepare_versions()?;
        Ok(setup)
    }

    /// Sets up the root of machines with systemd, and the units of Debian's packages of Nova.
    ///
    /// # Errors
    ///
    /// If a step fails; the error names its log.
    pub fn prepare_machines(&self) -> Result<()> {
        let _alone = self.lock()?;
        system::install_missing(&PROGRAMS)?;
        fs::create_dir_all(self.deploy())?;
        // The same as here, so that programs of this machine run there.
        let codename = codename()?;
        self.step("container", &(&codename, PACKAGES), |step| {
            let mut make = Command::new("mmdebstrap");
            make.args(["--variant=minbase", &format!("--include={PACKAGES}"), &codename]);
            step.run(make.arg(self.systemd_root()))
        })?;
        self.step("units", &(&codename, NOVA), |step| {
            let units = self.debian_packages();
            if units.exists() {
                fs::remove_dir_all(&units)?;
            }
            fs::create_dir(&units)?;
            step.run(Command::new("apt-get").args(["update", "-q"]))?;
            step.run(Command::new("apt-get").arg("download").args(NOVA).current_dir(&units))?;
            let unpack = "for package in *.deb; do dpkg-deb -x \"$package\" . || exit; done";
            step.run(Command::new("sh").args(["-c", unpack]).current_dir(&units))
        })?;
        Ok(())
    }

    fn prepare_consumers(&self) -> Result<()> {
        let _alone = self.lock()?;
        self.step("scripts", &SCRIPTS, |step| {
            let options = ["--no-deps", "--upgrade", "-r", "e2e/requirements-probes.txt", "--target"];
            step.run(self.pip().args(options).arg(self.scripts()))
        })?;
        self.step("browser", &BROWSER, |step| {
            let options = ["--upgrade", "-r", "e2e/requirements-pages.txt", "--target"];
            step.run(self.pip().args(options).arg(self.browser_driver()))
        })?;
        let build = [
            "build",
            "--quiet",
            "--package",
            "sqlite-service",
            "--package",
            "healthboard-cli",
            "--package",
            "healthboard-e2e",
        ];
        let status = Command::new(env!("CARGO")).args(build).current_dir(self.workspace()).status()?;
        ensure!(
            status.success(),
            "cannot build programs\nnext: cargo build -p sqlite-service -p healthboard-cli -p healthboard-e2e"
        );
        Ok(())
    }

    /// The folder for containers.
    pub(crate) fn deploy(&self) -> PathBuf {
        self.home().join("deploy")
    }

    /// The folder with the scripts of kolla and TripleO.
    pub(crate) fn scripts(&self) -> PathBuf {
        self.home().join("scripts")
    }

    /// The folder with the driver of a browser.
    pub(crate) fn browser_driver(&self) -> PathBuf {
        self.home().join("browser")
    }

    /// The folder for what is built to be installed elsewhere.
    pub(crate) fn dist(&self) -> PathBuf {
        self.target.join("dist")
    }

    /// The folder with Debian's packages of Nova, unpacked.
    pub(crate) fn debian_packages(&self) -> PathBuf {
        self.deploy().join("debian")
    }

    /// The packed root of a machine.
    pub(crate) fn systemd_root(&self) -> PathBuf {
        self.deploy().join("root.tar")
    }

    /// The folder with the units of Debian's packages of Nova.
    pub(crate) fn debian_units(&self) -> PathBuf {
        let units = self.debian_packages();
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
