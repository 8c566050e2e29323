//! What one fault did to each service.

use std::fmt::Write;
use std::time::Duration;

use super::seconds;
use crate::faults::{CheckResult, Finding, Outcome};

pub(super) fn details(outcome: &Outcome) -> String {
    let mut text = format!("\n**{}**, for {}\n", outcome.mode, seconds(outcome.lasted));
    if let Some(why) = &outcome.impossible {
        let _ = writeln!(text, "\nNot possible: {why}");
        return text;
    }
    text += "\n| service | DEGRADED or worse | FAULT | OK again | oslo | pgrep | ss | longest wait |\n";
    text += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    let (noteworthy, ok): (Vec<&Finding>, Vec<&Finding>) =
        outcome.findings.iter().partition(|found| is_noteworthy(found));
    for found in &noteworthy {
        let time = |time: Option<Duration>| time.map_or_else(|| String::from("–"), seconds);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            found.service,
            time(found.alarm),
            time(found.fault),
            time(found.ok),
            found.oslo,
            found.pgrep,
            connections(found),
            seconds(found.longest_wait)
        );
    }
    for found in &noteworthy {
        if !found.message.is_empty() {
            let _ = writeln!(text, "\n`{}`: {}", found.service, found.message);
        }
        for change in found.before.iter().chain(&found.after) {
            let (status, at, note) = (change.status, seconds(change.at), &change.note);
            let _ = writeln!(
                text,
                "\nBefore the fault or after the recovery, `{}` at {at}: {status:?} {note}",
                found.service
            );
        }
    }
    if !ok.is_empty() {
        let names: Vec<&str> = ok.iter().map(|found| found.service.as_str()).collect();
        let _ = writeln!(text, "\nOK throughout, according to all checks: {}.", names.join(", "));
    }
    text
}

/// Whether the endpoint or a check was ever not OK.
fn is_noteworthy(found: &Finding) -> bool {
    let checks = [found.oslo, found.pgrep, found.broker, found.database];
    found.noticed
        || !found.before.is_empty()
        || !found.after.is_empty()
        || checks.iter().any(|result| matches!(result, CheckResult::Noticed(_)))
}

fn connections(found: &Finding) -> String {
    match (found.broker, found.database) {
        (CheckResult::NotApplicable, one) | (one, CheckResult::NotApplicable) => one.to_string(),
        (CheckResult::Ok, CheckResult::Ok) => String::from("ok"),
        (CheckResult::Noticed(after), _) | (_, CheckResult::Noticed(after)) => {
            CheckResult::Noticed(after).to_string()
        }
    }
}
