//! The goals, and whether they were met.

use std::fmt::Write;
use std::time::Duration;

use super::{MAX_PROBE_TIME, seconds, yes};
use crate::faults::{Asked, Drained, Goal, Outcome, Period, Scenario, Wanted};
use crate::watch::p99;

/// The names of the modes in outcomes.
const MODES: [&str; 2] = ["threading", "eventlet"];

/// The goals of single faults: a line for each, with the worst time in each mode.
pub(super) fn of_faults(scenarios: &[Scenario], outcomes: &[Outcome]) -> String {
    let mut text = String::from("\n## Goals\n\n| fault | goal | limit | threading | eventlet | met |\n");
    text += "| --- | --- | --- | --- | --- | --- |\n";
    for scenario in scenarios {
        for goal in &scenario.goals {
            let limits = [
                (Wanted::Alarm, goal.alarm),
                (Wanted::Fault, goal.fault),
                (Wanted::Ok, goal.ok),
                (Wanted::Answer, goal.answer),
            ];
            for (wanted, limit) in limits {
                let Some(limit) = limit else { continue };
                let worst = MODES.map(|mode| worst(scenario, goal, wanted, mode, outcomes));
                if worst.iter().all(Option::is_none) {
                    continue;
                }
                let met = worst.iter().flatten().all(|(_, met)| *met);
                let [threading, eventlet] =
                    worst.map(|worst| worst.map_or_else(|| String::from("–"), |(found, _)| found));
                let (title, wanted, limit) = (scenario.title, wanted.text(), seconds(limit));
                let _ = writeln!(
                    text,
                    "| {title} | {wanted} | {limit} | {threading} | {eventlet} | {} |",
                    yes(met)
                );
            }
        }
    }
    text
}

/// The worst time for one goal in one mode, and whether all services met it; none if it was not measured.
fn worst(
    scenario: &Scenario,
    goal: &Goal,
    wanted: Wanted,
    mode: &str,
    outcomes: &[Outcome],
) -> Option<(String, bool)> {
    let outcome =
        outcomes.iter().find(|outcome| outcome.scenario == scenario.name && outcome.mode == mode)?;
    if outcome.impossible.is_some() {
        return Some((String::from("not possible"), false));
    }
    let checks = scenario.checks(&outcome.findings);
    let checks = checks
        .iter()
        .filter(|check| check.wanted == wanted && goal.services.contains(&check.service.as_str()));
    // `None` means never, which is worse than any time.
    let worst = checks.clone().max_by_key(|check| check.found.unwrap_or(Duration::MAX))?;
    let found = worst.found.map_or_else(|| String::from("never"), seconds);
    Some((format!("{found} ({})", worst.service), checks.clone().all(|check| check.met)))
}

/// Four services that use at least three databases each refresh every one of them each 10 s, less a fifth.
const REFRESHES_PER_MINUTE: u64 = 4 * 3 * 60 / 8;

/// oslo.db's `connection_recycle_time`: after it a pool replaces a connection that is asked for.
const CONNECTION_LIFE: Duration = Duration::from_secs(3600);

/// The goals that apply at all times.
pub(super) fn of_all(scenarios: &[Scenario], outcomes: &[Outcome], periods: &[Period]) -> String {
    let mut text = String::from("\n| at all times | measured | met |\n| --- | --- | --- |\n");
    let faults = outcomes.iter().flat_map(|outcome| &outcome.findings).flat_map(|found| &found.micros);
    let micros: Vec<u32> = faults.chain(periods.iter().flat_map(|period| &period.micros)).copied().collect();
    let slow = p99(micros.iter().copied());
    let mut line = |what: &str, found: &str, met: bool| {
        let _ = writeln!(text, "| {what} | {found} | {} |", yes(met));
    };
    let probes = format!("{:.1} ms, p99 of {}", slow.as_secs_f64() * 1e3, micros.len());
    line(&format!("a probe takes at most {}", seconds(MAX_PROBE_TIME)), &probes, slow <= MAX_PROBE_TIME);
    let mut false_alarms = Vec::new();
    for outcome in outcomes {
        let Some(scenario) = scenarios.iter().find(|scenario| scenario.name == outcome.scenario) else {
            continue;
        };
        let checks = scenario.checks(&outcome.findings);
        let missed = checks.iter().filter(|check| check.wanted == Wanted::NoFalseAlarm && !check.met);
        for check in missed {
            let found = outcome.findings.iter().find(|found| found.service == check.service);
            let message = found.and_then(|found| found.before.iter().chain(&found.after).next());
            let message = message.map(|change| change.note.clone());
            let message = message.or_else(|| found.map(|found| found.message.clone())).unwrap_or_default();
            let (title, mode, service) = (scenario.title, &outcome.mode, &check.service);
            false_alarms.push(format!("{title}, {mode}, {service}: {message}"));
        }
    }
    line("no false alarm before, during or after a fault", &list(&false_alarms), false_alarms.is_empty());
    let anew = outcomes.iter().filter_map(|outcome| {
        let title = scenarios.iter().find(|scenario| scenario.name == outcome.scenario)?.title;
        Some(format!("{title}, {}: {}", outcome.mode, outcome.started_anew.as_ref()?))
    });
    let anew: Vec<String> = anew.collect();
    line("nothing started anew because it was not OK before a fault", &list(&anew), anew.is_empty());
    for period in periods {
        let mode = format!("{}, {}", period.load.name(), period.mode);
        let minutes = period.lasted.as_secs() / 60;
        let alarms: Vec<String> =
            period.alarms.iter().map(|(service, change)| format!("{service}: {}", change.note)).collect();
        let built =
            if period.built > 0 { format!(", {} servers built", period.built) } else { String::new() };
        line(&format!("no false alarm in {minutes} min, {mode}{built}"), &list(&alarms), alarms.is_empty());
        let lines: Vec<String> =
            period.new_lines.iter().map(|line| format!("`{line}`").replace('|', "\\|")).collect();
        line(
            &format!("no additional warnings or errors in Nova's logs, {mode}"),
            &list(&lines),
            lines.is_empty(),
        );
        let [ours, bare] = period.asked;
        let what = format!("statements a minute at MariaDB for the whole host, {mode}");
        let added = ours.statements.saturating_sub(bare.statements);
        let found = format!("{}, without us {}", ours.statements, bare.statements);
        line(&what, &found, added <= REFRESHES_PER_MINUTE);
        let what = format!("new connections at MariaDB, and those open at the end, {mode}");
        let said = |asked: Asked| format!("{}, {} open", asked.connections, asked.open);
        let found = format!("{}; without us {}", said(ours), said(bare));
        let renewed =
            ours.open.saturating_sub(bare.open) * (period.lasted.as_secs() / CONNECTION_LIFE.as_secs());
        line(&what, &found, ours.connections <= bare.connections + 2 + renewed);
        let strange = period.helpers.iter().filter(|(_, ours)| *ours).map(|(line, _)| format!("`{line}`"));
        let strange: Vec<String> = strange.collect();
        let what = format!("helper programs inherit nothing from us ({} seen), {mode}", period.helpers.len());
        line(&what, &list(&strange), strange.is_empty());
    }
    text
}

/// The answers of services that get SIGTERM.
pub(super) fn of_ends(drained: &[Drained]) -> String {
    if drained.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "\n## SIGTERM\n\nA service must drain within a second and until its end: `/readyz` says 503, `/livez` says 200. A service that ends within that second need not.\n\n\
         | service | mode | draining after | last answer after | ended after | met |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for end in drained {
        let time = |time: Option<Duration>| time.map_or_else(|| String::from("never"), seconds);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            end.service,
            end.mode,
            time(end.draining_after),
            seconds(end.last_answer_after),
            time(end.ended_after),
            yes(end.meets_goals())
        );
    }
    text
}

fn list(what: &[String]) -> String {
    if what.is_empty() { String::from("none") } else { what.join("; ") }
}
