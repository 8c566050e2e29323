//! `cargo xtask crates`: whether the crates can be published, with each of their features, built by the oldest Rust, and
//! which dependencies are a part of their interfaces.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use healthboard_e2e::{Setup, Step};

/// In the order in which they are published.
const CRATES: [&str; 4] = ["healthboard-macros", "healthboard", "healthboard-endpoint", "healthboard-cli"];

/// The dependencies whose types are in the interface of a crate: a new major version of one is a new major version of the
/// crate. docs/compatibility.md lists them.
const PUBLIC: [(&str, &str); 3] = [
    ("healthboard", "healthboard_macros"),
    ("healthboard", "serde_json"),
    ("healthboard-endpoint", "healthboard"),
];

/// Checks all of it.
pub(crate) fn run() -> Result<()> {
    let setup = Setup::prepare_tools()?;
    let folder = setup.logs().with_file_name("crates");
    let run = |program: PathBuf, words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words).args(CRATES.iter().flat_map(|name| ["--package", name]));
        command.current_dir(setup.workspace()).env("CARGO_TARGET_DIR", &folder);
        command
    };
    let step = |name: &str, mut command: Command| -> Result<()> {
        let mut step = Step::begin(&format!("crates {name}"), &setup.logs())?;
        step.run(&mut command)?;
        step.end();
        Ok(())
    };
    // Each is built from its package alone, with the packages before it in place of those in a registry.
    let cargo = || PathBuf::from(env!("CARGO"));
    step("package", run(cargo(), &["package", "--locked", "--allow-dirty"]))?;
    let powerset = ["hack", "check", "--locked", "--feature-powerset"];
    step("features", run(setup.program("cargo-hack"), &powerset))?;
    // A feature of cargo that is not stable yet. It needs no other compiler, and takes all dependencies for private ones.
    let mut public = run(cargo(), &["check", "--locked", "--all-features", "--message-format", "short"]);
    public
        .arg("-Zpublic-dependency")
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", folder.join("public"));
    check_public(&setup, public)?;
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    let mut install = Command::new("rustup");
    install.args(["toolchain", "install", oldest, "--profile", "minimal", "--no-self-update"]);
    step(&format!("Rust {oldest}"), install)?;
    let mut check = run(cargo(), &["check", "--locked", "--package", "healthboard-python"]);
    check.env("RUSTC", rustc(oldest)?);
    step(&format!("check with Rust {oldest}"), check)
}

fn check_public(setup: &Setup, mut check: Command) -> Result<()> {
    let mut step = Step::begin("crates public dependencies", &setup.logs())?;
    step.run(&mut check)?;
    let text = step.text();
    let found: BTreeSet<(&str, &str)> = text
        .lines()
        .filter_map(|line| {
            let name = line.split_once("crates/")?.1.split('/').next()?;
            let dependency = line.split_once("from private dependency '")?.1.split('\'').next()?;
            Some((name, dependency))
        })
        .collect();
    ensure!(found == BTreeSet::from(PUBLIC), "public dependencies: found {found:?}, expected {PUBLIC:?}");
    step.end();
    Ok(())
}

/// The compiler of this version.
fn rustc(version: &str) -> Result<PathBuf> {
    let found = Command::new("rustup").args(["which", "--toolchain", version, "rustc"]).output()?;
    ensure!(
        found.status.success(),
        "rustup has no Rust {version}: {}",
        String::from_utf8_lossy(&found.stderr)
    );
    Ok(PathBuf::from(String::from_utf8(found.stdout)?.trim()))
}
