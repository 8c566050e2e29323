//! What a cluster needs in addition: the servers, their drivers, and their initial data.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::{NOVA, Setup};
use crate::cluster::{Backends, TEMPLATE_FOLDERS, TEMPLATES, make_postgresql, make_template};
use crate::servers::POSTGRESQL;
use crate::stage::private_folder;
use crate::step::Step;
use crate::system::{self, SERVERS};

const DRIVERS: &str = include_str!("../../requirements-cluster.txt");

impl Setup {
    /// Sets up whatever a cluster needs and is missing or out of date: what [`Setup::prepare`] sets up, and the servers.
    ///
    /// # Errors
    ///
    /// If a step fails; the error names its log.
    pub fn prepare_cluster() -> Result<Self> {
        let setup = Self::prepare()?;
        setup.prepare_servers()?;
        Ok(setup)
    }

    /// Sets up the part of [`Setup::prepare_cluster`] that [`Setup::prepare`] does not.
    ///
    /// # Errors
    ///
    /// If a step fails; the error names its log.
    pub fn prepare_servers(&self) -> Result<()> {
        let _alone = self.lock()?;
        system::install_missing(&SERVERS)?;
        let drivers = self.step("drivers", &(DRIVERS, NOVA), |step| {
            step.run(self.pip().args(["-r", "e2e/requirements-cluster.txt", "-c", "e2e/constraints.txt"]))
        })?;
        self.step("cluster", &(drivers, TEMPLATES), |step| self.make_cluster(step))?;
        Ok(())
    }

    /// Creates the template in /tmp first: the path of a unix socket has 107 bytes at most.
    fn make_cluster(&self, step: &mut Step) -> Result<()> {
        let folder = private_folder()?;
        make_template(self, folder.path(), step)?;
        let template = self.cluster();
        if template.exists() {
            fs::remove_dir_all(&template)?;
        }
        fs::create_dir(&template)?;
        copy(folder.path(), &template, &TEMPLATE_FOLDERS)
    }

    /// Copies the initial data of the servers into an empty folder.
    pub(crate) fn populate_cluster(&self, folder: &Path, backends: Backends) -> Result<()> {
        ensure!(self.stamp("cluster").exists(), "the servers are not set up\nnext: cargo xtask test e2e");
        copy(&self.cluster(), folder, &TEMPLATE_FOLDERS)?;
        if backends == Backends::PostgreSql {
            copy(&self.prepare_postgresql()?, folder, &[POSTGRESQL])?;
        }
        Ok(())
    }

    /// Creates the databases on `PostgreSQL`, which only some faults need, and returns their folder.
    fn prepare_postgresql(&self) -> Result<PathBuf> {
        let _alone = self.lock()?;
        let template = self.home().join("postgresql");
        self.step("postgresql", &(TEMPLATES, DRIVERS, NOVA), |step| {
            let folder = private_folder()?;
            make_postgresql(self, folder.path(), step)?;
            if template.exists() {
                fs::remove_dir_all(&template)?;
            }
            fs::create_dir(&template)?;
            copy(folder.path(), &template, &[POSTGRESQL])
        })?;
        Ok(template)
    }

    fn cluster(&self) -> PathBuf {
        self.home().join("cluster")
    }
}

/// Copies these parts of a folder of data.
pub(super) fn copy(from: &Path, to: &Path, parts: &[&str]) -> Result<()> {
    // Data files are sparse.
    let status = Command::new("cp")
        .args(["--archive", "--reflink=auto", "--sparse=always"])
        .args(parts.iter().map(|part| from.join(part)))
        .arg(to)
        .status()
        .context("cannot run cp")?;
    ensure!(status.success(), "cannot copy {} ({status})", from.display());
    Ok(())
}
