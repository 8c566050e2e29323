//! `cargo xtask lint`: the checks that need no reviewer.

use std::process::Command;

use anyhow::{Result, ensure};
use healthboard_e2e::{Setup, Step};

use crate::book;
use crate::terminal::bad;
use crate::test::GENERATE;

/// A check as one would type it, and the command that repairs its findings.
struct Check {
    line: &'static [&'static str],
    repair: &'static str,
}

const CHECKS: [Check; 7] = [
    Check { line: &["cargo", "fmt", "--all", "--check"], repair: "cargo fmt --all" },
    Check {
        line: &["cargo", "clippy", "--workspace", "--all-targets", GENERATE, "--", "-D", "warnings"],
        repair: "cargo clippy --workspace --all-targets --fix",
    },
    Check { line: &["cargo", "doc", "--workspace", "--no-deps"], repair: "cargo doc --workspace --no-deps" },
    Check {
        line: &["cargo-deny", "check", "licenses", "bans", "sources"],
        repair: "cargo update, another dependency, or an exception with its reason in deny.toml",
    },
    Check { line: &book::LINE, repair: "mend the link or the page that it names, then: cargo xtask book" },
    Check { line: &["ruff", "check", "python"], repair: "ruff check --fix python" },
    Check { line: &["ruff", "format", "--check", "python"], repair: "ruff format python" },
];

/// Runs all checks. Fails if one fails.
pub(crate) fn run() -> Result<()> {
    let setup = Setup::prepare_tools()?;
    install_components()?;
    let mut failed = Vec::new();
    for Check { line, repair } in CHECKS {
        let name = line[..2].join(" ");
        let program = if line[0] == "cargo" { env!("CARGO").into() } else { setup.program(line[0]) };
        let mut command = Command::new(program);
        command.args(&line[1..]).current_dir(setup.workspace()).env("RUSTDOCFLAGS", "-D warnings");
        let mut step = Step::begin(&format!("lint {name}"), &setup.logs())?;
        if step.run(&mut command).is_err() {
            eprintln!("\n{}\n{} {name} failed\nnext: {repair}", step.text(), bad("error:"));
            failed.push(name);
        } else {
            step.end();
        }
    }
    ensure!(failed.is_empty(), "these checks failed: {}", failed.join(", "));
    Ok(())
}

/// Installs rustfmt and clippy, which rustup's minimal profile does not have.
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
