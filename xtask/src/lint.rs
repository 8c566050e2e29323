//! `cargo xtask lint`: what a reviewer should not have to say.

use std::process::Command;

use anyhow::{Result, bail, ensure};
use healthboard_e2e::{Setup, Step};

use crate::terminal::bad;

/// The checks that cargo makes, as one would type them, and what repairs them.
const CARGO: [(&str, &[&str], &str); 3] = [
    ("fmt", &["fmt", "--all", "--check"], "cargo fmt --all"),
    (
        "clippy",
        &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        "cargo clippy --workspace --fix",
    ),
    (
        "doc",
        &["doc", "--workspace", "--no-deps", "--document-private-items"],
        "cargo doc --workspace --no-deps",
    ),
];

/// The checks that ruff makes in `python/`.
const RUFF: [(&str, &[&str], &str); 2] = [
    ("ruff check", &["check", "python"], "ruff check --fix python"),
    ("ruff format", &["format", "--check", "python"], "ruff format python"),
];

/// Makes all checks; fails if one does.
pub(crate) fn run() -> Result<()> {
    let setup = Setup::prepare_tools()?;
    install_components()?;
    let ruff = setup.program("ruff");
    let mut failed = Vec::new();
    let cargo = CARGO.map(|(name, arguments, repair)| {
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).env("RUSTDOCFLAGS", "-D warnings");
        (name, command, repair)
    });
    let ruff = RUFF.map(|(name, arguments, repair)| {
        let mut command = Command::new(&ruff);
        command.args(arguments);
        (name, command, repair)
    });
    for (name, mut command, repair) in cargo.into_iter().chain(ruff) {
        let mut step = Step::begin(&format!("lint {name}"), &setup.logs())?;
        if step.run(command.current_dir(setup.workspace())).is_err() {
            eprintln!("\n{}\n{} {name} is not content\nnext: {repair}", step.text(), bad("error:"));
            failed.push(name);
        } else {
            step.end();
        }
    }
    if failed.is_empty() { Ok(()) } else { bail!("these checks failed: {}", failed.join(", ")) }
}

/// A toolchain of rustup's minimal profile has neither rustfmt nor clippy.
fn install_components() -> Result<()> {
    let has = |tool: &str| {
        Command::new(env!("CARGO"))
            .args([tool, "--version"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if has("fmt") && has("clippy") {
        return Ok(());
    }
    let line = ["component", "add", "rustfmt", "clippy"];
    let status = Command::new("rustup").args(line).status();
    ensure!(
        status.is_ok_and(|status| status.success()),
        "rustfmt or clippy is missing\nnext: rustup component add rustfmt clippy, or install the packages of your distribution"
    );
    Ok(())
}
