//! The tests of the Python package, installed from its wheels, with each version of Python that this machine has.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use healthboard_e2e::{Setup, Step};

use crate::test::Count;
use crate::wheels;

/// The minor versions that are supported.
pub(crate) const VERSIONS: std::ops::RangeInclusive<u32> = 10..=14;

/// What the tests need. Those that need more are skipped.
const PACKAGES: [&str; 11] = [
    "eventlet",
    "fixtures",
    "gunicorn",
    "oslo.config",
    "oslo.log",
    "oslo.middleware",
    "oslo.service[threading]",
    "pytest",
    "pytest-xdist",
    "sqlalchemy",
    "uvicorn",
];

/// The tests that need no server and no Nova.
const FILES: [&str; 12] = [
    "decorator",
    "hooks",
    "hosts",
    "launcher",
    "middleware",
    "processes",
    "programs",
    "refresh",
    "servers",
    "stacks",
    "testing",
    "watchdog",
];

/// Runs the tests with each version, in an environment of its own.
pub(crate) fn run(setup: &Setup, step: &mut Step) -> Result<Count> {
    Setup::prepare_wheels()?;
    wheels::build(setup)?;
    let mut count = Count::default();
    let mut missing = Vec::new();
    for minor in VERSIONS {
        let version = format!("3.{minor}");
        match interpreter(minor) {
            Some(python) => count = count + run_version(setup, step, &version, &python)?,
            None => missing.push(version),
        }
    }
    if !missing.is_empty() {
        eprintln!("\rnot on this machine: Python {}", missing.join(", "));
    }
    ensure!(count != Count::default(), "no supported version of Python is on this machine");
    Ok(count)
}

fn run_version(setup: &Setup, step: &mut Step, version: &str, python: &Path) -> Result<Count> {
    let home = setup.workspace().join("target/healthboard/pythons").join(version);
    let program = home.join("bin/python");
    let command = || {
        let mut command = Command::new(&program);
        command.current_dir(setup.workspace());
        command
    };
    step.run(Command::new(python).args(["-m", "venv", "--clear"]).arg(&home))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let from = ["--no-index", "--find-links"];
    step.run(command().args(pip).args(from).arg(wheels::folder(setup)).arg("healthboard"))?;
    step.run(command().args(pip).args(PACKAGES))?;
    let before = step.text().len();
    let files = FILES.map(|name| format!("python/tests/test_{name}.py"));
    let options = ["-m", "pytest", "-q", "-n", "4", "--dist", "loadfile"];
    step.run(command().args(options).args(files)).with_context(|| format!("with Python {version}"))?;
    Ok(Count::of_pytest(&step.text()[before..]))
}

/// Finds an interpreter of Python 3.`minor` on `PATH`, or one of pyenv's.
pub(crate) fn interpreter(minor: u32) -> Option<PathBuf> {
    let version = format!("3.{minor}");
    let named = PathBuf::from(format!("python{version}"));
    let runs = |program: &Path| {
        // A shim of pyenv fails where its version is not chosen.
        Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    if runs(&named) {
        return Some(named);
    }
    let versions = Path::new(&env::var_os("HOME")?).join(".pyenv/versions");
    let installed = fs::read_dir(versions).ok()?.flatten().map(|entry| entry.path());
    let is_version = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{version}.")))
    };
    installed.filter(is_version).map(|path| path.join("bin/python")).find(|program| runs(program))
}
