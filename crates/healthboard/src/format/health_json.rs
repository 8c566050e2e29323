//! `application/health+json`: strictly draft-inadarei-api-health-check-06, without extensions.

use crate::scrub;
use crate::verdict::{Detail, Report, Status};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Health<'a> {
    status: &'static str,
    service_id: String,
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
    checks: BTreeMap<String, [Check; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Check {
    component_type: &'static str,
    observed_value: u32,
    observed_unit: &'static str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<String>,
}

/// The report in the draft's format: `pass`, `warn` or `fail`, and the failures in a row of each indicator.
///
/// `output` is left out if the status is `pass`, and `notes` if there are none.
pub fn health_json(report: &Report) -> String {
    let notes = [
        (report.draining, "draining"),
        (report.refused > 0, "some indicators found no room on the board"),
        (report.processes.others_unseen, "other processes of the service are not seen"),
    ];
    let service = scrub::printable(&report.service);
    let health = Health {
        status: status(report.status),
        description: format!("health of {service}"),
        service_id: service,
        notes: notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note).collect(),
        output: output(report.status, &report.message),
        checks: report.details.iter().map(|(name, detail)| (key(name), [check(report, detail)])).collect(),
    };
    // A map with string keys and no failing member always serializes.
    serde_json::to_string(&health).unwrap_or_default() + "\n"
}

fn check(report: &Report, detail: &Detail) -> Check {
    let age = [detail.success_age, detail.failure_age].into_iter().flatten().min();
    Check {
        component_type: "component",
        observed_value: detail.failures,
        observed_unit: "failures in a row",
        status: status(detail.status),
        time: age.map(|age: Duration| super::time(report, age)),
        output: output(detail.status, &detail.message),
    }
}

fn status(status: Status) -> &'static str {
    match status {
        Status::Ok => "pass",
        Status::Degraded => "warn",
        Status::Fault => "fail",
    }
}

fn output(status: Status, message: &str) -> Option<String> {
    (status > Status::Ok && !message.is_empty()).then(|| scrub::printable(message))
}

/// The key of a check: component and measurement, neither of which may contain a colon.
fn key(name: &str) -> String {
    scrub::printable(name).replace(':', "_") + ":failures"
}
