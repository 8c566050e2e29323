//! Pages for people. They need no scripts, load nothing else, and reload themselves.

use askama::Template;
use healthboard::format;
use healthboard::{Change, Detail, Processes, Report, State, Status, printable, span};
use std::time::{Duration, SystemTime};

/// The most changes that are listed.
const MAX_CHANGES: usize = 40;

/// The time span that the strip of an indicator shows, in seconds.
const HOUR: u64 = 3600;

#[derive(Template)]
#[template(path = "service.html")]
struct ServicePage {
    version: &'static str,
    made: String,
    service: String,
    status: &'static str,
    class: &'static str,
    mark: &'static str,
    reasons: Vec<String>,
    since: String,
    processes: String,
    rows: Vec<Row>,
    stacks: String,
    changes: Vec<Line>,
}

/// An indicator.
struct Row {
    name: String,
    status: &'static str,
    class: &'static str,
    mark: &'static str,
    state: &'static str,
    success: String,
    failure: String,
    in_flight: u32,
    error: String,
    hour: Vec<Part>,
    hour_in_words: String,
}

/// The width of the narrowest visible part, in seconds.
const MIN_WIDTH: u64 = 20;

/// A part of the last hour with one status, in seconds.
struct Part {
    begin: u64,
    width: u64,
    class: &'static str,
}

/// A change.
struct Line {
    at_ms: u64,
    time: String,
    name: String,
    status: String,
    class: &'static str,
    mark: &'static str,
    cause: String,
}

/// The page of one service.
pub(super) fn of_service(report: &Report) -> String {
    let (status, class, mark) = words(report);
    let mut details: Vec<(&String, &Detail)> = report.details.iter().collect();
    // The sort is stable: indicators with the same status and state stay in the order of their names.
    details.sort_by_key(|(_, detail)| std::cmp::Reverse((detail.status, badness(detail.state))));
    let reasons = match report.status {
        Status::Ok => Vec::new(),
        _ => report.message.split("; ").map(printable).collect(),
    };
    let page = ServicePage {
        version: env!("CARGO_PKG_VERSION"),
        made: clock(report.time),
        service: printable(&report.service),
        status,
        class,
        mark,
        reasons,
        since: report.since().map_or(String::new(), |since| since_when(report.time, since)),
        processes: processes(&report.processes),
        rows: details.into_iter().map(|(name, detail)| row(report, name, detail)).collect(),
        stacks: format::stacks_text(report),
        changes: changes(report),
    };
    page.render().unwrap_or_default()
}

fn row(report: &Report, name: &str, detail: &Detail) -> Row {
    let empty = Default::default();
    let changes = report.history.indicators.get(name).unwrap_or(&empty);
    let (hour, hour_in_words) = hour(report.time, detail.status, changes.iter());
    let age = |age: Option<Duration>| age.map_or("never".to_owned(), |age| format!("{} ago", span(age)));
    Row {
        name: printable(name),
        status: detail.status.name(),
        class: detail.status.name(),
        mark: mark(detail.status),
        state: detail.state.name(),
        success: age(detail.success_age),
        failure: age(detail.failure_age),
        in_flight: detail.in_flight,
        error: detail.error.as_ref().map_or(String::new(), |error| printable(&error.to_string())),
        hour,
        hour_in_words,
    }
}

/// The parts of an indicator's last hour that were not OK, the newest first, and the same in words.
fn hour<'a>(
    now: SystemTime,
    status: Status,
    changes: impl DoubleEndedIterator<Item = &'a Change>,
) -> (Vec<Part>, String) {
    let (mut parts, mut words) = (Vec::new(), Vec::new());
    let mut end = HOUR;
    for (index, change) in changes.rev().enumerate() {
        let age = now.duration_since(change.time()).unwrap_or_default().as_secs();
        let begin = HOUR.saturating_sub(age).min(end);
        // The newest change may not be in the history yet.
        let status = if index == 0 { status } else { change.status };
        if status > Status::Ok && end > begin {
            parts.push(Part {
                begin: begin.min(HOUR - MIN_WIDTH),
                width: (end - begin).max(MIN_WIDTH),
                class: status.name(),
            });
            words.push(format!("{} for {}", status.name(), span(Duration::from_secs(end - begin))));
        }
        end = begin;
        if begin == 0 {
            break;
        }
    }
    let words = if words.is_empty() { "OK".to_owned() } else { words.join(", ") };
    (parts, format!("last hour, the newest first: {words}"))
}

fn changes(report: &Report) -> Vec<Line> {
    let history = &report.history;
    let of_service = history.service.iter().map(|change| (report.service.as_str(), change));
    let of_indicators = history
        .indicators
        .iter()
        .flat_map(|(name, changes)| changes.iter().map(move |change| (name.as_str(), change)));
    let mut lines: Vec<Line> =
        of_service.chain(of_indicators).map(|(name, change)| line(name, change)).collect();
    lines.sort_by_key(|line| std::cmp::Reverse(line.at_ms));
    lines.truncate(MAX_CHANGES);
    lines
}

fn line(name: &str, change: &Change) -> Line {
    let state = change.state.map_or(String::new(), |state| format!(", {}", state.name()));
    Line {
        at_ms: change.at_ms,
        time: clock(change.time()),
        name: printable(name),
        status: format!("{}{state}", change.status.name()),
        class: change.status.name(),
        mark: mark(change.status),
        cause: printable(&change.cause),
    }
}

/// The words for a service's status, its CSS class and its mark.
pub(super) fn words(report: &Report) -> (&'static str, &'static str, &'static str) {
    match report.status {
        _ if report.stopped => ("stopped", "quiet", "■"),
        Status::Ok if report.draining => ("OK, draining", "OK", mark(Status::Ok)),
        status => (status.name(), status.name(), mark(status)),
    }
}

/// A mark beside the word, so that nothing depends on colours.
pub(super) fn mark(status: Status) -> &'static str {
    match status {
        Status::Ok => "✓",
        Status::Degraded => "▲",
        Status::Fault => "✗",
    }
}

fn badness(state: State) -> usize {
    State::ALL.iter().position(|known| *known == state).unwrap_or(0)
}

pub(super) fn processes(processes: &Processes) -> String {
    let mut text = format!("{} alive", processes.alive);
    if processes.hung > 0 {
        text.push_str(&format!(", {} hung", processes.hung));
    }
    if processes.dead > 0 {
        text.push_str(&format!(", {} dead", processes.dead));
    }
    text
}

fn since_when(now: SystemTime, since: SystemTime) -> String {
    format!("since {} UTC, {}", clock(since), ago(now, since))
}

pub(super) fn ago(now: SystemTime, then: SystemTime) -> String {
    format!("{} ago", span(now.duration_since(then).unwrap_or_default()))
}

/// Date and time of day.
pub(super) fn clock(time: SystemTime) -> String {
    let latest = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let text = humantime::format_rfc3339_seconds(time.clamp(SystemTime::UNIX_EPOCH, latest)).to_string();
    text.trim_end_matches('Z').replace('T', " ")
}
