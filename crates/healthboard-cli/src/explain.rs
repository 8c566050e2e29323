//! `healthboard explain`: why the status is what it is, and what to look at next.

use crate::arguments::Source;
use crate::ask::{Form, NoAnswer};
use crate::output::{UNKNOWN, exit_code, hint, print, worst};
use crate::source::{Unanswered, age};
use healthboard::format::{Answer, AnswerDetail};
use healthboard::{Impact, PROGRESS, State, Status, printable};

/// Explains all answers. Returns the exit code of the worst.
pub(crate) fn run(source: &Source) -> u8 {
    let answers = source.ask(Form::Verbose, &mut hint);
    let mut codes = Vec::new();
    for (index, answer) in answers.iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        match answer {
            Ok(answered) => {
                let text: String =
                    explain(&answered.answer).iter().map(|line| printable(line) + "\n").collect();
                print(&format!("{gap}{text}"));
                codes.push(exit_code(&answered.answer));
            }
            Err(unanswered) => {
                print(&format!("{gap}UNKNOWN: {unanswered}\n"));
                next_of_unanswered(unanswered).iter().for_each(|text| hint(text));
                codes.push(UNKNOWN);
            }
        }
    }
    worst(codes.into_iter())
}

fn next_of_unanswered(unanswered: &Unanswered) -> Option<String> {
    match unanswered {
        Unanswered::Endpoint(_, NoAnswer::TimedOut) | Unanswered::Service(.., NoAnswer::TimedOut) => {
            Some("it may be frozen: on its host, `healthboard explain NAME` reads its boards".to_owned())
        }
        _ => unanswered.hint(),
    }
}

fn explain(answer: &Answer) -> Vec<String> {
    let mut lines = Vec::new();
    if answer.stopped {
        lines.push(format!(
            "{} is stopped: no process is alive, and the last one said goodbye.",
            answer.service
        ));
        lines.push("  Next: start it, if it should run.".to_owned());
        return lines;
    }
    let colon = if answer.message.is_empty() { "." } else { ": " };
    lines.push(format!("{} is {}{colon}{}", answer.service, answer.status.name(), answer.message));
    of_processes(answer, &mut lines);
    let mut problems: Vec<_> =
        answer.details.iter().filter(|(_, detail)| detail.state.is_problem()).collect();
    problems.sort_by_key(|(_, detail)| std::cmp::Reverse(detail.status));
    for (name, detail) in problems.iter().filter(|(name, _)| *name != PROGRESS) {
        of_indicator(answer, name, detail, &mut lines);
    }
    for stacks in &answer.stacks {
        for thread in &stacks.threads {
            lines.push(format!(
                "  process {}, {} thread{}, {}:",
                stacks.pid,
                thread.count,
                plural(thread.count),
                thread.role
            ));
            lines.extend(thread.frames.iter().map(|frame| format!("    {frame}")));
        }
    }
    if answer.refused > 0 {
        let first = answer.refused_name.as_deref().unwrap_or("…");
        lines.push(format!(
            "at least {} indicators found no room on a board, `{first}` first: nothing is known of them.",
            answer.refused
        ));
    }
    if answer.status == Status::Ok && lines.len() == 1 {
        lines.push(match answer.details.len() {
            0 => "  Nothing is recorded yet, and starting is not a fault.".to_owned(),
            1 => "  Its only indicator is passing, or nothing is known against it.".to_owned(),
            count => {
                format!("  All of its {count} indicators are passing, or nothing is known against them.")
            }
        });
    }
    lines
}

fn of_processes(answer: &Answer, lines: &mut Vec<String>) {
    let processes = answer.processes;
    if processes.hung > 0 {
        let (hung, alive) = (processes.hung, processes.alive);
        lines.push(match (hung, alive) {
            (1, 1) => "  Its only process does not progress, so it is FAULT.".to_owned(),
            _ if hung == alive => format!("  None of its {alive} processes progresses, so it is FAULT."),
            _ => format!("  {hung} of its {alive} processes do not progress. It is FAULT if these are all its workers, or else DEGRADED."),
        });
        let ttl =
            answer.details.get(PROGRESS).map_or(String::new(), |progress| format!(" of {} s", progress.ttl));
        lines.push(format!(
            "  Rule: `progress` is stamped about once a second; without a stamp for its ttl{ttl} a process is hung."
        ));
        let pid = hung_pid(answer);
        let has_stacks = answer.stacks.iter().any(|stacks| pid.is_none_or(|pid| pid == stacks.pid));
        let pid = pid.map_or("PID".to_owned(), |pid| pid.to_string());
        let place = match has_stacks {
            true => "where its threads stand, below".to_owned(),
            false => format!(
                "a debugger shows where it stands: `gdb -p {pid}`, or `py-spy dump --pid {pid}` for Python"
            ),
        };
        let board = match pid.as_str() {
            "PID" => format!(" PID is in the name of its board, {}/PID-….board.", answer.service),
            _ => String::new(),
        };
        lines.push(format!(
            "  Next: {place}. If `ps -o state= {pid}` says T, it is stopped, and `kill -CONT {pid}` continues it.{board}"
        ));
    }
    if processes.dead > 0 {
        let rule = match processes.alive {
            0 => {
                "no process is alive, and the last one did not say goodbye, so it is FAULT until it is started again"
            }
            _ => {
                "a death without goodbye is DEGRADED for the service's `ttl`; workers that die again and again are FAULT"
            }
        };
        lines.push(format!(
            "  {} process{} died. Rule: {rule}.",
            processes.dead,
            if processes.dead == 1 { "" } else { "es" }
        ));
        lines.push("  Next: the service's log, and the kernel's (`journalctl -k`) for a process killed for its memory.".to_owned());
    }
    if processes.alive == 0 && processes.dead == 0 && answer.status == Status::Fault {
        lines.push("  Next: is the service installed and enabled, and its `uri` set?".to_owned());
    }
}

fn of_indicator(answer: &Answer, name: &str, detail: &AnswerDetail, lines: &mut Vec<String>) {
    lines.push(format!(
        "  {name} is {}: its state is {}, its impact {}.",
        detail.status.name(),
        detail.state.name(),
        detail.impact.name()
    ));
    lines.push(format!("    Evidence: {}.{}", evidence(answer, name, detail), times(answer, detail)));
    lines.push(format!("    Rule: {}; {}.", meaning(detail), rule(detail)));
    lines.push(format!("    Next: {}", next(answer, name, detail)));
}

/// What the message says of the indicator, since it has the numbers of the process that decides. It is silent on an indicator
/// that does not count, and beyond three reasons.
fn evidence(answer: &Answer, name: &str, detail: &AnswerDetail) -> String {
    let mut reasons = answer.message.split("; ");
    let said = reasons.find_map(|reason| reason.strip_prefix(name)?.strip_prefix(": "));
    match (detail.state, said) {
        (State::Failing | State::Transient, _) => {
            let counted = said.and_then(|said| said.split(", ").find(|part| part.contains(" failures in ")));
            let of_all = || match detail.failures {
                0 => "failures with successes in between".to_owned(),
                n => format!("{n} failure{} in a row", plural(n)),
            };
            counted.map_or_else(of_all, str::to_owned)
        }
        (_, Some(said)) => said.to_owned(),
        (State::Stalled | State::Stuck, None) => {
            format!("{} operation{} in flight", detail.in_flight, plural(detail.in_flight))
        }
        (State::Stale, None) => format!("no outcome for more than {} s", detail.ttl),
        (State::Unknown | State::Passing, None) => "nothing against it".to_owned(),
    }
}

/// When an indicator is in this state.
fn meaning(detail: &AnswerDetail) -> String {
    match detail.state {
        State::Failing => {
            "failing is `failure_threshold` failures in a row or more, the newest at least `failure_window` after the first"
        }
        State::Transient => {
            "transient is less than failing: fewer failures in a row than `failure_threshold`, in less time than \
             `failure_window`, or with successes in between"
        }
        State::Stalled => {
            "stalled is operations in flight, or given up, of which none has ended for more than `stall_after`, or that take all places of \
             a server for so long"
        }
        State::Stuck => "stuck is an operation in flight for more than `stall_after`, while others end",
        State::Stale => return format!("stale is no outcome for more than the ttl, {} s", detail.ttl),
        State::Unknown | State::Passing => "nothing is against it",
    }
    .to_owned()
}

fn times(answer: &Answer, detail: &AnswerDetail) -> String {
    let ago =
        |time: &Option<String>| time.as_deref().map_or("never".to_owned(), |time| age(&answer.time, time));
    let error = detail.error.as_deref().map_or(String::new(), |error| format!(" Error: {error}."));
    format!(" Last success {}, last failure {}.{error}", ago(&detail.last_success), ago(&detail.last_failure))
}

fn rule(detail: &AnswerDetail) -> &'static str {
    let is_grave = matches!(detail.state, State::Failing | State::Stalled);
    match (detail.impact, is_grave, detail.status) {
        (Impact::Informational, ..) => "what is informational is shown and never counts",
        (Impact::Critical, true, Status::Fault) => {
            "a critical indicator that is failing or stalled, contradicted by no process, is FAULT"
        }
        (Impact::Critical, true, _) => {
            "it would be FAULT, but another process of the service works: so DEGRADED"
        }
        (Impact::Critical, false, _) => {
            "a critical indicator that is neither failing nor stalled is DEGRADED"
        }
        (Impact::Degrading, _, Status::Fault) => {
            "all places of the server are taken by hanging operations: it serves nobody"
        }
        (Impact::Degrading, ..) => "a degrading indicator is DEGRADED and never FAULT",
    }
}

fn next(answer: &Answer, name: &str, detail: &AnswerDetail) -> String {
    let hangs = (answer.processes.hung > 0, answer.processes.hung == answer.processes.alive);
    let below =
        if answer.stacks.is_empty() { "where it hangs is not known" } else { "where it hangs is below" };
    match detail.state {
        State::Failing | State::Transient => next_of_failure(name, detail.error.as_deref().unwrap_or("")),
        State::Stalled | State::Stuck if hangs == (true, true) => {
            "see above: in a process that hangs no operation ends.".to_owned()
        }
        State::Stalled | State::Stuck if ["requests", "rpc_server"].contains(&name) => {
            format!("what do its operations wait for? The other indicators name what the service needs, and {below}.")
        }
        State::Stalled | State::Stuck => {
            format!("what `{name}` stands for accepts work and does not answer; {below}.")
        }
        State::Stale => match hangs {
            (false, _) => "is its `refresh_interval` 0, or does nothing use it any more?",
            (_, true) => "see above: a process that hangs records nothing.",
            _ => "see above: a process that hangs records nothing. Of the others, does none use it, or is its `refresh_interval` 0?",
        }
        .to_owned(),
        State::Unknown | State::Passing => "nothing.".to_owned(),
    }
}

/// By the name of the indicator, and by the class with which the error begins.
fn next_of_failure(name: &str, error: &str) -> String {
    match (name, error.split([' ', ':']).next().unwrap_or("")) {
        ("requests", _) => {
            "the service answers requests with errors (5xx): its log says why, and the other indicators what it needs."
        }
        (name, _) if ["service_report", "periodic_tasks"].contains(&name) || name.starts_with("job_") => {
            "work of the service itself fails: its log says why, and the other indicators what it needs."
        }
        (_, "NoAnswer") => "it does not answer within 5 s: is it overloaded, locked or frozen?",
        (_, "Abandoned") => "callers gave up waiting for it: is it overloaded, locked or frozen?",
        (_, "HttpServerError") => "it answers with errors (5xx): its own log says why.",
        // Of a socket, or of SQLAlchemy's pool.
        (_, "TimeoutError") if !error.contains("Pool") => {
            "it did not answer in time, or no connection of the service's pool became free: is it overloaded, or is something \
             not returned to the pool?"
        }
        (_, class) if error.contains("Pool") || ["LimitExceeded", "MaxConnectionsError"].contains(&class) => {
            "all places of the service's pool are taken: is something not returned, or the pool too small?"
        }
        _ => {
            return format!(
                "can this host reach what `{name}` stands for, and do address and password in the service's configuration hold? \
                 Its log has the whole error."
            );
        }
    }
    .to_owned()
}

/// A process that hangs. The message names it where there are several; of one, the stacks or the endpoint do.
fn hung_pid(answer: &Answer) -> Option<u32> {
    let named =
        |reason: &str| reason.strip_prefix("process ")?.split_once(" not progressing")?.0.parse().ok();
    let only = || answer.stacks.first().map(|stacks| stacks.pid).or(answer.processes.serving);
    answer.message.split("; ").find_map(named).or_else(|| only().filter(|_| answer.processes.alive == 1))
}

fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}
