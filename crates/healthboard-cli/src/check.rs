//! `healthboard check`: one line for a program, and an exit code.

use crate::arguments::{Check, Target};
use crate::ask::{Answered, Form};
use crate::output::{FAULT, UNKNOWN, exit_code, hint, print, say};
use crate::source::Unanswered;
use healthboard::format::Answer;
use healthboard::{Impact, Uri, printable};

/// The output format.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Line,
    Nagios,
    Json,
}

/// Prints a line for each answer. Returns the highest exit code.
pub(crate) fn run(check: &Check) -> u8 {
    let path = match (check.live, check.ready) {
        (true, _) => "/livez",
        (_, true) => "/readyz",
        _ => {
            let style = match (check.json, check.nagios) {
                (true, _) => Style::Json,
                (_, true) => Style::Nagios,
                _ => Style::Line,
            };
            return check
                .source
                .ask(Form::Short, &mut hint)
                .iter()
                .map(|answer| print_answer(answer, style))
                .max()
                .unwrap_or(UNKNOWN);
        }
    };
    match check.source.targets.as_slice() {
        [Target::Uri(uri)] => ask(check, uri, path),
        _ => {
            say("error: `--live` and `--ready` ask one endpoint, expected one URI");
            say("hint: see `healthboard --help`");
            UNKNOWN
        }
    }
}

/// Prints the endpoint's answer for `path`. Returns the exit code.
fn ask(check: &Check, uri: &Uri, path: &str) -> u8 {
    match check.source.get(uri, path) {
        Ok((code, body)) => {
            body.lines().for_each(|line| print(&(printable(line) + "\n")));
            match code {
                200 => 0,
                503 => FAULT,
                _ => UNKNOWN,
            }
        }
        Err(unanswered) => no_answer(&unanswered, Style::Line),
    }
}

fn print_answer(answer: &Result<Answered, Unanswered>, style: Style) -> u8 {
    match answer {
        Ok(answered) => {
            match style {
                Style::Line => print(&(line(&answered.answer) + "\n")),
                Style::Nagios => print(&nagios(&answered.answer)),
                Style::Json => print(&(printable(answered.body.trim_end()) + "\n")),
            }
            exit_code(&answered.answer)
        }
        Err(unanswered) => no_answer(unanswered, style),
    }
}

fn no_answer(unanswered: &Unanswered, style: Style) -> u8 {
    match style {
        Style::Json => say(&format!("error: {unanswered}")),
        _ => print(&format!("UNKNOWN: {unanswered}\n")),
    }
    if let Some(hint) = unanswered.hint() {
        say(&format!("hint: {hint}"));
    }
    UNKNOWN
}

/// `nova-api OK`, `nova-api FAULT: database: …`. Control characters are removed, since the answer came from a socket.
pub(crate) fn line(answer: &Answer) -> String {
    if answer.stopped {
        return printable(&format!("{} is stopped", answer.service));
    }
    let message = if answer.message.is_empty() { "" } else { ": " };
    printable(&format!("{} {}{message}{}", answer.service, answer.status.name(), answer.message))
}

/// The line with performance data: the number of processes, and the failures in a row of each indicator. A warning begins
/// at 1 failure, except for informational indicators.
fn nagios(answer: &Answer) -> String {
    let processes = answer.processes;
    let mut line = line(answer).replace('|', "/");
    line += &format!(" | alive={} hung={};0 dead={};0", processes.alive, processes.hung, processes.dead);
    for (name, detail) in &answer.details {
        let warn = if detail.impact == Impact::Informational { "" } else { ";0" };
        line += &format!(" '{}'={}{warn}", printable(name).replace(['\'', '=', '|'], "_"), detail.failures);
    }
    line + "\n"
}
