//! What one fault did to each service.

use std::fmt::Write;
use std::time::Duration;

use super::seconds;
use crate::faults::{Finding, Outcome, Said};

pub(super) fn details(outcome: &Outcome) -> String {
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
        for change in found.before.iter().chain(&found.after) {
            let (status, at, note) = (change.status, seconds(change.at), &change.note);
            let _ = writeln!(
                text,
                "\nBefore the fault or after the recovery, `{}` at {at}: {status:?} {note}",
                found.service
            );
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
    found.noticed
        || !found.before.is_empty()
        || !found.after.is_empty()
        || checks.iter().any(|said| matches!(said, Said::Noticed(_)))
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
