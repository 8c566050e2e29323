//! `cargo xtask crates`: whether the crates can be published, with each of their features, and built by the oldest Rust.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use healthboard_e2e::{Setup, Step};

/// In the order in which they are published.
const CRATES: [&str; 4] = ["healthboard-macros", "healthboard", "healthboard-endpoint", "healthboard-cli"];

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
    let oldest = env!("CARGO_PKG_RUST_VERSION");
    let mut install = Command::new("rustup");
    install.args(["toolchain", "install", oldest, "--profile", "minimal", "--no-self-update"]);
    step(&format!("Rust {oldest}"), install)?;
    let mut check = run(cargo(), &["check", "--locked"]);
    check.env("RUSTC", rustc(oldest)?);
    step(&format!("check with Rust {oldest}"), check)
}

/// The compiler of this version.
fn rustc(version: &str) -> Result<PathBuf> {
    let found = Command::new("rustup").args(["which", "--toolchain", version, "rustc"]).output()?;
    Ok(PathBuf::from(String::from_utf8(found.stdout)?.trim()))
}
