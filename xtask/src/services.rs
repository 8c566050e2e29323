//! `cargo xtask services`: services of other projects on real servers, through real faults.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use healthboard_e2e::Setup;
use healthboard_e2e::faults::{Outcome, Pacing, Scenario, play};
use healthboard_e2e::services::{Services, inventory, page, scenarios};

use crate::e2e::{missed_goals, output_of, tick};
use crate::terminal::{bad, clear_wait, duration, good, strong, table};
use crate::{generated, interrupt};

/// The `stall_after` of the services, which is its default.
const STALL_AFTER: Duration = Duration::from_secs(60);
/// How long services are watched after their recovery.
const WATCH_AFTER_RECOVERY: Duration = Duration::from_secs(10);
/// A run of all scenarios writes its results into this page.
const PAGE: &str = "docs/services.md";
/// The packages whose versions are in the page.
const PACKAGES: &str =
    "cinder glance keystone openstack-placement oslo.messaging oslo.db oslo.service eventlet pyuwsgi";

/// Plays the named scenarios, or all if none is named. A run of all writes the page.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let (is_ready, names) = match words {
        ["--as-is", names @ ..] => (true, names),
        names => (false, names),
    };
    let known = scenarios(STALL_AFTER);
    for name in names {
        let all: Vec<&str> = known.iter().map(|scenario| scenario.name).collect();
        ensure!(all.contains(name), "no such scenario: `{name}`, expected some of {}", all.join(", "));
    }
    interrupt::watch()?;
    let setup = if is_ready { Setup::open_services()? } else { Setup::prepare_services()? };
    println!("{}", strong("start MariaDB, RabbitMQ, and all services"));
    let begin = Instant::now();
    let mut services = Services::start(&setup, tick)?;
    clear_wait();
    println!("  all services are up after {}", duration(begin.elapsed()));
    let mut outcomes = Vec::new();
    let mut rows = Vec::new();
    // Of the first scenario's end: after a restart some have not used everything again.
    let mut used = None;
    for scenario in known.iter().filter(|scenario| names.is_empty() || names.contains(&scenario.name)) {
        let outcome = play_one(&mut services, scenario)?;
        used.get_or_insert_with(|| inventory(&services));
        let misses = missed_goals(scenario, &outcome);
        rows.push([scenario.title.to_owned(), duration(outcome.lasted), misses.join("\n")]);
        outcomes.push(outcome);
    }
    let missed = rows.iter().filter(|row| !row[2].is_empty()).count();
    println!("\n{}\n", table(["scenario", "lasted", "missed"], rows.clone()));
    println!("{} met, {missed} missed, in {}", rows.len() - missed, duration(begin.elapsed()));
    if missed > 0 {
        keep_logs(&mut services);
    }
    if names.is_empty() {
        let inventory = used.context("no scenario was played")??;
        let text = head(&setup) + &inventory + &page(&known, &outcomes);
        generated::write(setup.workspace(), PAGE, "services", &text)?;
    }
    ensure!(missed == 0, "not all services said what is right");
    Ok(())
}

fn keep_logs(services: &mut Services) {
    services.keep_folder();
    let folder = services.folder().display();
    eprintln!("the logs have been kept\nnext: less {folder}/*.out; rm -r {folder}");
}

/// Plays one scenario. If it cannot be played, the logs are kept.
fn play_one(services: &mut Services, scenario: &Scenario<Services>) -> Result<Outcome> {
    println!("{}", strong(scenario.title));
    let pacing = Pacing { ends_early: false, watch_after: WATCH_AFTER_RECOVERY, tick };
    let outcome = play(services, scenario, pacing);
    clear_wait();
    interrupt::check()?;
    if outcome.is_err() {
        keep_logs(services);
    }
    let outcome = outcome?;
    let misses = missed_goals(scenario, &outcome);
    if misses.is_empty() {
        println!("  {}", good("met"));
    } else {
        println!("  {}", bad(&misses.join("\n  ")));
    }
    Ok(outcome)
}

/// With what, when and where it was measured.
fn head(setup: &Setup) -> String {
    let versions = output_of(&format!(
        "{} -c 'import importlib.metadata as m; print(\", \".join(n + \" \" + m.version(n) for n in \"{PACKAGES}\".split()))'",
        setup.program("python").display()
    ));
    let date = output_of("date -u +%F");
    let servers = output_of("mariadbd --version | sed 's/.*Ver \\([^ ]*\\).*/MariaDB \\1/'");
    let broker = output_of("dpkg-query -W -f '${Package} ${Version}' rabbitmq-server");
    let cores = output_of("nproc");
    format!("Newest run: {date}, {cores} cores. {versions}, {servers}, {broker}.\n\n")
}
