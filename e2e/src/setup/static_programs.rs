//! Programs of this workspace that run without libc, in an image that has nothing else.

use std::env::{self, consts::ARCH};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

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
        setup.build_static_of(&setup.workspace, packages)
    }

    /// The same of the workspace in this folder.
    ///
    /// # Errors
    ///
    /// As for [`Setup::build_static`].
    pub fn build_static_of(&self, workspace: &Path, packages: &[&str]) -> Result<PathBuf> {
        let to = if workspace == self.workspace { self.target.clone() } else { workspace.join("target") };
        let target = format!("{ARCH}-unknown-linux-gnu");
        let mut build = Command::new(env!("CARGO"));
        build
            // What runs in a container asks, and neither serves nor draws.
            .args(["build", "--profile", "static", "--no-default-features", "--target", &target])
            .args(packages.iter().flat_map(|package| ["--package", package]))
            // Only for the target: macros are libraries, which cannot be static.
            .env("RUSTFLAGS", format!("-C target-feature=+crt-static {}", without_paths(workspace)?))
            .env("CARGO_TARGET_DIR", &to)
            .current_dir(workspace);
        let mut step = Step::begin("build static programs", &self.logs())?;
        step.run(&mut build)?;
        step.end();
        Ok(to.join(target).join("static"))
    }
}

/// What makes the compiler's output independent of the folder of a workspace.
///
/// # Errors
///
/// If neither `CARGO_HOME` nor `HOME` is set.
pub fn without_paths(workspace: &Path) -> Result<String> {
    let home = || Some(Path::new(&env::var_os("HOME")?).join(".cargo"));
    let cargo = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(home).context("HOME is not set")?;
    Ok(format!(
        "--remap-path-prefix={}=/usr/src/healthboard --remap-path-prefix={}=/usr/src/cargo",
        workspace.display(),
        cargo.display()
    ))
}
