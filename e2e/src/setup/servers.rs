//! What a cluster needs on top: the servers, their drivers, and databases to copy.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{NOVA, Setup};
use crate::cluster::{TEMPLATES, make_databases};
use crate::system::{self, SERVERS};

const DRIVERS: &str = include_str!("../../requirements-cluster.txt");

impl Setup {
    /// Makes all that a cluster needs, as far as it is missing or out of date: what [`Setup::prepare`] makes, and the servers.
    ///
    /// # Errors
    ///
    /// When a step fails; the error names its log.
    pub fn prepare_cluster() -> Result<Self> {
        let setup = Self::prepare()?;
        setup.prepare_servers()?;
        Ok(setup)
    }

    /// Makes what [`Setup::prepare_cluster`] makes on top of [`Setup::prepare`].
    ///
    /// # Errors
    ///
    /// When a step fails; the error names its log.
    pub fn prepare_servers(&self) -> Result<()> {
        let _alone = self.lock()?;
        system::install_missing(&SERVERS)?;
        let drivers = self.step("drivers", &(DRIVERS, NOVA), |step| {
            step.run(self.pip().args(["-r", "e2e/requirements-cluster.txt", "-c", "e2e/constraints.txt"]))
        })?;
        self.step("cluster", &(drivers, TEMPLATES), |step| make_databases(self, &self.cluster(), step))?;
        Ok(())
    }

    /// Puts the databases of a cluster into an empty folder.
    pub(crate) fn furnish_cluster(&self, folder: &Path) -> Result<()> {
        ensure!(self.stamp("cluster").exists(), "no servers are set up\nnext: cargo xtask test e2e");
        // A data directory has holes, and links between files of some systems.
        let status = Command::new("cp")
            .args(["--archive", "--reflink=auto"])
            .args([self.cluster().join("mariadb"), folder.join("mariadb")])
            .status()
            .context("cannot run cp")?;
        ensure!(status.success(), "the databases cannot be copied ({status})");
        Ok(())
    }

    /// The api-paste.ini that Nova ships.
    pub(crate) fn api_paste(&self) -> PathBuf {
        self.home().join("venv/etc/nova/api-paste.ini")
    }

    fn cluster(&self) -> PathBuf {
        self.home().join("cluster")
    }
}
