//! `cargo xtask release`: everything that must be true of a release, and its files in one folder.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use healthboard_e2e::Setup;

use crate::pythons::interpreter;
use crate::source::{Source, copyright};
use crate::terminal::{duration, good, strong, table};
use crate::{crates, deb, fuzz, lint, reproduce, rpm, sbom, static_command, test, torture, wheels};

type Job = fn() -> Result<()>;

/// The jobs that must pass, from cheap to expensive.
const JOBS: [(&str, Job); 10] = [
    ("lint", lint::run),
    ("crates", crates::run),
    ("static", static_command::run),
    ("wheels", wheels::run),
    ("rpm", rpm::run),
    ("deb", deb::run),
    ("reproduce", reproduce::run),
    ("fuzz", || fuzz::run(&[])),
    ("torture --full", || torture::run(&["--full"])),
    ("test rust loom python e2e pythons", || test::run(&["rust", "loom", "python", "e2e", "pythons"])),
];

/// What no program should do by itself.
const BY_HAND: &str = "\
by hand, in this order:
  git tag --sign v{version} && git push origin v{version}
  cargo publish --package healthboard-macros --package healthboard --package healthboard-endpoint --package healthboard-cli
  twine upload {folder}/*.whl
  the files and SHA256SUMS to the release's page, with the changelog's section";

/// Those that make no file of the release. What has passed at a commit is not run again, so a release that failed goes on where it
/// stopped.
const WITHOUT_FILES: [&str; 5] =
    ["lint", "reproduce", "fuzz", "torture --full", "test rust loom python e2e pythons"];

/// Checks the versions, runs all jobs, and gathers the files.
pub(crate) fn run() -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let setup = Setup::prepare_tools()?;
    check_versions(setup.workspace(), version)?;
    let record = setup.logs().with_file_name("release").join(commit(setup.workspace())?);
    fs::create_dir_all(&record)?;
    let mut rows = Vec::new();
    for (name, job) in JOBS {
        let passed = record.join(name);
        if WITHOUT_FILES.contains(&name) && passed.exists() {
            rows.push([name.to_owned(), "earlier".to_owned(), good("passed")]);
            continue;
        }
        println!("{}", strong(name));
        let begin = Instant::now();
        job().with_context(|| format!("{name} failed\nnext: cargo xtask {name}"))?;
        check_committed(setup.workspace())?;
        fs::write(passed, "")?;
        rows.push([name.to_owned(), duration(begin.elapsed()), good("passed")]);
    }
    let folder = gather(&setup, version)?;
    println!("\n{}\n\nin {}\n", table(["job", "time", "result"], rows), folder.display());
    println!("{}", BY_HAND.replace("{version}", version).replace("{folder}", &folder.display().to_string()));
    Ok(())
}

/// The same version everywhere, a changelog that is finished, and nothing that is not committed.
fn check_versions(workspace: &Path, version: &str) -> Result<()> {
    let first = |file: &str, begin: &str| -> Result<String> {
        let text = fs::read_to_string(workspace.join(file)).with_context(|| format!("cannot read {file}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix(begin));
        Ok(line.with_context(|| format!("{file} has no line `{begin}…`"))?.trim().to_owned())
    };
    for (file, begin, wanted) in [
        ("deploy/debian/changelog", "healthboard (", format!("{version}-")),
        ("deploy/rpm/healthboard.spec", "Version:", version.to_owned()),
        ("CHANGELOG.md", "## ", format!("{version}, 2")),
    ] {
        let found = first(file, begin)?;
        ensure!(found.starts_with(&wanted), "{file}: found `{begin}{found}`, expected `{wanted}…`");
    }
    for minor in wheels::OWN.chain([wheels::STABLE_ABI]) {
        let python = interpreter(minor);
        ensure!(python.is_some(), "Python 3.{minor} is not on this machine\nnext: install it, or by pyenv");
    }
    check_committed(workspace)
}

fn commit(workspace: &Path) -> Result<String> {
    let head = Command::new("git").args(["rev-parse", "HEAD"]).current_dir(workspace).output()?;
    ensure!(head.status.success(), "{}", String::from_utf8_lossy(&head.stderr));
    Ok(String::from_utf8_lossy(&head.stdout).trim().to_owned())
}

fn check_committed(workspace: &Path) -> Result<()> {
    let status = Command::new("git").args(["status", "--porcelain"]).current_dir(workspace).output()?;
    let changed = String::from_utf8_lossy(&status.stdout).into_owned();
    ensure!(changed.is_empty(), "not everything is committed:\n{changed}");
    Ok(())
}

/// Copies what was built into one empty folder, with checksums.
fn gather(setup: &Setup, version: &str) -> Result<PathBuf> {
    let home = setup.logs().with_file_name("");
    let folder = home.join("release").join(version);
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let built =
        ["deb", "rpm/rpm/RPMS/x86_64", "rpm/rpm/RPMS/noarch", "rpm/rpm/SRPMS", "wheels", "crates/package"];
    let mut files: Vec<PathBuf> = vec![Setup::build_static(&["healthboard-cli"])?.join("healthboard")];
    for part in built {
        let entries =
            fs::read_dir(home.join(part)).with_context(|| format!("nothing was built in {part}"))?;
        let shipped = |path: &PathBuf| is_shipped(path) && path.to_string_lossy().contains(version);
        files.extend(entries.flatten().map(|entry| entry.path()).filter(shipped));
    }
    // Of the static command, which has no room for them.
    for (name, text) in [
        ("healthboard.cdx.json", sbom::of(setup.workspace(), "healthboard-cli")?),
        (Source::COPYRIGHT, copyright::of(&sbom::crates(setup.workspace(), "healthboard-cli")?)?),
    ] {
        let path = folder.with_file_name(name);
        fs::write(&path, text)?;
        files.push(path);
    }
    files.sort();
    let mut sums = Command::new("sha256sum");
    for file in &files {
        let name = file.file_name().context("a file without a name")?;
        fs::copy(file, folder.join(name))?;
        sums.arg(name);
    }
    let sums = sums.current_dir(&folder).output()?;
    ensure!(sums.status.success(), "sha256sum failed");
    fs::write(folder.join("SHA256SUMS"), sums.stdout)?;
    Ok(folder)
}

fn is_shipped(path: &Path) -> bool {
    let ends = ["deb", "rpm", "whl", "crate", "dsc", "xz"];
    path.extension().and_then(OsStr::to_str).is_some_and(|end| ends.contains(&end)) && path.is_file()
}
