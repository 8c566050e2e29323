//! The page of all services of a host.

use super::page::{ago, clock, mark, processes, words};
use askama::Template;
use healthboard::format::HostAnswer;
use healthboard::{Report, Status, printable};
use std::time::SystemTime;

#[derive(Template)]
#[template(path = "host.html")]
struct HostPage {
    version: &'static str,
    made: String,
    host: String,
    status: &'static str,
    class: &'static str,
    mark: &'static str,
    summary: String,
    rows: Vec<ServiceRow>,
    problems: Vec<String>,
}

struct ServiceRow {
    name: String,
    status: &'static str,
    class: &'static str,
    mark: &'static str,
    since: String,
    processes: String,
    why: String,
}

/// The page of a host with these services.
pub(crate) fn of_host(answer: &HostAnswer, reports: &[Report]) -> String {
    let mut order: Vec<&Report> = reports.iter().collect();
    order.sort_by_key(|report| (std::cmp::Reverse(report.status), report.stopped));
    let count = |status| reports.iter().filter(|report| report.status == status && !report.stopped).count();
    let stopped = reports.iter().filter(|report| report.stopped).count();
    let counts = [
        (count(Status::Fault), "FAULT"),
        (count(Status::Degraded), "DEGRADED"),
        (count(Status::Ok), "OK"),
        (stopped, "stopped"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    let page = HostPage {
        version: env!("CARGO_PKG_VERSION"),
        made: clock(order.first().map_or_else(SystemTime::now, |report| report.time)),
        host: answer.host.clone(),
        status: answer.status.name(),
        class: answer.status.name(),
        mark: mark(answer.status),
        summary: if counts.is_empty() {
            "no service has a board here".to_owned()
        } else {
            format!("services: {counts}")
        },
        rows: order.into_iter().map(service_row).collect(),
        problems: answer.problems.clone(),
    };
    page.render().unwrap_or_default()
}

fn service_row(report: &Report) -> ServiceRow {
    let (status, class, mark) = words(report);
    ServiceRow {
        name: printable(&report.service),
        status,
        class,
        mark,
        since: report.since().map_or(String::new(), |since| ago(report.time, since)),
        processes: processes(&report.processes),
        why: if report.status == Status::Ok { String::new() } else { printable(&report.message) },
    }
}
