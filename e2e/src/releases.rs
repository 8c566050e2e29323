//! Releases of Nova: what the hooks find in each, and whether its daemons start and report.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::setup::Setup;
use crate::stage::{CONDUCTOR, SCHEDULER, Stage};

/// Says in the log what a hook did not find.
const MISSING: &str = "its calls are not recorded";

/// What came out for one release.
#[derive(Debug, Clone, Default)]
pub struct Release {
    /// The versions of Nova and of the libraries that are hooked, by name.
    pub versions: BTreeMap<String, String>,
    /// For each hooked function, as `module:function`, whether it is there; `None` where its module is not.
    pub targets: BTreeMap<String, Option<bool>>,
    /// How many processes each service has.
    pub services: BTreeMap<&'static str, u64>,
    /// The lines in the logs of the services by which a hook says what it did not find.
    pub missing: Vec<String>,
}

#[derive(Deserialize)]
struct Found {
    versions: BTreeMap<String, String>,
    targets: BTreeMap<String, Option<bool>>,
}

impl Release {
    /// Tries the release that was set up: starts its conductor and its scheduler, and waits until both are OK, with their
    /// database and their reports to it as evidence.
    ///
    /// # Errors
    ///
    /// When they do not get there within a minute each; the error says where to look.
    pub fn try_out(setup: &Setup) -> Result<Self> {
        let Found { versions, targets } = look_for_targets(setup)?;
        let mut stage = Stage::new(setup)?;
        stage.listen()?;
        let mut release = Self { versions, targets, ..Self::default() };
        for binary in [CONDUCTOR, SCHEDULER] {
            stage.start(binary, &[])?;
            let answer = stage.until(binary, "OK, with its database and its reports", |answer| {
                let is_passing = |name| answer.state(name) == "passing";
                answer.status() == "OK" && is_passing("database") && is_passing("service_report")
            })?;
            release.services.insert(binary, answer.processes("alive"));
        }
        for binary in [CONDUCTOR, SCHEDULER] {
            let log = stage.log(binary);
            let lines = log.lines().filter(|line| line.contains(MISSING));
            release.missing.extend(lines.filter_map(|line| Some(line.split_once("] ")?.1.to_owned())));
        }
        release.missing.sort();
        release.missing.dedup();
        Ok(release)
    }
}

fn look_for_targets(setup: &Setup) -> Result<Found> {
    let script = setup.workspace().join("e2e/releases/targets.py");
    let output = Command::new(setup.program("python")).arg(script).output().context("cannot start Python")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot look for what is hooked: {said}");
    serde_json::from_slice(&output.stdout).context("what targets.py says cannot be read")
}

/// What docs/releases.md says below its heading.
pub fn page(releases: &BTreeMap<u32, Release>) -> String {
    let all: Vec<&Release> = releases.values().collect();
    let mut head = vec![String::new()];
    head.extend(releases.keys().map(ToString::to_string));

    let versions: BTreeSet<&String> = all.iter().flat_map(|release| release.versions.keys()).collect();
    let mut daemons = vec![head.clone()];
    daemons.extend(
        versions
            .into_iter()
            .map(|name| row(name, &all, |release| release.versions.get(name).cloned().unwrap_or_default())),
    );
    for binary in [CONDUCTOR, SCHEDULER] {
        daemons.push(row(binary, &all, |release| {
            let processes = release.services.get(binary);
            processes.map_or_else(String::new, |count| format!("OK, processes: {count}"))
        }));
    }
    daemons.push(row("missing, by their logs", &all, |release| match &release.missing[..] {
        [] => "nothing".to_owned(),
        lines => lines.join("; "),
    }));

    let functions: BTreeSet<&String> = all.iter().flat_map(|release| release.targets.keys()).collect();
    let mut hooks = vec![head];
    // A module that is not there has no functions.
    hooks.extend(functions.into_iter().filter(|name| !name.ends_with(':')).map(|name| {
        row(&format!("`{name}`"), &all, |release| match release.targets.get(name) {
            Some(Some(true)) => "yes".to_owned(),
            Some(Some(false)) => "**missing**".to_owned(),
            _ => "–".to_owned(),
        })
    }));
    format!(
        "## Daemons\n\n{}\n## Hooks\n\nWhether the function that is hooked is there; – where the release has another one in its place, \
         or not the module.\n\n{}",
        table(&daemons),
        table(&hooks)
    )
}

fn row(name: &str, releases: &[&Release], cell: impl Fn(&Release) -> String) -> Vec<String> {
    [name.to_owned()].into_iter().chain(releases.iter().map(|release| cell(release))).collect()
}

fn table(rows: &[Vec<String>]) -> String {
    let mut lines: Vec<String> = rows.iter().map(|cells| format!("| {} |\n", cells.join(" | "))).collect();
    lines.insert(1, format!("|{}\n", " --- |".repeat(rows[0].len())));
    lines.concat()
}
