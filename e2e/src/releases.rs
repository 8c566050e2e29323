//! Releases of Nova: what the hooks find in each, and whether its daemons start and report.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::setup::Setup;
use crate::stage::{CONDUCTOR, SCHEDULER, Stage};

/// The words by which a hook logs that it did not find a function.
const MISSING_TARGET: &str = "its calls are not recorded";

/// The result for one release.
#[derive(Debug, Clone, Default)]
pub struct Release {
    /// The versions of Nova and of the hooked libraries, by name.
    pub versions: BTreeMap<String, String>,
    /// Whether each hooked function, `module:function`, exists; `None` if its module does not.
    pub targets: BTreeMap<String, Option<bool>>,
    /// The number of processes of each service.
    pub services: BTreeMap<&'static str, u64>,
    /// The log lines of hooks that did not find a function.
    pub missing: Vec<String>,
}

#[derive(Deserialize)]
struct Found {
    versions: BTreeMap<String, String>,
    targets: BTreeMap<String, Option<bool>>,
}

impl Release {
    /// Tries the release that was set up: starts its conductor and its scheduler, and waits until both are OK and their
    /// indicators `database` and `service_report` are passing.
    ///
    /// # Errors
    ///
    /// If one of them takes longer than a minute; the error says where to look.
    pub fn try_out(setup: &Setup) -> Result<Self> {
        let Found { versions, targets } = look_for_targets(setup)?;
        let mut stage = Stage::new(setup)?;
        stage.listen()?;
        let mut release = Self { versions, targets, ..Self::default() };
        for binary in [CONDUCTOR, SCHEDULER] {
            stage.start(binary, &[])?;
            let answer =
                stage.until(binary, "OK, with `database` and `service_report` passing", |answer| {
                    let is_passing = |name| answer.state(name) == "passing";
                    answer.status() == "OK" && is_passing("database") && is_passing("service_report")
                })?;
            release.services.insert(binary, answer.processes("alive"));
        }
        for binary in [CONDUCTOR, SCHEDULER] {
            let log = stage.log(binary);
            let lines = log.lines().filter(|line| line.contains(MISSING_TARGET));
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
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cannot look for the hooked functions: {stderr}");
    serde_json::from_slice(&output.stdout).context("cannot parse the output of targets.py")
}

/// The content of docs/releases.md below its introduction.
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
    daemons.push(row("missing functions in their logs", &all, |release| match &release.missing[..] {
        [] => "none".to_owned(),
        lines => lines.join("; "),
    }));

    let functions: BTreeSet<&String> = all.iter().flat_map(|release| release.targets.keys()).collect();
    let mut hooks = vec![head];
    // A name that ends with `:` stands for a missing module.
    hooks.extend(functions.into_iter().filter(|name| !name.ends_with(':')).map(|name| {
        row(&format!("`{name}`"), &all, |release| match release.targets.get(name) {
            Some(Some(true)) => "yes".to_owned(),
            Some(Some(false)) => "**missing**".to_owned(),
            _ => "–".to_owned(),
        })
    }));
    format!(
        "## Daemons\n\n{}\n## Hooks\n\nWhether the hooked function exists. – means that the release has another function in its place, or \
         does not have the module.\n\n{}",
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
