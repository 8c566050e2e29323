//! Setups of older releases of Nova, each in `releases/NN` of the newest one's folder.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::{NOVA_CONF, Setup};

impl Setup {
    /// The older releases that can be set up: those with a list of packages, `e2e/releases/NN.txt`.
    ///
    /// # Errors
    ///
    /// If the workspace cannot be read.
    pub fn releases() -> Result<Vec<u32>> {
        let lists = fs::read_dir(Self::locate()?.workspace.join("e2e/releases"))?;
        let mut releases: Vec<u32> = lists
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".txt")?.parse().ok())
            .collect();
        releases.sort_unstable();
        Ok(releases)
    }

    /// Does what [`Setup::prepare`] does, for an older release of Nova such as 29.
    ///
    /// # Errors
    ///
    /// If there is no such release, or a step fails; the error names its log.
    pub fn prepare_release(release: u32) -> Result<Self> {
        let known = Self::releases()?;
        ensure!(known.contains(&release), "no such release: {release}, expected some of {known:?}");
        let mut setup = Self::locate()?;
        setup.home.push(format!("releases/{release}"));
        fs::create_dir_all(setup.logs()).context("cannot create the folder of the release")?;
        let _alone = setup.lock()?;
        let environment = setup.environment()?;
        let list = format!("e2e/releases/{release}.txt");
        let packages = fs::read_to_string(setup.workspace.join(&list))?;
        let nova =
            setup.step("nova", &(environment, packages), |step| step.run(setup.pip().args(["-r", &list])))?;
        setup.package(environment)?;
        setup.step("databases", &(nova, NOVA_CONF), |step| setup.make_databases(step))?;
        Ok(setup)
    }
}
