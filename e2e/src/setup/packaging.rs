//! What `cargo xtask deb`, `rpm` and `wheels` need.

use std::path::PathBuf;

use anyhow::Result;

use super::Setup;
use crate::system::{self, Need};

const PROGRAMS: [Need; 8] = [
    ("command -v dpkg-buildpackage", "dpkg-dev"),
    ("dpkg -s debhelper dh-python", "debhelper dh-python"),
    // Debian's own ones, whatever else is installed. The usual ones of Debian 12 are too old.
    ("test -x /usr/bin/cargo && test -x /usr/bin/rustc", "cargo-web rustc-web"),
    ("dpkg -s python3-dev", "python3-dev"),
    ("command -v lintian", "lintian"),
    ("command -v mmdebstrap", "mmdebstrap"),
    ("command -v autopkgtest", "autopkgtest"),
    ("command -v xz", "xz-utils"),
];

const RPM: [Need; 5] = [
    ("command -v rpmbuild", "rpm"),
    ("command -v rpmlint", "rpmlint"),
    ("command -v dpkg-parsechangelog", "dpkg-dev"),
    ("dpkg -s python3-dev", "python3-dev"),
    ("command -v xz", "xz-utils"),
];

const WHEELS: &str = include_str!("../../requirements-wheels.txt");

impl Setup {
    /// Installs the tools that build Debian packages, and returns the folder for these.
    ///
    /// # Errors
    ///
    /// If they cannot be installed; the error says what to type.
    pub fn prepare_packaging() -> Result<(Self, PathBuf)> {
        Self::prepare_programs(&PROGRAMS, "deb")
    }

    /// Installs the tools that build packages with RPM, and returns the folder for these.
    ///
    /// # Errors
    ///
    /// If they cannot be installed; the error says what to type.
    pub fn prepare_rpm() -> Result<(Self, PathBuf)> {
        Self::prepare_programs(&RPM, "rpm")
    }

    fn prepare_programs(needs: &[Need], folder: &str) -> Result<(Self, PathBuf)> {
        let setup = Self::locate()?;
        let _alone = setup.lock()?;
        system::install_missing(needs)?;
        let folder = setup.home().join(folder);
        Ok((setup, folder))
    }

    /// Installs the tools that build and check wheels.
    ///
    /// # Errors
    ///
    /// If they cannot be installed.
    pub fn prepare_wheels() -> Result<Self> {
        let setup = Self::prepare_tools()?;
        let _alone = setup.lock()?;
        let environment = setup.environment()?;
        setup.step("wheels", &(environment, WHEELS), |step| {
            step.run(setup.pip().args(["-r", "e2e/requirements-wheels.txt"]))
        })?;
        Ok(setup)
    }
}
