//! `healthboard check`: one line for a program, and an exit code.

use crate::arguments::{Check, Target};
use crate::ask::{Answered, Form};
use crate::output::{FAULT, UNKNOWN, exit_code, hint, print, say, severity, worst};
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

/// Prints a line for each answer. Returns the exit code of the worst.
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
            let mut hints = Vec::new();
            let answers = check.source.ask(Form::Short, &mut |text| hints.push(text.to_owned()));
            let code = match (style, answers.as_slice()) {
                (Style::Nagios, [_, _, ..]) => nagios_of_all(&answers),
                _ => worst(answers.iter().map(|answer| print_answer(answer, style))),
            };
            // Icinga reads stdout and stderr as one: the first line has to be the result.
            hints.iter().for_each(|text| hint(text));
            return code;
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

/// One result for several services, as Nagios reads it: a line that counts them and says what is the worst, a line for each, the
/// worst first, and the performance data of all behind the last one.
fn nagios_of_all(answers: &[Result<Answered, Unanswered>]) -> u8 {
    let mut lines: Vec<(u8, &str, String)> = Vec::new();
    let mut data = String::new();
    for answer in answers {
        match answer {
            Ok(Answered { answer, .. }) => {
                let name = if answer.stopped { "stopped" } else { answer.status.name() };
                lines.push((exit_code(answer), name, line(answer).replace('|', "/")));
                data += &performance(answer, &format!("{} ", answer.service));
            }
            Err(unanswered) => {
                lines.push((UNKNOWN, "UNKNOWN", format!("UNKNOWN: {unanswered}").replace('|', "/")))
            }
        }
    }
    // The sort is stable: services with the same status stay in their order.
    lines.sort_by_key(|(code, name, _)| std::cmp::Reverse((severity(*code), *name)));
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for (_, name, _) in &lines {
        match counts.last_mut() {
            Some((last, count)) if last == name => *count += 1,
            _ => counts.push((name, 1)),
        }
    }
    let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let first = lines.first().map_or("", |(_, _, line)| line);
    let all: Vec<&str> = lines.iter().map(|(.., line)| line.as_str()).collect();
    print(&format!("{}; {first}\n{} |{data}\n", counts.join(", "), all.join("\n")));
    worst(lines.iter().map(|(code, ..)| *code))
}

/// The line with performance data: the number of processes, and the failures in a row of each indicator. A warning begins
/// at 1 failure, except for informational indicators.
fn nagios(answer: &Answer) -> String {
    format!("{} |{}\n", line(answer).replace('|', "/"), performance(answer, ""))
}

/// The performance data, each name with this prefix.
fn performance(answer: &Answer, prefix: &str) -> String {
    let label = |name: &str| printable(&format!("{prefix}{name}")).replace(['\'', '=', '|'], "_");
    let processes = answer.processes;
    let mut data = String::new();
    for (name, count, warn) in
        [("alive", processes.alive, ""), ("hung", processes.hung, ";0"), ("dead", processes.dead, ";0")]
    {
        data += &format!(" '{}'={count}{warn}", label(name));
    }
    for (name, detail) in &answer.details {
        let warn = if detail.impact == Impact::Informational { "" } else { ";0" };
        data += &format!(" '{}'={}{warn}", label(name), detail.failures);
    }
    data
}
