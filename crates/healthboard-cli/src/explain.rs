//! `healthboard explain`: why the status is what it is, and what to look at next.

use crate::arguments::Source;
use crate::ask::Form;
use crate::output::{UNKNOWN, exit_code, hint, print, say, worst};
use crate::source::age;
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
                unanswered.hint().into_iter().for_each(|hint| say(&format!("hint: {hint}")));
                codes.push(UNKNOWN);
            }
        }
    }
    worst(codes.into_iter())
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
        lines.push("  Rule: `progress` is stamped about once a second; without a stamp for its ttl a process is hung.".to_owned());
        let stacks = match answer.stacks.is_empty() {
            true => "a debugger shows where it stands: `gdb -p PID`, or `py-spy dump --pid PID` for Python",
            false => "where its threads stand, below",
        };
        lines.push(format!("  Next: {stacks}. A stopped process (state T in `ps`) has to be continued."));
    }
    if processes.dead > 0 {
        let rule = match processes.alive {
            0 => {
                "no process is alive, and the last one did not say goodbye, so it is FAULT until it is started again"
            }
            _ => {
                "a death without goodbye is DEGRADED for one ttl; workers that die again and again are FAULT"
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
    let evidence = match detail.state {
        State::Failing => format!(
            "{} failures in a row, of which the first and the newest are at least `failure_window` apart",
            detail.failures
        ),
        State::Transient => {
            "failures, but too few in a row or too close together to be failing, or with successes in between"
                .to_owned()
        }
        State::Stalled => format!(
            "{} in flight, and none has ended for more than `stall_after`",
            operations(detail.in_flight)
        ),
        State::Stuck => format!(
            "{} in flight, the oldest for more than `stall_after`, while others end",
            operations(detail.in_flight)
        ),
        State::Stale => format!("no outcome for more than its ttl of {} s", detail.ttl),
        State::Unknown | State::Passing => "nothing against it".to_owned(),
    };
    lines.push(format!("    Evidence: {evidence}.{}", times(answer, detail)));
    lines.push(format!("    Rule: {}.", rule(detail)));
    lines.push(format!("    Next: {}.", next(name, detail)));
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

fn next(name: &str, detail: &AnswerDetail) -> String {
    match detail.state {
        State::Failing | State::Transient if name == "requests" => {
            "the service answers requests with errors (5xx): its log says why, and the indicators above on what it needs".to_owned()
        }
        State::Failing | State::Transient => format!(
            "can this host reach what `{name}` stands for, and do address and password in the service's configuration hold? Its log \
             has the whole error"
        ),
        State::Stalled | State::Stuck => format!(
            "what `{name}` stands for accepts work and does not answer; where it hangs is below, if known"
        ),
        State::Stale => "is `refresh_interval` 0, or does nothing use it any more?".to_owned(),
        State::Unknown | State::Passing => "nothing".to_owned(),
    }
}

fn operations(count: u32) -> String {
    if count == 1 { "1 operation is".to_owned() } else { format!("{count} operations are") }
}

fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}
