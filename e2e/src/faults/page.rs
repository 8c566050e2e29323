//! `docs/faults.md`, from what was measured.

use std::fmt::Write;
use std::time::Duration;

use super::{Check, Drained, Finding, Outcome, Quiet, Said, Scenario, Wanted};
use crate::watch::p99;

/// No probe may take longer, of 99 in 100.
pub(super) const PROBE: Duration = Duration::from_millis(50);

/// The whole page. `head` says how it was made, and on what machine.
pub fn page(
    head: &str,
    scenarios: &[Scenario],
    outcomes: &[Outcome],
    quiet: &[Quiet],
    drained: &[Drained],
) -> String {
    let mut text = format!("# Faults\n\n{head}\n\n## Goals\n\n");
    text += "| goal | limit | mode | worst | met |\n| --- | --- | --- | --- | --- |\n";
    for (scenario, outcome) in matched(scenarios, outcomes) {
        text += &goals(scenario, outcome);
    }
    let micros = outcomes.iter().flat_map(|outcome| &outcome.findings).flat_map(|found| &found.micros);
    let micros: Vec<u32> = micros.chain(quiet.iter().flat_map(|quiet| &quiet.micros)).copied().collect();
    let slow = p99(micros.iter().copied());
    let _ = writeln!(
        text,
        "| an answer to a probe, p99 of {} | {} | both | {:.1} ms | {} |",
        micros.len(),
        seconds(PROBE),
        slow.as_secs_f64() * 1e3,
        yes(slow <= PROBE)
    );
    for quiet in quiet {
        text += &goals_of_quiet(quiet);
    }
    for drained in drained {
        text += &goal_of_draining(drained);
    }
    for scenario in scenarios {
        let mut title = format!("\n## {}\n", scenario.title);
        for (_, outcome) in matched(scenarios, outcomes).filter(|(of, _)| of.name == scenario.name) {
            text += &std::mem::take(&mut title);
            text += &details(outcome);
        }
    }
    text
}

/// Each outcome with its scenario, in the order of the scenarios.
fn matched<'a>(
    scenarios: &'a [Scenario],
    outcomes: &'a [Outcome],
) -> impl Iterator<Item = (&'a Scenario, &'a Outcome)> {
    let of = |scenario: &'a Scenario| {
        let own = outcomes.iter().filter(|outcome| outcome.scenario == scenario.name);
        own.map(move |outcome| (scenario, outcome))
    };
    scenarios.iter().flat_map(of)
}

fn goals(scenario: &Scenario, outcome: &Outcome) -> String {
    let (title, mode) = (scenario.title, &outcome.mode);
    if let Some(why) = &outcome.impossible {
        return format!("| {title} | | {mode} | not possible: {why} | **no** |\n");
    }
    let mut text = String::new();
    for wanted in [Wanted::Alarm, Wanted::Fault, Wanted::Ok, Wanted::Answer] {
        let mut checks: Vec<Check> =
            scenario.checks(&outcome.findings).into_iter().filter(|check| check.wanted == wanted).collect();
        // One line for each limit, with what is worst under it; never is later than anything.
        checks.sort_by_key(|check| (check.limit, check.found.unwrap_or(Duration::MAX)));
        for same in checks.chunk_by(|one, other| one.limit == other.limit) {
            let Some(worst) = same.last() else { continue };
            let found = worst.found.map_or_else(|| String::from("never"), seconds);
            let _ = writeln!(
                text,
                "| {title}: {} | {} | {mode} | {found} ({}) | {} |",
                wanted.text(),
                seconds(worst.limit),
                worst.service,
                yes(same.iter().all(|check| check.met))
            );
        }
    }
    let checks = scenario.checks(&outcome.findings);
    let false_alarms: Vec<&str> = checks
        .iter()
        .filter(|check| check.wanted == Wanted::NoFalseAlarm && !check.met)
        .map(|check| check.service.as_str())
        .collect();
    let worst = if false_alarms.is_empty() { String::from("none") } else { false_alarms.join(", ") };
    let _ =
        writeln!(text, "| {title}: no false alarm | | {mode} | {worst} | {} |", yes(false_alarms.is_empty()));
    text
}

fn goals_of_quiet(quiet: &Quiet) -> String {
    let mode = &quiet.mode;
    let minutes = quiet.lasted.as_secs() / 60;
    let mut text = format!(
        "| no false alarm in {minutes} quiet minutes | | {mode} | {} | {} |\n",
        quiet.alarms.len(),
        yes(quiet.alarms.is_empty())
    );
    for (service, change) in &quiet.alarms {
        let _ = writeln!(
            text,
            "| … after {} | | {mode} | {service}: {} | **no** |",
            seconds(change.at),
            change.note
        );
    }
    let _ = writeln!(
        text,
        "| no line in a log of Nova that is not there without us | | {mode} | {} | {} |",
        quiet.new_lines.len(),
        yes(quiet.new_lines.is_empty())
    );
    for line in &quiet.new_lines {
        let _ = writeln!(text, "| … | | {mode} | `{}` | **no** |", line.replace('|', "\\|"));
    }
    let strange: Vec<&str> =
        quiet.helpers.iter().filter(|(_, ours)| *ours).map(|(line, _)| line.as_str()).collect();
    let _ = writeln!(
        text,
        "| nothing of ours in the helper programs of Nova, {} seen | | {mode} | {} | {} |",
        quiet.helpers.len(),
        strange.join(", "),
        yes(strange.is_empty())
    );
    text
}

fn goal_of_draining(drained: &Drained) -> String {
    let time = |time: Option<Duration>| time.map_or_else(|| String::from("never"), seconds);
    format!(
        "| SIGTERM: {} says that it drains, to the end | 1.0 s | {} | after {}, until {}, gone after {} | {} |\n",
        drained.service,
        drained.mode,
        time(drained.said),
        seconds(drained.silent),
        time(drained.gone),
        yes(drained.is_as_wanted())
    )
}

fn details(outcome: &Outcome) -> String {
    let mut text = format!("\n**{}**, for {}\n", outcome.mode, seconds(outcome.lasted));
    if let Some(why) = &outcome.impossible {
        let _ = writeln!(text, "\nNot possible: {why}");
        return text;
    }
    text += "\n| service | DEGRADED or worse | FAULT | OK again | oslo | pgrep | ss | longest wait |\n";
    text += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    let (told, silent): (Vec<&Finding>, Vec<&Finding>) =
        outcome.findings.iter().partition(|found| is_told(found));
    for found in &told {
        let time = |time: Option<Duration>| time.map_or_else(|| String::from("–"), seconds);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            found.service,
            time(found.alarm),
            time(found.fault),
            time(found.ok),
            said(found.oslo),
            said(found.pgrep),
            connections(found),
            seconds(found.longest_wait)
        );
    }
    for found in &told {
        if !found.message.is_empty() {
            let _ = writeln!(text, "\n`{}`: {}", found.service, found.message);
        }
        for change in &found.untimely {
            let (status, at, note) = (change.status, seconds(change.at), &change.note);
            let _ = writeln!(text, "\nFalse alarm of `{}` at {at}: {status:?} {note}", found.service);
        }
    }
    if !silent.is_empty() {
        let names: Vec<&str> = silent.iter().map(|found| found.service.as_str()).collect();
        let _ = writeln!(text, "\nOK all the time, by all checks: {}.", names.join(", "));
    }
    text
}

/// Whether there is anything to tell.
fn is_told(found: &Finding) -> bool {
    let checks = [found.oslo, found.pgrep, found.broker, found.database];
    found.noticed || !found.untimely.is_empty() || checks.iter().any(|said| matches!(said, Said::Noticed(_)))
}

fn said(said: Said) -> String {
    match said {
        Said::Nothing => String::from("–"),
        Said::Well => String::from("all well"),
        Said::Noticed(after) => format!("noticed after {}", seconds(after)),
    }
}

fn connections(found: &Finding) -> String {
    match (found.broker, found.database) {
        (Said::Nothing, one) | (one, Said::Nothing) => said(one),
        (Said::Well, Said::Well) => String::from("all well"),
        (Said::Noticed(after), _) | (_, Said::Noticed(after)) => said(Said::Noticed(after)),
    }
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "**no**" }
}
