//! Programs of this workspace that run without libc, in an image that has nothing else.

use std::env::consts::ARCH;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::Setup;
use crate::step::Step;

impl Setup {
    /// Builds the programs of these packages, each as one static file, and returns their folder.
    ///
    /// With glibc, which every machine that builds this workspace has. The crate `std` for musl would have to be downloaded.
    ///
    /// # Errors
    ///
    /// If they cannot be built; the error names the log.
    pub fn build_static(packages: &[&str]) -> Result<PathBuf> {
        let setup = Self::locate()?;
        let _alone = setup.lock()?;
        let target = format!("{ARCH}-unknown-linux-gnu");
        let mut build = Command::new(env!("CARGO"));
        build
            // What runs in a container asks, and neither serves nor draws.
            .args(["build", "--profile", "static", "--no-default-features", "--target", &target])
            .args(packages.iter().flat_map(|package| ["--package", package]))
            // Only for the target: macros are libraries, which cannot be static.
            .env("RUSTFLAGS", "-C target-feature=+crt-static")
            .current_dir(&setup.workspace);
        let mut step = Step::begin("build static programs", &setup.logs())?;
        step.run(&mut build)?;
        step.end();
        Ok(setup.target.join(target).join("static"))
    }
}
