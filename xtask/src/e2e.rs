//! `cargo xtask e2e`: real faults on real servers and all services of Nova, measured against what is to be reached.

mod results;

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use healthboard_e2e::faults::{
    Outcome, Patience, Scenario, Scene, Wanted, drain, page, play, quiet, scenarios,
};
use healthboard_e2e::{ALL, Concurrency, Setup};

use self::results::Results;
use crate::interrupt;
use crate::terminal::{bad, clear_wait, duration, good, show_wait, strong, table};

/// How long an operation may take before it counts as hung: Nova's services are left as they come.
const STALL_AFTER: Duration = Duration::from_secs(60);
/// How long services are watched after they have recovered.
const CALM: Duration = Duration::from_secs(15);
/// Where the page is, in the workspace.
const PAGE: &str = "docs/faults.md";
/// What is no fault, but a part like one.
const PARTS: [&str; 3] = ["draining", "quiet", "hold"];

const PATIENCE: Patience = Patience { brief: false, calm: CALM, tick };

/// What is to be done.
struct Plan {
    modes: Vec<Concurrency>,
    minutes: u64,
    names: Vec<String>,
    prepare: bool,
}

/// Plays the faults of these names; none named means all, and writes the page anew.
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
    let mut rows = Vec::new();
    for mode in &plan.modes {
        play_all(&setup, &plan, *mode, &known, &results, &mut rows)?;
    }
    let head = results.head();
    let text = page(&head, &known, &results.outcomes()?, &results.quiets()?, &results.drained()?);
    std::fs::write(setup.workspace().join(PAGE), text).with_context(|| format!("cannot write {PAGE}"))?;
    let missed = rows.iter().filter(|row| !row.met).count();
    let lines = rows.iter().map(|row| {
        let result = if row.met { good("as wanted") } else { bad("MISSED") };
        [row.name.clone(), row.mode.clone(), duration(row.elapsed), result, row.said.clone()]
    });
    println!("\n{}\n", table(["fault", "mode", "time", "result", "missed"], lines));
    println!("{} as wanted, {missed} missed, in {}", rows.len() - missed, duration(begin.elapsed()));
    println!("written to {PAGE}");
    ensure!(missed == 0, "not all goals are reached");
    Ok(())
}

struct Row {
    name: String,
    mode: String,
    elapsed: Duration,
    met: bool,
    said: String,
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
                "--quiet" => {
                    let minutes = words.next().and_then(|minutes| minutes.parse().ok());
                    plan.minutes = minutes.context("--quiet needs a number of minutes")?;
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
    rows: &mut Vec<Row>,
) -> Result<()> {
    let chosen =
        |scenario: &&Scenario| plan.has(scenario.name) && scenario.only.is_none_or(|only| only == mode);
    let chosen: Vec<&Scenario> = known.iter().filter(chosen).collect();
    let mut scene = None;
    for scenario in chosen {
        let begin = Instant::now();
        println!("{}", strong(&format!("{} · {mode:?}", scenario.title)));
        let on = up(setup, mode, &mut scene)?;
        let outcome = play(on, scenario, PATIENCE);
        clear_wait();
        interrupt::check()?;
        let said = match &outcome {
            Ok(outcome) => misses(scenario, outcome),
            Err(error) => vec![format!("{error:#}")],
        };
        if !said.is_empty() {
            println!("  {}\n  logs: {}", bad(&said.join("\n  ")), on.folder().display());
            on.keep_folder();
        }
        match outcome {
            Ok(outcome) => results.keep(&outcome.scenario, &outcome.mode, &outcome)?,
            // What is not well is not made better by the next fault.
            Err(_) => scene = None,
        }
        rows.push(row(scenario.name, mode, begin, said));
    }
    if plan.names.iter().any(|name| name == "hold") {
        let scene = up(setup, mode, &mut scene)?;
        println!("everything runs in {}, until Ctrl-C", scene.folder().display());
        let begin = Instant::now();
        loop {
            tick(begin.elapsed())?;
            sleep(Duration::from_millis(100));
        }
    }
    if plan.has("draining") {
        let begin = Instant::now();
        println!("{}", strong(&format!("SIGTERM · {mode:?}")));
        let scene = up(setup, mode, &mut scene)?;
        let drained =
            ALL.into_iter().map(|service| drain(scene, service, PATIENCE)).collect::<Result<Vec<_>>>()?;
        let said = drained.iter().filter(|drained| !drained.is_as_wanted());
        let said: Vec<String> = said.map(|drained| format!("{drained:?}")).collect();
        results.keep("draining", &format!("{mode:?}"), &drained)?;
        rows.push(row("draining", mode, begin, said));
    }
    drop(scene);
    if plan.has("quiet") && plan.minutes > 0 {
        let begin = Instant::now();
        println!("{}", strong(&format!("{} quiet minutes · {mode:?}", plan.minutes)));
        let heard = quiet(setup, mode, Duration::from_secs(plan.minutes * 60), PATIENCE)?;
        clear_wait();
        let alarms = heard.alarms.iter().map(|(service, change)| format!("{service}: {change:?}"));
        let said = alarms.chain(heard.new_lines.iter().cloned()).collect();
        results.keep("quiet", &format!("{mode:?}"), &heard)?;
        rows.push(row("quiet", mode, begin, said));
    }
    Ok(())
}

fn row(name: &str, mode: Concurrency, begin: Instant, said: Vec<String>) -> Row {
    let (elapsed, met) = (begin.elapsed(), said.is_empty());
    println!("  {} after {}", if met { good("as wanted") } else { bad("missed") }, duration(elapsed));
    Row { name: name.to_owned(), mode: format!("{mode:?}"), elapsed, met, said: said.join("\n") }
}

/// The scene, made when there is none.
fn up<'a>(setup: &Setup, mode: Concurrency, scene: &'a mut Option<Scene>) -> Result<&'a mut Scene> {
    if scene.is_none() {
        let begin = Instant::now();
        *scene = Some(Scene::new(setup, mode, "", tick)?);
        clear_wait();
        println!("  all services are OK after {}", duration(begin.elapsed()));
    }
    scene.as_mut().context("there is no scene")
}

fn tick(elapsed: Duration) -> Result<()> {
    show_wait(elapsed);
    interrupt::check()
}

fn misses(scenario: &Scenario, outcome: &Outcome) -> Vec<String> {
    if let Some(why) = &outcome.impossible {
        return vec![format!("not possible: {why}")];
    }
    let missed = scenario.checks(&outcome.findings).into_iter().filter(|check| !check.met);
    missed
        .map(|check| {
            let found = check.found.map_or_else(|| String::from("never"), duration);
            match check.wanted {
                Wanted::NoFalseAlarm => format!("{}: a false alarm, or no recovery", check.service),
                wanted => format!("{}: {} {}: {found}", check.service, wanted.text(), duration(check.limit)),
            }
        })
        .collect()
}
