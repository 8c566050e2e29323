//! What the services of other projects need: an environment of their own, the servers, and initial data.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::Setup;
use super::servers::copy;
use crate::services::{TEMPLATE_FOLDERS, TEMPLATES, make_template};
use crate::stage::private_folder;
use crate::step::Step;
use crate::system::{self, SERVERS};

/// The packages, by name and version.
const SERVICES: [&str; 2] =
    [include_str!("../../requirements-services.txt"), include_str!("../../constraints-services.txt")];

impl Setup {
    /// Sets up whatever the services need and is missing or out of date, in `services` of the newest setup's folder.
    ///
    /// # Errors
    ///
    /// If a step fails; the error names its log.
    pub fn prepare_services() -> Result<Self> {
        let setup = Self::of_services()?;
        let _alone = setup.lock()?;
        system::install_missing(&SERVERS)?;
        let environment = setup.environment()?;
        let services = setup.step("services", &(environment, SERVICES), |step| {
            let lists = ["-r", "e2e/requirements-services.txt", "-c", "e2e/constraints-services.txt"];
            step.run(setup.pip().args(lists))
        })?;
        setup.package(environment)?;
        setup.step("data", &(services, TEMPLATES), |step| setup.make_data(step))?;
        Ok(setup)
    }

    /// Uses the result of an earlier [`Setup::prepare_services`].
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn open_services() -> Result<Self> {
        let setup = Self::of_services()?;
        ensure!(setup.stamp("data").exists(), "nothing is set up\nnext: cargo xtask services");
        Ok(setup)
    }

    fn of_services() -> Result<Self> {
        let mut setup = Self::locate()?;
        setup.home.push("services");
        fs::create_dir_all(setup.logs()).context("cannot create the folder of the services")?;
        Ok(setup)
    }

    /// Copies the initial data of the servers into an empty folder.
    pub(crate) fn populate_services(&self, folder: &Path) -> Result<()> {
        copy(&self.data(), folder, &TEMPLATE_FOLDERS)
    }

    /// Creates the data in /tmp first: the path of a unix socket has 107 bytes at most.
    fn make_data(&self, step: &mut Step) -> Result<()> {
        let folder = private_folder()?;
        make_template(self, folder.path(), step)?;
        let data = self.data();
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir(&data)?;
        copy(folder.path(), &data, &TEMPLATE_FOLDERS)
    }

    fn data(&self) -> PathBuf {
        self.home().join("data")
    }
}
