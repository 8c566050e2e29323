//! `cargo xtask wheels`: the Python package in binary form, for hosts without a compiler.
//!
//! Each is linked against glibc 2.17, the oldest that the compiler supports, and has the bill of materials of its library.

use std::env;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use healthboard_e2e::{Setup, Step, without_paths};

use crate::pythons::{VERSIONS, interpreter};
use crate::sbom;
use crate::source::{Source, copyright};
use crate::terminal::show_files;

/// The platform of the wheels: <https://peps.python.org/pep-0600/>
const PLATFORM: &str = "manylinux_2_17";

/// The minor versions that have a wheel of their own.
pub(crate) const OWN: RangeInclusive<u32> = 10..=11;

/// The first minor version whose wheel is for all later ones, too.
pub(crate) const STABLE_ABI: u32 = 12;

/// Validates a bill of materials against the schema of CycloneDX.
const VALIDATE: &str = "\
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
sys.exit(JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()) and 'not valid')
";

/// Builds them, and says where they are.
pub(crate) fn run() -> Result<()> {
    let setup = Setup::prepare_wheels()?;
    show_files("wheel", &build(&setup)?)
}

/// The folder of the wheels.
pub(crate) fn folder(setup: &Setup) -> PathBuf {
    setup.logs().with_file_name("wheels")
}

/// Builds one wheel of the workspace in this folder.
pub(crate) fn build_one(setup: &Setup, workspace: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let found = VERSIONS.filter_map(|minor| Some((minor, interpreter(minor)?))).next_back();
    let (minor, python) = found.context("no supported version of Python is on this machine")?;
    build_for(setup, workspace, folder, minor, &python)?;
    wheels_in(folder)
}

/// Builds a wheel for each version of Python that has its own, and one for all later versions, as far as an interpreter is
/// on this machine.
pub(crate) fn build(setup: &Setup) -> Result<Vec<PathBuf>> {
    let folder = folder(setup);
    for old in wheels_in(&folder)? {
        fs::remove_file(old)?;
    }
    let found = |minor: u32| Some((minor, interpreter(minor)?));
    let mut later = VERSIONS.filter(|minor| *minor >= STABLE_ABI);
    let pythons: Vec<(u32, PathBuf)> = OWN.filter_map(found).chain(later.find_map(found)).collect();
    ensure!(!pythons.is_empty(), "no supported version of Python is on this machine");
    for (minor, python) in pythons {
        build_for(setup, setup.workspace(), &folder, minor, &python)?;
    }
    let wheels = wheels_in(&folder)?;
    audit(setup, &wheels)?;
    Ok(wheels)
}

fn build_for(setup: &Setup, workspace: &Path, folder: &Path, minor: u32, python: &Path) -> Result<()> {
    let mut step = Step::begin(&format!("wheel for Python 3.{minor}"), &setup.logs())?;
    let materials = folder.join("healthboard.cdx.json");
    fs::create_dir_all(folder)?;
    fs::write(&materials, sbom::of(workspace, "healthboard-python")?)?;
    step.run(Command::new(setup.program("python")).args(["-c", VALIDATE]).arg(&materials))?;
    // Beside the project's own, so that maturin packs both.
    let licenses = workspace.join("python").join(Source::COPYRIGHT);
    fs::write(&licenses, copyright::of(&sbom::crates(workspace, "healthboard-python")?)?)?;
    let mut maturin = Command::new(setup.program("maturin"));
    maturin
        .args([
            "build",
            "--release",
            "--zig",
            "--compatibility",
            PLATFORM,
            "--manifest-path",
            "python/Cargo.toml",
        ])
        .arg("--sbom-include")
        .arg(&materials)
        .arg("--interpreter")
        .arg(python)
        .arg("--out")
        .arg(folder)
        .env("CARGO_TARGET_DIR", folder.join("build"))
        .env("RUSTFLAGS", format!("{} -Clink-arg={}", without_paths(workspace)?, unwinder()?))
        .env("SOURCE_DATE_EPOCH", committed_at(setup.workspace())?)
        .current_dir(workspace);
    if minor >= STABLE_ABI {
        maturin.args(["--features", "abi3"]);
    }
    // maturin looks for zig there.
    let path = env::join_paths(
        [setup.program("")].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
    )?;
    let built = step.run(maturin.env("PATH", path));
    fs::remove_file(licenses)?;
    built?;
    fs::remove_file(materials)?;
    step.end();
    Ok(())
}

/// The unwinder of glibc, by its path. zig would link another one into the library. An interpreter that ends tells its threads to
/// exit by unwinding them, also through ours, and that crashes where the two meet.
fn unwinder() -> Result<String> {
    let found = Command::new("cc").arg("-print-file-name=libgcc_s.so.1").output().context("cannot run cc")?;
    Ok(String::from_utf8(found.stdout)?.trim().to_owned())
}

/// When the newest commit was made: the time of all files in a wheel.
fn committed_at(workspace: &Path) -> Result<String> {
    let found = Command::new("git").args(["log", "-1", "--format=%ct"]).current_dir(workspace).output()?;
    Ok(String::from_utf8(found.stdout)?.trim().to_owned())
}

/// A second opinion about the platform.
fn audit(setup: &Setup, wheels: &[PathBuf]) -> Result<()> {
    let mut step = Step::begin("wheels auditwheel", &setup.logs())?;
    for wheel in wheels {
        let before = step.text().len();
        step.run(Command::new(setup.program("auditwheel")).arg("show").arg(wheel))?;
        let found = step.text()[before..].replace('\n', " ");
        ensure!(
            found.contains(&format!("\"{PLATFORM}_")),
            "{}: expected {PLATFORM}, found:\n{found}",
            wheel.display()
        );
        ensure!(found.contains("libgcc_s.so.1"), "{}: it has an unwinder of its own", wheel.display());
        let listed =
            Command::new(setup.program("python")).args(["-m", "zipfile", "-l"]).arg(wheel).output()?;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        for file in ["/licenses/LICENSE ", "/licenses/LICENSE.crates ", "/sboms/healthboard.cdx.json "] {
            ensure!(listed.contains(file), "{}: expected {file}, found:\n{listed}", wheel.display());
        }
    }
    step.end();
    Ok(())
}

fn wheels_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(Vec::new()) };
    let mut wheels: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    wheels.retain(|path| path.extension().is_some_and(|extension| extension == "whl"));
    wheels.sort();
    Ok(wheels)
}
