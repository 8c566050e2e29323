//! `application/json`: the whole report. The types here are used both for writing and for reading it.

use crate::config::Impact;
use crate::scrub;
use crate::verdict::{Detail, Processes, Report, State, Status, Traced};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use std::collections::BTreeMap;
use std::time::Duration;

/// Container runtimes keep this many bytes of the output of a health check.
const FITS: usize = 4096;

/// The report in its wire format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The verdict; always the first member.
    pub status: Status,
    /// Why the status is not `OK`; left out when it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The name operators know the service by.
    pub service: String,
    /// When the report was made, RFC 3339.
    pub time: String,
    /// Since when it has had this status, RFC 3339; left out if no change is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The number of processes by condition.
    pub processes: Processes,
    /// Whether no process is alive, and the last one has said goodbye; left out if not.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stopped: bool,
    /// How many indicators at least found no room on a board; left out when there are none. A process remembers eight.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused: u32,
    /// The name of the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused_name: Option<String>,
    /// Every indicator by name.
    pub details: BTreeMap<String, AnswerDetail>,
    /// The stacks of processes that hang or whose operations hang. Only in the verbose form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stacks: Vec<AnswerStacks>,
}

/// Where the threads of one process stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerStacks {
    /// The process.
    pub pid: u32,
    /// The main thread first, then those that serve requests.
    pub threads: Vec<AnswerStack>,
}

/// Where one or more threads stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerStack {
    /// `main`, `main-at-work`, `work` or `other`.
    pub role: String,
    /// How many threads stand here.
    pub count: u32,
    /// File, line and function, the innermost first.
    pub frames: Vec<String>,
}

/// One indicator in its wire format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerDetail {
    /// Its share in the verdict.
    pub status: Status,
    /// The state in the process that decided the status.
    pub state: State,
    /// How much the service depends on it.
    pub impact: Impact,
    /// When the newest success was recorded, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// When the newest failure was recorded, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// Operations in flight.
    pub in_flight: u32,
    /// Class, code and text of the newest failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// For how many seconds an outcome counts; 0 means without limit.
    pub ttl: Number,
}

/// The whole report as JSON in one line.
///
/// With eight indicators or fewer it is at most 4096 bytes long: if necessary, the message and the texts of errors are
/// cut.
pub fn json(report: &Report) -> String {
    let mut json = String::new();
    for longest in [512, 128, 64, 24] {
        // A map with string keys and no failing member always serializes.
        json = serde_json::to_string(&Answer::of(report, longest)).unwrap_or_default();
        if json.len() < FITS {
            break;
        }
    }
    json + "\n"
}

/// Like [`json`], with the stacks of processes that hang, and without a limit on the length.
pub fn verbose_json(report: &Report) -> String {
    serde_json::to_string(&Answer::of_report(report)).unwrap_or_default() + "\n"
}

/// Parses the output of [`json`]. Unknown members are ignored.
///
/// # Errors
///
/// The text is not JSON, or does not match [`Answer`].
pub fn parse(json: &str) -> Result<Answer, serde_json::Error> {
    serde_json::from_str(json)
}

impl Answer {
    /// The answer for this report, with stacks.
    pub fn of_report(report: &Report) -> Answer {
        let stacks = report.stacks.iter().map(AnswerStacks::of).collect();
        Answer { stacks, ..Answer::of(report, 512) }
    }

    /// The answer without stacks. Keeps `longest` bytes of each error, and three times as many of the message.
    fn of(report: &Report, longest: usize) -> Answer {
        let details = report.details.iter();
        Answer {
            status: report.status,
            message: match report.status {
                Status::Ok => String::new(),
                _ => scrub::cut(&scrub::printable(&report.message), 3 * longest),
            },
            service: scrub::printable(&report.service),
            time: super::time(report, Duration::ZERO),
            since: report.since().map(super::clock),
            processes: report.processes,
            stopped: report.stopped,
            refused: report.refused,
            refused_name: report.refused_name.as_deref().map(scrub::printable),
            details: details
                .map(|(name, d)| (scrub::printable(name), AnswerDetail::of(report, d, longest)))
                .collect(),
            stacks: Vec::new(),
        }
    }
}

impl AnswerStacks {
    fn of(traced: &Traced) -> AnswerStacks {
        let threads = traced.stacks.stacks.iter().map(|stack| AnswerStack {
            role: stack.role.name().to_owned(),
            count: stack.threads,
            frames: stack.frames.iter().map(ToString::to_string).collect(),
        });
        AnswerStacks { pid: traced.pid, threads: threads.collect() }
    }
}

impl AnswerDetail {
    fn of(report: &Report, detail: &Detail, longest: usize) -> AnswerDetail {
        let error = detail.error.as_ref().map(|error| scrub::printable(&error.to_string()));
        AnswerDetail {
            status: detail.status,
            state: detail.state,
            impact: detail.impact,
            last_success: detail.success_age.map(|age| super::time(report, age)),
            last_failure: detail.failure_age.map(|age| super::time(report, age)),
            failures: detail.failures,
            in_flight: detail.in_flight,
            error: error.map(|error| scrub::cut(&error, longest)),
            ttl: seconds(detail.ttl),
        }
    }
}

/// A number of seconds; whole seconds have no decimal point.
fn seconds(duration: Duration) -> Number {
    let decimal = Number::from_f64(duration.as_secs_f64()).filter(|_| duration.subsec_nanos() > 0);
    decimal.unwrap_or_else(|| duration.as_secs().into())
}

fn is_false(holds: &bool) -> bool {
    !holds
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
