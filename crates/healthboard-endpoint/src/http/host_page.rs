//! The page of all services of a host.

use super::page::{Shown, View, ago, clock, processes};
use askama::Template;
use healthboard::format::HostAnswer;
use healthboard::{Report, Status, printable};
use std::time::SystemTime;

#[derive(Template)]
#[template(path = "host.html")]
struct HostPage<'a> {
    version: &'static str,
    made: String,
    view: View<'a>,
    host: String,
    status: Shown,
    summary: String,
    rows: Vec<ServiceRow>,
    problems: Vec<String>,
}

struct ServiceRow {
    name: String,
    status: Shown,
    since: String,
    processes: String,
    why: String,
}

/// The page of a service without a board. It reloads itself as others do, so it is gone when there is one.
#[derive(Template)]
#[template(path = "missing.html")]
struct MissingPage<'a> {
    version: &'static str,
    made: String,
    view: View<'a>,
    service: String,
    status: Shown,
}

/// The page for the name of a service that has no board.
pub(crate) fn of_missing(service: &str, view: View<'_>) -> String {
    let page = MissingPage {
        version: env!("CARGO_PKG_VERSION"),
        made: clock(SystemTime::now()),
        view,
        service: printable(service),
        status: Shown { word: "not found", class: "quiet", mark: "?" },
    };
    page.render().unwrap_or_default()
}

/// The page of a host with these services.
pub(crate) fn of_host(answer: &HostAnswer, reports: &[Report], paused: bool) -> String {
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
        view: View { paused, host: None },
        host: answer.host.clone(),
        status: Shown::of(answer.status, None),
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
    ServiceRow {
        name: printable(&report.service),
        status: Shown::of_service(report),
        since: report.since().map_or(String::new(), |since| ago(report.time, since)),
        processes: processes(&report.processes),
        why: if report.status == Status::Ok { String::new() } else { printable(&report.message) },
    }
}
