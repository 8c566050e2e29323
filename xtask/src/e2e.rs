//! `cargo xtask e2e`: real faults on real servers and all services of Nova, measured against the goals.

mod results;

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use healthboard_e2e::faults::{
    Load, Outcome, Pacing, Scenario, Scene, Wanted, drain, not_ok_before, page, period, play, scenarios,
};
use healthboard_e2e::{ALL, Backends, Concurrency, Setup};

use self::results::Results;
pub(crate) use self::results::output_of;
use crate::interrupt;
use crate::terminal::{bad, clear_wait, duration, good, show_wait, strong, table};

/// The `stall_after` of the services, which is its default.
const STALL_AFTER: Duration = Duration::from_secs(60);
/// How long services are watched after their recovery.
const WATCH_AFTER_RECOVERY: Duration = Duration::from_secs(15);
/// The path of the page in the workspace.
const PAGE: &str = "docs/faults.md";
/// Parts that can be named like faults.
const PARTS: [&str; 4] = ["draining", "idle", "busy", "hold"];

const PACING: Pacing = Pacing { ends_early: false, watch_after: WATCH_AFTER_RECOVERY, tick };

/// The command line.
struct Plan {
    modes: Vec<Concurrency>,
    minutes: u64,
    names: Vec<String>,
    prepare: bool,
}

/// Plays the named faults, or all if none is named, and writes the page.
pub(crate) fn run(words: &[&str]) -> Result<()> {
    let known = scenarios(STALL_AFTER);
    let plan = Plan::read(words, &known)?;
    interrupt::watch()?;
    let setup = if plan.prepare { Setup::prepare_cluster()? } else { Setup::open()? };
    let results = Results::of(&setup)?;
    if plan.names.is_empty() {
        results.clear()?;
    }
    let begin = Instant::now();
    // Faults wait more than they work, so both modes are played at the same time.
    let rows = std::thread::scope(|scope| {
        let (setup, plan, known, results) = (&setup, &plan, &known, &results);
        let play = |mode: &Concurrency| {
            let mode = *mode;
            scope.spawn(move || play_all(setup, plan, mode, known, results))
        };
        let modes: Vec<_> = plan.modes.iter().map(play).collect();
        let ends = modes.into_iter().map(|mode| mode.join().map_err(|_| anyhow!("a mode panicked"))?);
        ends.collect::<Result<Vec<_>>>()
    })?
    .concat();
    let head = results.head();
    let text = page(&head, &known, &results.outcomes()?, &results.periods()?, &results.drained()?);
    std::fs::write(setup.workspace().join(PAGE), text).with_context(|| format!("cannot write {PAGE}"))?;
    let missed = rows.iter().filter(|row| !row.met).count();
    let lines = rows.iter().map(|row| {
        let result = if row.met { good("met") } else { bad("MISSED") };
        [row.name.clone(), row.mode.clone(), duration(row.elapsed), result, row.misses.clone()]
    });
    println!("\n{}\n", table(["fault", "mode", "time", "goals", "missed"], lines));
    println!("{} met, {missed} missed, in {}", rows.len() - missed, duration(begin.elapsed()));
    println!("written to {PAGE}");
    ensure!(missed == 0, "not all goals were met");
    Ok(())
}

#[derive(Clone)]
struct Row {
    name: String,
    mode: String,
    elapsed: Duration,
    met: bool,
    misses: String,
}

impl Plan {
    fn read(words: &[&str], known: &[Scenario]) -> Result<Self> {
        let both = vec![Concurrency::Threading, Concurrency::Eventlet];
        let mut plan = Self { modes: both, minutes: 5, names: Vec::new(), prepare: true };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--mode" => {
                    plan.modes = vec![match words.next().copied() {
                        Some("threading") => Concurrency::Threading,
                        Some("eventlet") => Concurrency::Eventlet,
                        other => bail!("no such mode: {other:?}, expected threading or eventlet"),
                    }];
                }
                "--minutes" => {
                    let minutes = words.next().and_then(|minutes| minutes.parse().ok());
                    plan.minutes = minutes.context("--minutes needs a number")?;
                }
                "--as-is" => plan.prepare = false,
                name => {
                    let all: Vec<&str> = known.iter().map(|scenario| scenario.name).chain(PARTS).collect();
                    ensure!(
                        all.contains(&name),
                        "no such fault: `{name}`, expected some of {}",
                        all.join(", ")
                    );
                    plan.names.push(name.to_owned());
                }
            }
        }
        Ok(plan)
    }

    fn has(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|chosen| chosen == name)
    }
}

fn play_all(
    setup: &Setup,
    plan: &Plan,
    mode: Concurrency,
    known: &[Scenario],
    results: &Results,
) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let chosen =
        |scenario: &&Scenario| plan.has(scenario.name) && scenario.only.is_none_or(|only| only == mode);
    let chosen: Vec<&Scenario> = known.iter().filter(chosen).collect();
    let mut scene = None;
    for scenario in chosen {
        let begin = Instant::now();
        println!("{}", strong(&format!("{} · {mode:?}", scenario.title)));
        let mut on = ensure_scene(setup, mode, scenario.on, &mut scene)?;
        let mut outcome = play(on, scenario, PACING);
        clear_wait();
        if let Some(why) = outcome.as_ref().err().and_then(not_ok_before) {
            println!(
                "  {}\n  logs: {}",
                bad(&format!("{why}; everything is started anew")),
                on.folder().display()
            );
            on.keep_folder();
            scene = None;
            on = ensure_scene(setup, mode, scenario.on, &mut scene)?;
            outcome =
                play(on, scenario, PACING).map(|outcome| Outcome { started_anew: Some(why), ..outcome });
            clear_wait();
        }
        interrupt::check()?;
        let misses = match &outcome {
            Ok(outcome) => missed_goals(scenario, outcome),
            Err(error) => vec![format!("{error:#}")],
        };
        if !misses.is_empty() {
            println!("  {}\n  logs: {}", bad(&misses.join("\n  ")), on.folder().display());
            on.keep_folder();
        }
        match outcome {
            Ok(outcome) => results.keep(&outcome.scenario, &outcome.mode, &outcome)?,
            // Start over with a new cluster: this one is broken.
            Err(_) => scene = None,
        }
        rows.push(row(scenario.name, mode, begin, misses));
    }
    if plan.names.iter().any(|name| name == "hold") {
        let scene = ensure_scene(setup, mode, Backends::Usual, &mut scene)?;
        println!("everything runs in {} until Ctrl-C", scene.folder().display());
        let begin = Instant::now();
        loop {
            tick(begin.elapsed())?;
            sleep(Duration::from_millis(100));
        }
    }
    if plan.has("draining") {
        let begin = Instant::now();
        println!("{}", strong(&format!("SIGTERM · {mode:?}")));
        let scene = ensure_scene(setup, mode, Backends::Usual, &mut scene)?;
        let drained: Result<Vec<_>> = ALL.into_iter().map(|service| drain(scene, service, PACING)).collect();
        interrupt::check()?;
        let misses = match drained {
            Ok(drained) => {
                results.keep("draining", &format!("{mode:?}"), &drained)?;
                let misses = drained.iter().filter(|drained| !drained.meets_goals());
                misses.map(|drained| format!("{drained:?}")).collect()
            }
            Err(error) => vec![format!("{error:#}")],
        };
        rows.push(row("draining", mode, begin, misses));
    }
    drop(scene);
    for load in [Load::Idle, Load::Busy].into_iter().filter(|load| plan.has(load.name()) && plan.minutes > 0)
    {
        let begin = Instant::now();
        println!("{}", strong(&format!("{} min without a fault, {} · {mode:?}", plan.minutes, load.name())));
        let observed = period(setup, mode, load, Duration::from_secs(plan.minutes * 60), PACING)?;
        clear_wait();
        let alarms = observed.alarms.iter().map(|(service, change)| format!("{service}: {change:?}"));
        let misses = alarms.chain(observed.new_lines.iter().cloned()).collect();
        results.keep(load.name(), &format!("{mode:?}"), &observed)?;
        rows.push(row(load.name(), mode, begin, misses));
    }
    Ok(rows)
}

fn row(name: &str, mode: Concurrency, begin: Instant, misses: Vec<String>) -> Row {
    let (elapsed, met) = (begin.elapsed(), misses.is_empty());
    let result = if met { good("met") } else { bad("missed") };
    println!("  {name} · {mode:?}: {result} after {}", duration(elapsed));
    Row { name: name.to_owned(), mode: format!("{mode:?}"), elapsed, met, misses: misses.join("\n") }
}

/// Returns the scene, creating it if there is none on this server of the databases.
fn ensure_scene<'a>(
    setup: &Setup,
    mode: Concurrency,
    backends: Backends,
    scene: &'a mut Option<Scene>,
) -> Result<&'a mut Scene> {
    if scene.as_ref().is_none_or(|scene| scene.backends() != backends) {
        // Its servers make room first.
        *scene = None;
        let begin = Instant::now();
        *scene = Some(Scene::on(backends, setup, mode, "", tick)?);
        clear_wait();
        println!("  {mode:?}: all services are OK after {}", duration(begin.elapsed()));
    }
    scene.as_mut().context("there is no scene")
}

pub(crate) fn tick(elapsed: Duration) -> Result<()> {
    show_wait(elapsed);
    interrupt::check()
}

/// The goals that were missed, each as a line.
pub(crate) fn missed_goals<S>(scenario: &Scenario<S>, outcome: &Outcome) -> Vec<String> {
    if let Some(why) = &outcome.impossible {
        return vec![format!("not possible: {why}")];
    }
    let missed = scenario.checks(&outcome.findings).into_iter().filter(|check| !check.met);
    missed
        .map(|check| {
            let found = outcome.findings.iter().find(|found| found.service == check.service);
            let said: Vec<_> = match (check.wanted, found) {
                (Wanted::NoFalseAlarm, Some(found)) => found.before.iter().chain(&found.after).collect(),
                (Wanted::Never(_) | Wanted::Named(_), Some(found)) => found.during.iter().collect(),
                _ => Vec::new(),
            };
            let notes: String =
                said.iter().map(|change| format!("; {:?} {}", change.status, change.note)).collect();
            format!("{}: {}{notes}", check.service, check.text())
        })
        .collect()
}
