//! The static command, in a root that has nothing else.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use healthboard_e2e::Setup;

/// What an image may grow by.
const MOST_BYTES: u64 = 2 << 20;
/// Much longer than the service takes to start or to fail.
const TIMEOUT: Duration = Duration::from_secs(30);

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn the_static_command_is_small_and_runs_in_an_empty_root() -> Result<()> {
    let programs = Setup::build_static(&["healthboard-cli", "sqlite-service"])?;
    let command = programs.join("healthboard");
    let size = command.metadata()?.len();
    ensure!(size < MOST_BYTES, "found {size} bytes, expected less than {MOST_BYTES}");
    ensure!(stated()?.abs_diff(size) <= 100_000, "found {size} bytes, docs/packagers.md says something else");
    let headers = Command::new("readelf").args(["--program-headers", "--wide"]).arg(&command).output()?;
    let headers = String::from_utf8(headers.stdout)?;
    ensure!(headers.contains("LOAD") && !headers.contains("INTERP"), "not static: {headers}");

    let root = tempfile::tempdir_in("/tmp")?;
    fs::copy(command, root.path().join("healthboard"))?;
    let mut service = Command::new(programs.join("sqlite-service"))
        .args(["--uri", &format!("unix://{}/health.sock", root.path().display()), "visits.db"])
        .env("HEALTHBOARD_RUNTIME_DIR", root.path().join("run"))
        .env("HEALTHBOARD_FAILURE_WINDOW", "0")
        .current_dir(root.path())
        .spawn()?;
    let played = play(root.path());
    service.kill()?;
    service.wait()?;
    played
}

/// The size in bytes that the page for packagers states.
fn stated() -> Result<u64> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/packagers.md");
    let page = fs::read_to_string(page)?;
    let size = page.split("one file of ").nth(1).and_then(|rest| rest.split(" MB").next());
    Ok((size.context("no size")?.parse::<f64>()? * 1e6) as u64)
}

fn play(root: &Path) -> Result<()> {
    until(root, 0, "sqlite-service OK\n")?;
    fs::rename(root.join("visits.db"), root.join("away.db"))?;
    until(root, 1, "sqlite-service FAULT: database: ")?;
    fs::rename(root.join("away.db"), root.join("visits.db"))?;
    until(root, 0, "sqlite-service OK\n")
}

/// Asks until this is the answer.
fn until(root: &Path, code: i32, begin: &str) -> Result<()> {
    let start = Instant::now();
    loop {
        // Only an administrator can change the root.
        let Output { status, stdout, .. } = Command::new("/usr/sbin/chroot")
            .arg(root)
            .args(["/healthboard", "check", "--docker", "unix:///health.sock"])
            .env_clear()
            .output()
            .context("cannot start chroot")?;
        let line = String::from_utf8(stdout)?;
        if status.code() == Some(code) && line.starts_with(begin) {
            return Ok(());
        }
        ensure!(start.elapsed() < TIMEOUT, "found {status}: {line}expected {code}: {begin}");
        sleep(Duration::from_millis(50));
    }
}
