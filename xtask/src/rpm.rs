//! `cargo xtask rpm`: the packages for distributions with RPM, from the same sources as Debian's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use healthboard_e2e::{Setup, Step};
use serde_json::Value;

use crate::source::Source;
use crate::terminal::show_files;

/// The file that says how they are built, in the source package.
const SPEC: &str = "deploy/rpm/healthboard.spec";

/// What the spec has in place of the licenses of the crates.
const LICENSES: &str = "Apache-2.0 AND LICENSES";

/// Builds and checks them, installs and removes them in a root of their own, and says where they are.
pub(crate) fn run() -> Result<()> {
    let (setup, folder) = Setup::prepare_rpm()?;
    let source = Source::write(&setup, &folder)?;
    let spec = write_spec(&source)?;
    build(&setup, &source, &spec)?;
    let packages = packages(&source)?;
    check(&setup, &packages, &spec)?;
    install(&setup, &source, &packages)?;
    show_files("package", &packages)
}

/// Puts the licenses of all crates that are linked in into the spec, beside the archives.
fn write_spec(source: &Source) -> Result<PathBuf> {
    let text = fs::read_to_string(source.folder().join(SPEC))?;
    let mut licenses = BTreeSet::new();
    for name in Source::MATERIALS {
        let bom: Value = serde_json::from_slice(&fs::read(source.folder().join(name))?)?;
        let components = bom["components"].as_array().cloned().unwrap_or_default();
        licenses.extend(components.iter().filter_map(|component| {
            let license = component["licenses"][0]["expression"].as_str()?;
            Some(if license.contains(" OR ") { format!("({license})") } else { license.to_owned() })
        }));
    }
    licenses.remove("Apache-2.0");
    ensure!(text.contains(LICENSES), "{SPEC} has no `{LICENSES}`");
    let all = ["Apache-2.0".to_owned()].into_iter().chain(licenses).collect::<Vec<_>>().join(" AND ");
    let spec = source.parent().join("healthboard.spec");
    fs::write(&spec, text.replace(LICENSES, &all)).context("cannot write the spec")?;
    Ok(spec)
}

/// Builds them in a network that leads nowhere. The machine is not one with RPM, so it does not know what is installed.
fn build(setup: &Setup, source: &Source, spec: &Path) -> Result<()> {
    let mut step = Step::begin("rpm build", &setup.logs())?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--map-current-user", "rpmbuild", "-ba", "--nodeps"]);
    let parent = source.parent().display();
    for define in [
        format!("_topdir {parent}/rpm"),
        format!("_sourcedir {parent}"),
        // Debian's rpm has no programs that extract these.
        String::from("debug_package %{nil}"),
        String::from("use_source_date_epoch_as_buildtime 1"),
        String::from("source_date_epoch_from_changelog 1"),
        String::from("clamp_mtime_to_source_date_epoch 1"),
        String::from("_buildhost localhost"),
    ] {
        command.arg("--define").arg(define);
    }
    step.run(command.arg(spec))?;
    step.end();
    Ok(())
}

fn packages(source: &Source) -> Result<Vec<PathBuf>> {
    let mut packages = Vec::new();
    for folder in fs::read_dir(source.parent().join("rpm/RPMS"))? {
        for package in fs::read_dir(folder?.path())? {
            packages.push(package?.path());
        }
    }
    packages.sort();
    ensure!(packages.len() == 3, "expected three packages, found {packages:?}");
    Ok(packages)
}

fn check(setup: &Setup, packages: &[PathBuf], spec: &Path) -> Result<()> {
    let mut step = Step::begin("rpm rpmlint", &setup.logs())?;
    let rules = setup.workspace().join("deploy/rpm/rpmlint.toml");
    step.run(Command::new("rpmlint").arg("--strict").arg("--config").arg(rules).args(packages).arg(spec))?;
    step.end();
    Ok(())
}

/// Installs the packages in an empty root, runs the command, and removes them: nothing of them may stay.
fn install(setup: &Setup, source: &Source, packages: &[PathBuf]) -> Result<()> {
    let mut step = Step::begin("rpm install", &setup.logs())?;
    let root = source.parent().join("root");
    let rpm = |words: &[&str]| {
        let mut command = Command::new("rpm");
        command.arg("--root").arg(&root).args(["--nodeps", "--noscripts"]).args(words);
        command
    };
    step.run(rpm(&["--install"]).args(packages))?;
    step.run(Command::new(root.join("usr/bin/healthboard")).arg("--version"))?;
    let packages =
        fs::read_dir(root.join("usr/lib64"))?.flatten().next().context("no Python package")?.path();
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-c", "import healthboard; print(healthboard.__file__)"]);
    step.run(python.env("PYTHONPATH", packages.join("site-packages")).env("PYTHONDONTWRITEBYTECODE", "1"))?;
    step.run(&mut rpm(&["--erase", "healthboard", "healthboard-nova", "python3-healthboard"]))?;
    let mut find = Command::new("find");
    let left = find.arg(&root).args(["-name", "*healthboard*"]).output()?;
    let left = String::from_utf8_lossy(&left.stdout);
    ensure!(left.trim().is_empty(), "left behind by the packages:\n{left}");
    step.end();
    Ok(())
}
