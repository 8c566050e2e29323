//! `healthboard show`: the whole answer as a table.

use crate::arguments::Source;
use crate::ask::{Answered, Form};
use crate::output::{UNKNOWN, exit_code, hint, print, say, worst};
use crate::source::{Unanswered, age};
use healthboard::format::{Answer, AnswerDetail};

const HEAD: [&str; 9] = [
    "INDICATOR",
    "STATUS",
    "STATE",
    "IMPACT",
    "LAST SUCCESS",
    "LAST FAILURE",
    "FAILURES",
    "IN FLIGHT",
    "ERROR",
];

/// The widest column. A longer cell moves only the cells after it in its own row.
const WIDEST: usize = 64;

type Row = [String; HEAD.len()];

/// Prints all answers; returns the exit code of the worst.
pub(crate) fn run(source: &Source) -> u8 {
    let answers = source.ask(Form::Verbose, &mut hint);
    let texts: Vec<String> = answers.iter().map(text).collect();
    print(&texts.join("\n"));
    for hint in answers.iter().filter_map(|answer| answer.as_ref().err()?.hint()) {
        say(&format!("hint: {hint}"));
    }
    worst(answers.iter().map(|a| a.as_ref().map_or(UNKNOWN, |answered| exit_code(&answered.answer))))
}

fn text(answer: &Result<Answered, Unanswered>) -> String {
    match answer {
        Ok(answered) => table(&answered.answer),
        Err(unanswered) => format!("UNKNOWN: {unanswered}\n"),
    }
}

fn table(answer: &Answer) -> String {
    let processes = answer.processes;
    let status = if answer.stopped { "stopped" } else { answer.status.name() };
    let mut text = format!("{}: {status}\n", answer.service);
    for reason in answer.message.split("; ").filter(|reason| !reason.is_empty()) {
        text += &format!("  {reason}\n");
    }
    text +=
        &format!("  processes: {} alive, {} hung, {} dead", processes.alive, processes.hung, processes.dead);
    text += &processes.serving.map_or(String::new(), |pid| format!("; {pid} serves the endpoint"));
    if processes.others_unseen {
        text += "\n  other processes of the service are not seen: the board of this one is in memory";
    }
    if answer.refused > 0 {
        let first = answer.refused_name.as_deref().unwrap_or("…");
        text +=
            &format!("\n  at least {} indicators found no room on a board, `{first}` first", answer.refused);
    }
    text += "\n";
    if !answer.details.is_empty() {
        text += "\n";
        text += &aligned(answer.details.iter().map(|(name, detail)| row(answer, name, detail)).collect());
    }
    // The answer came over a socket: no control characters may reach the terminal.
    text.lines().map(|line| healthboard::printable(line) + "\n").collect()
}

fn row(answer: &Answer, name: &str, detail: &AnswerDetail) -> Row {
    let ago =
        |time: &Option<String>| time.as_deref().map_or("never".to_owned(), |time| age(&answer.time, time));
    [
        name.to_owned(),
        detail.status.name().to_owned(),
        detail.state.name().to_owned(),
        detail.impact.name().to_owned(),
        ago(&detail.last_success),
        ago(&detail.last_failure),
        detail.failures.to_string(),
        detail.in_flight.to_string(),
        detail.error.clone().unwrap_or_default(),
    ]
}

fn aligned(mut rows: Vec<Row>) -> String {
    rows.insert(0, HEAD.map(str::to_owned));
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).min(WIDEST);
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let line = |row: &Row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
