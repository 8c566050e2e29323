//! `cargo xtask releases`: whether older releases of Nova start and report, and which functions the hooks find in them.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use healthboard_e2e::Setup;
use healthboard_e2e::releases::{Release, page};

/// A run of all releases writes its results to this page.
const PAGE: &str = "docs/releases.md";

const HEAD: &str = "\
# Releases of Nova

Written by `cargo xtask releases`. Each release comes from PyPI, together with the other packages of its OpenStack release. The
newest one has the packages of the demo. nova-conductor and nova-scheduler run under `healthboard-run` on SQLite. They are OK when
`database` and `service_report` are passing.

";

/// Tries the named releases, or all and the newest one if none is named. `--as-is` uses the existing setup of the newest one.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (names, newest): (_, fn() -> Result<Setup>) = match words {
        ["--as-is"] => (&[][..], Setup::open),
        names => (names, Setup::prepare),
    };
    let numbers: Result<Vec<u32>> = names
        .iter()
        .map(|name| name.parse().with_context(|| format!("expected the number of a release, found `{name}`")))
        .collect();
    let numbers = numbers?;
    let mut tried = BTreeMap::new();
    let mut failed = Vec::new();
    for number in if numbers.is_empty() { Setup::releases()? } else { numbers } {
        attempt(number, Setup::prepare_release(number), &mut tried, &mut failed);
    }
    if names.is_empty() {
        let number = Setup::releases()?.last().map_or(0, |number| number + 1);
        attempt(number, newest(), &mut tried, &mut failed);
    }
    let results = page(&tried);
    println!("\n{results}");
    ensure!(failed.is_empty(), "these releases failed: {failed:?}");
    if names.is_empty() {
        let page = Setup::prepare_tools()?.workspace().join(PAGE);
        fs::write(page, format!("{HEAD}{results}"))?;
        eprintln!("written to {PAGE}");
    }
    Ok(())
}

fn attempt(number: u32, setup: Result<Setup>, tried: &mut BTreeMap<u32, Release>, failed: &mut Vec<u32>) {
    match setup.and_then(|setup| Release::try_out(&setup)) {
        Ok(release) => {
            eprintln!("{number}: nova-conductor and nova-scheduler are OK");
            tried.insert(number, release);
        }
        Err(error) => {
            eprintln!("{number}: {error:#}");
            failed.push(number);
        }
    }
}
