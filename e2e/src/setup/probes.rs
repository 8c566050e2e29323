//! What the comparison with today's checks needs: a cluster, and the scripts of these checks.

use std::path::PathBuf;

use anyhow::Result;

use super::Setup;
use crate::system::{PROBES, install_missing};

const PACKAGES: &str = include_str!("../../requirements-probes.txt");

impl Setup {
    /// Installs the scripts of kolla and TripleO, if they are missing, and returns their folder.
    ///
    /// # Errors
    ///
    /// If they cannot be installed; the error names the log.
    pub fn prepare_probes(&self) -> Result<PathBuf> {
        let _alone = self.lock()?;
        install_missing(&PROBES)?;
        let folder = self.home().join("probes");
        self.step("probes", &PACKAGES, |step| {
            let options = ["--no-deps", "--upgrade", "-r", "e2e/requirements-probes.txt", "--target"];
            step.run(self.pip().args(options).arg(&folder))
        })?;
        Ok(folder)
    }
}
