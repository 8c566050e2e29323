//! What containers and Kubernetes' probes need: podman, the schema of an API, and the scripts of the checks of today.

use std::path::PathBuf;

use anyhow::Result;

use super::Setup;
use crate::system::{CONTAINERS, install_missing};

/// The packages with the scripts, by name and version.
const SCRIPTS: &str = include_str!("../../requirements-probes.txt");

impl Setup {
    /// Sets up whatever containers need and is missing or out of date.
    ///
    /// # Errors
    ///
    /// If a step fails; the error names its log.
    pub fn prepare_containers() -> Result<Self> {
        let setup = Self::prepare_tools()?;
        let alone = setup.lock()?;
        install_missing(&CONTAINERS)?;
        setup.step("scripts", &SCRIPTS, |step| {
            let options = ["--no-deps", "--upgrade", "-r", "e2e/requirements-probes.txt", "--target"];
            step.run(setup.pip().args(options).arg(setup.scripts()))
        })?;
        drop(alone);
        Ok(setup)
    }

    /// The folder with the scripts of kolla and TripleO.
    pub(crate) fn scripts(&self) -> PathBuf {
        self.home().join("scripts")
    }
}
