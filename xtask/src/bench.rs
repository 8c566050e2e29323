//! `cargo xtask bench`: what healthboard costs, compared with well-known programs.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use healthboard_e2e::{Setup, Step};

use crate::generated;

/// A run of all parts writes its results into this page.
const PAGE: &str = "docs/performance.md";

/// Runs the named parts, or all if none is named. A run of all parts writes the page. `--write` writes it for the named parts;
/// the page then says which parts were left out.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (writes, parts) = match words {
        ["--write", parts @ ..] => (true, parts),
        parts => (parts.is_empty(), parts),
    };
    let setup = Setup::prepare_tools()?;
    let root = setup.workspace();
    let read =
        |path: &str| fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"));
    ensure!(
        shipped(&read("Cargo.toml")?) == shipped(&read("bench/Cargo.toml")?),
        "found other settings for release in bench/Cargo.toml than in Cargo.toml, expected the same: what is measured is \
         what is shipped"
    );
    install_missing()?;
    let mut step = Step::begin("bench setup", &setup.logs())?;
    for package in [["--manifest-path", "bench/Cargo.toml"], ["--package", "healthboard-cli"]] {
        let build = ["build", "--release", "--locked", "--target-dir", "bench/target"];
        step.run(Command::new(env!("CARGO")).args(build).args(package).current_dir(root))?;
    }
    let environment = root.join("bench/target/venv");
    step.run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    let mut pip = Command::new(environment.join("bin/python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "-r",
        "bench/requirements.txt",
        "./python",
    ]);
    step.run(pip.current_dir(root))?;
    step.end();

    let mut bench = Command::new(root.join("bench/target/release/healthboard-bench"));
    let output =
        bench.args(parts).stderr(Stdio::inherit()).output().context("cannot start the benchmarks")?;
    ensure!(output.status.success(), "the benchmarks failed ({})", output.status);
    let results = String::from_utf8(output.stdout)?;
    println!("\n{results}");
    if writes { generated::write(root, PAGE, "bench", &results) } else { Ok(()) }
}

/// The settings that a package is built with for release.
fn shipped(manifest: &str) -> Vec<&str> {
    let mut is_release = false;
    let lines = manifest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter(|line| {
            if line.starts_with('[') {
                is_release = line.starts_with("[profile.release");
            }
            is_release
        })
        .collect()
}

/// Installs nginx, for comparison, and valgrind, which counts instructions. Neither is started here.
fn install_missing() -> Result<()> {
    let missing = [("nginx", "-v", "nginx-light"), ("valgrind", "--version", "valgrind")]
        .into_iter()
        .filter(|(program, version, _)| {
            let mut trial = Command::new(program);
            trial.arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status().is_err()
        })
        .map(|(.., package)| package)
        .collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    let line =
        format!("apt-get update -q && RUNLEVEL=1 apt-get install -y --no-install-recommends {packages}");
    eprintln!("$ {line}");
    let status = Command::new("sh")
        .args(["-c", &line])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .status()?;
    if !status.success() {
        bail!("missing: {packages}\nnext: sudo sh -c '{line}'");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::shipped;

    #[test]
    fn benchmarks_are_built_as_the_package_is_shipped() {
        let (package, bench) = (include_str!("../../Cargo.toml"), include_str!("../../bench/Cargo.toml"));
        assert!(shipped(package).contains(&"[profile.release]"));
        assert_eq!(shipped(package), shipped(bench));
    }
}
