//! What the services said in each scenario, for docs/services.md.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result};

use super::commands::application;
use super::{ALL, Services};
use crate::faults::{Finding, Outcome, Scenario};
use crate::probe::ask;
use crate::watch::Status;

/// A table of the running services: the name that each has by itself, what runs, and its indicators.
///
/// # Errors
///
/// If a service does not answer.
pub fn inventory(services: &Services) -> Result<String> {
    let mut text = String::from("| name | runs | critical | degrading | informational |\n");
    text += "| --- | --- | --- | --- | --- |\n";
    for service in ALL {
        let body = ask(&services.uri(service)).with_context(|| format!("{service} does not answer"))?.body;
        let of_impact = |impact: &str| {
            let details = body["details"].as_object().into_iter().flatten();
            let names = details.filter(|(_, detail)| detail["impact"] == impact);
            names.map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        let runs = application(service)
            .map_or_else(|| format!("`{service}`"), |application| format!("`{application}` in uWSGI"));
        let _ = writeln!(
            text,
            "| {} | {runs} | {} | {} | {} |",
            body["service"].as_str().unwrap_or("–"),
            of_impact("critical"),
            of_impact("degrading"),
            of_impact("informational")
        );
    }
    Ok(text + "\n")
}

/// A section for each scenario, with a row for each service.
pub fn page(scenarios: &[Scenario<Services>], outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for scenario in scenarios {
        let outcome = outcomes.iter().find(|outcome| outcome.scenario == scenario.name);
        if let Some(outcome) = outcome {
            text += &section(scenario, outcome);
        }
    }
    text
}

fn section(scenario: &Scenario<Services>, outcome: &Outcome) -> String {
    let mut text = format!("## {}, for {:.0} s\n", scenario.title, outcome.lasted.as_secs_f64());
    if let Some(why) = &outcome.impossible {
        let _ = writeln!(text, "\nNot possible: {why}\n");
        return text;
    }
    text += "\n| service | DEGRADED | FAULT | OK again | `/healthcheck` | said | as it should |\n";
    text += "| --- | --- | --- | --- | --- | --- | --- |\n";
    let checks = scenario.checks(&outcome.findings);
    for service in ALL {
        let Some(found) = outcome.findings.iter().find(|found| found.service == service) else { continue };
        let missed: Vec<String> = checks
            .iter()
            .filter(|check| check.service == service && !check.met)
            .map(|check| format!("**no: {}**", check.text()))
            .collect();
        let verdict = if missed.is_empty() { String::from("yes") } else { missed.join("; ") };
        let _ = writeln!(
            text,
            "| {service} | {} | {} | {} | {} | {} | {verdict} |",
            time(found.alarm),
            time(found.fault),
            time(found.ok),
            found.oslo,
            said(found)
        );
    }
    text.push('\n');
    text
}

fn time(time: Option<Duration>) -> String {
    time.map_or_else(|| String::from("–"), |time| format!("{:.1} s", time.as_secs_f64()))
}

/// The newest message with the worst status.
fn said(found: &Finding) -> String {
    let newest = |status| {
        let all = found.before.iter().chain(&found.during).chain(&found.after);
        all.rev().find(|change| change.status == status)
    };
    let worst = newest(Status::Fault).or_else(|| newest(Status::Degraded));
    worst.map_or_else(|| String::from("–"), |change| change.note.replace('|', "\\|"))
}
