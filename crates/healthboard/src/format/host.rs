//! All services of a host, as JSON.

use super::native::{Answer, AnswerDetail};
use crate::scrub;
use crate::verdict::{Processes, Report, Status};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// The most reasons in the message of a host.
const MAX_REASONS: usize = 3;

/// The longest message of a service, in bytes.
const MAX_MESSAGE: usize = 512;

/// The most problems that are listed. `problem_count` is the number of all problems.
const MAX_PROBLEMS: usize = 8;

/// All services of a host, in their wire format.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostAnswer {
    /// The worst status of a service; always the first member.
    pub status: Status,
    /// Which services are not `OK`, and why; left out when all are.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The name of the host.
    pub host: String,
    /// When the reports were made, RFC 3339.
    pub time: String,
    /// Every service by name.
    pub services: BTreeMap<String, HostService>,
    /// What could not be read; left out when there is nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// How many problems there are; left out when there are none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub problem_count: usize,
}

/// One service of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostService {
    /// Its status.
    pub status: Status,
    /// Why it is not `OK`; left out when it is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Since when it has had this status, RFC 3339; left out if no change is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Whether no process is alive, and the last one has said goodbye; left out if not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// The number of processes by condition.
    pub processes: Processes,
    /// Every indicator by name. Only in the verbose form.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, AnswerDetail>,
}

impl HostAnswer {
    /// The answer of a host with these services, without their details. If there may be others, the host is at least `DEGRADED`.
    pub fn of<'a>(
        host: &str,
        reports: &[Report],
        is_incomplete: bool,
        problems: impl ExactSizeIterator<Item = &'a String>,
        time: SystemTime,
    ) -> HostAnswer {
        let mut ill: Vec<&Report> = reports.iter().filter(|report| report.status > Status::Ok).collect();
        // The sort is stable: services of the same status stay in the order of their names.
        ill.sort_by_key(|report| std::cmp::Reverse(report.status));
        let reasons = ill
            .iter()
            .take(MAX_REASONS)
            .map(|report| format!("{} {}: {}", report.service, report.status.name(), report.message));
        let mut message = reasons.collect::<Vec<_>>().join("; ");
        if ill.len() > MAX_REASONS {
            let more = ill.len() - MAX_REASONS;
            message.push_str(&format!("; and {more} more service{}", if more == 1 { "" } else { "s" }));
        }
        if is_incomplete {
            message.push_str(if message.is_empty() { "" } else { "; " });
            message.push_str("a directory could not be listed: services may be missing");
        }
        let worst = ill.first().map_or(Status::Ok, |report| report.status);
        let services =
            reports.iter().map(|report| (scrub::printable(&report.service), HostService::of(report)));
        HostAnswer {
            status: if is_incomplete { worst.max(Status::Degraded) } else { worst },
            message: scrub::cut(&scrub::printable(&message), 3 * MAX_MESSAGE),
            host: scrub::printable(host),
            time: super::clock(time),
            services: services.collect(),
            problem_count: problems.len(),
            problems: problems.take(MAX_PROBLEMS).map(|problem| scrub::printable(problem)).collect(),
        }
    }
}

impl HostAnswer {
    /// Adds the details of every indicator of these services.
    pub fn verbose(mut self, reports: &[Report]) -> HostAnswer {
        for report in reports {
            if let Some(service) = self.services.get_mut(&scrub::printable(&report.service)) {
                service.details = Answer::of_report(report).details;
            }
        }
        self
    }
}

impl HostService {
    fn of(report: &Report) -> HostService {
        let message = match report.status {
            Status::Ok => String::new(),
            _ => scrub::cut(&scrub::printable(&report.message), MAX_MESSAGE),
        };
        HostService {
            status: report.status,
            message,
            since: report.since().map(super::clock),
            stopped: report.stopped,
            processes: report.processes,
            details: BTreeMap::new(),
        }
    }
}

/// The answer as JSON in one line.
pub fn host_json(answer: &HostAnswer) -> String {
    serde_json::to_string(answer).unwrap_or_default() + "\n"
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}
