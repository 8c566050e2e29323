//! `cargo xtask deb`: the packages for Debian, from one source package with vendored crates, built without a network.

mod installed;

use std::process::Command;

use anyhow::Result;
use healthboard_e2e::deploy::packages;
use healthboard_e2e::{Setup, Step};

use self::installed::Root;
use crate::source::Source;
use crate::terminal::show_files;

/// Builds, checks and tests them, and says where they are.
pub(crate) fn run() -> Result<()> {
    let (setup, folder) = Setup::prepare_packaging()?;
    let source = Source::write(&setup, &folder)?;
    build(&setup, &source)?;
    check(&setup, &source)?;
    let root = Root::new(&setup, &source)?;
    root.test(&setup, &source)?;
    root.purge(&setup)?;
    boot(&setup, &source)?;
    show_files("package", &source.packages()?)
}

/// Installs, upgrades and purges them under a systemd.
fn boot(setup: &Setup, source: &Source) -> Result<()> {
    setup.prepare_machines()?;
    let step = Step::begin("deb systemd", &setup.logs())?;
    packages::prove(setup, &source.packages()?, |_| Ok(()))?;
    step.end();
    Ok(())
}

/// Builds the source package and the others, in a network of their own that leads nowhere.
pub(crate) fn build(setup: &Setup, source: &Source) -> Result<()> {
    let mut step = Step::begin("deb build", &setup.logs())?;
    let mut command = Command::new("unshare");
    // In a namespace of users, so that it needs no root.
    command.args(["--net", "--map-current-user", "dpkg-buildpackage", "--no-sign"]);
    step.run(command.current_dir(source.folder()))?;
    step.end();
    Ok(())
}

/// lintian's warnings are errors. What it is not to warn about has an override with the reason.
fn check(setup: &Setup, source: &Source) -> Result<()> {
    let mut step = Step::begin("deb lintian", &setup.logs())?;
    let mut command = Command::new("lintian");
    step.run(command.args(["--fail-on", "error,warning"]).args(source.files(".changes")?))?;
    step.end();
    Ok(())
}
