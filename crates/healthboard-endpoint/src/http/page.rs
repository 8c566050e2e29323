//! Pages for people. They need no scripts, load nothing else, and reload themselves.

use super::changes::Changes;
use super::strip::{Now, Strip};
use askama::Template;
use healthboard::format;
use healthboard::{Change, Detail, Processes, Report, State, Status, printable, span};
use std::collections::VecDeque;
use std::fmt::{self, Display, Formatter};
use std::time::{Duration, SystemTime};

#[derive(Template)]
#[template(path = "service.html")]
struct ServicePage<'a> {
    version: &'static str,
    made: String,
    view: View<'a>,
    service: String,
    status: Shown,
    reasons: Vec<String>,
    since: String,
    processes: String,
    rows: Vec<Row>,
    stacks: String,
    changes: Changes,
}

/// How a page was asked for.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// Whether it does not reload itself.
    pub(crate) paused: bool,
    /// The host, if there is a page of all its services.
    pub(crate) host: Option<&'a str>,
}

impl View<'_> {
    /// What a link to another page has to end with.
    pub(super) fn query(self) -> &'static str {
        if self.paused { "?pause" } else { "" }
    }
}

/// A status in a word with its CSS class, and a mark, so that nothing depends on colours.
pub(super) struct Shown {
    pub(super) word: &'static str,
    pub(super) class: &'static str,
    pub(super) mark: &'static str,
}

/// An indicator.
struct Row {
    name: String,
    status: Shown,
    state: String,
    success: String,
    failure: String,
    in_flight: String,
    error: String,
    hour: Strip,
}

/// The page of one service.
pub(super) fn of_service(report: &Report, view: View<'_>) -> String {
    let mut details: Vec<(&String, &Detail)> = report.details.iter().collect();
    // The sort is stable: indicators with the same status and state stay in the order of their names.
    details.sort_by_key(|(_, detail)| std::cmp::Reverse((detail.status, badness(detail.state))));
    let reasons = match report.status {
        Status::Ok => Vec::new(),
        _ => report.message.split("; ").map(printable).collect(),
    };
    let mut rows: Vec<Row> = details.into_iter().map(|(name, detail)| row(report, name, detail)).collect();
    if rows.is_empty() {
        rows = past_rows(report);
    }
    let page = ServicePage {
        version: env!("CARGO_PKG_VERSION"),
        made: clock(report.time),
        view,
        service: printable(&report.service),
        status: Shown::of_service(report),
        reasons,
        since: report.since().map_or(String::new(), |since| since_when(report.time, since)),
        processes: processes(&report.processes),
        rows,
        stacks: format::stacks_text(report),
        changes: Changes::of(report),
    };
    page.render().unwrap_or_default()
}

fn row(report: &Report, name: &str, detail: &Detail) -> Row {
    let empty = Default::default();
    let changes = report.history.indicators.get(name).unwrap_or(&empty);
    let age = |age: Option<Duration>| age.map_or("never".to_owned(), |age| format!("{} ago", span(age)));
    Row {
        name: printable(name),
        status: Shown::of(detail.status, Some(detail.state)),
        state: detail.state.name().to_owned(),
        success: age(detail.success_age),
        failure: age(detail.failure_age),
        in_flight: detail.in_flight.to_string(),
        error: detail.error.as_ref().map_or(String::new(), |error| printable(&error.to_string())),
        hour: Strip::new(report.time, changes, Now::Known(detail.status)),
    }
}

/// The indicators of a service without a living process, as far as its history has them.
fn past_rows(report: &Report) -> Vec<Row> {
    let history = &report.history;
    let all = history.indicators.values().flatten().chain(&history.service);
    let newest = all.map(|change| change.time()).max().unwrap_or(report.time);
    let row = |(name, changes): (&String, _)| Row {
        name: printable(name),
        status: Shown { word: "not known", class: "quiet", mark: "?" },
        state: last_state(changes).map_or(String::new(), |state| format!("before: {}", state.name())),
        success: String::new(),
        failure: String::new(),
        in_flight: String::new(),
        error: String::new(),
        hour: Strip::new(report.time, changes, Now::UnknownSince(newest)),
    };
    history.indicators.iter().map(row).collect()
}

fn last_state(changes: &VecDeque<Change>) -> Option<State> {
    changes.back().and_then(|change| change.state)
}

impl Shown {
    pub(super) fn of(status: Status, state: Option<State>) -> Shown {
        match status {
            // Only an informational indicator can have a problem that changes nothing.
            Status::Ok if state.is_some_and(State::is_problem) => {
                Shown { word: "OK (informational)", class: "quiet", mark: "✓" }
            }
            Status::Ok => Shown { word: "OK", class: "OK", mark: "✓" },
            Status::Degraded => Shown { word: "DEGRADED", class: "DEGRADED", mark: "▲" },
            Status::Fault => Shown { word: "FAULT", class: "FAULT", mark: "✗" },
        }
    }

    pub(super) fn of_service(report: &Report) -> Shown {
        match report.status {
            _ if report.stopped => Shown { word: "stopped", class: "quiet", mark: "■" },
            Status::Ok if report.draining => Shown { word: "OK, draining", ..Shown::of(Status::Ok, None) },
            status => Shown::of(status, None),
        }
    }
}

impl Display for Shown {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // A mark stays with its word.
        write!(f, "{}\u{a0}{}", self.mark, self.word)
    }
}

fn badness(state: State) -> usize {
    State::ALL.iter().position(|known| *known == state).unwrap_or(0)
}

pub(super) fn processes(processes: &Processes) -> String {
    let mut text = format!("{} alive", processes.alive);
    if processes.hung > 0 {
        text.push_str(&format!(", of which {} hung", processes.hung));
    }
    if processes.dead > 0 {
        text.push_str(&format!("; {} dead", processes.dead));
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
