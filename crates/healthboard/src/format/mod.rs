//! The wire formats of a [`Report`], each a pure function.

mod checks;
mod health_json;
mod healthcheck;
mod host;
mod metrics;
mod native;
mod stacks;

pub use checks::{livez, readyz};
pub use health_json::health_json;
pub use healthcheck::{Finding, Host, healthcheck_html, healthcheck_json, healthcheck_text};
pub use host::{HostAnswer, HostService, host_json};
pub use metrics::{Cost, Exposition, metrics};
pub use native::{Answer, AnswerDetail, AnswerStack, AnswerStacks, json, parse, verbose_json};
pub use stacks::{stacks_text, verbose_text};

use crate::scrub;
use crate::verdict::{Report, Status};
use std::time::{Duration, SystemTime};

/// One line for people and scripts: `OK`, `OK: stopped`, or the status and the message.
pub fn text(report: &Report) -> String {
    match report.status {
        Status::Ok if report.stopped => "OK: stopped\n".to_owned(),
        Status::Ok => "OK\n".to_owned(),
        status => format!("{}: {}\n", status.name(), scrub::printable(&report.message)),
    }
}

/// The wall-clock time of something of this age, in the format of RFC 3339 with whole seconds.
fn time(report: &Report, age: Duration) -> String {
    clock(report.time.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH))
}

/// A time in the format of RFC 3339 with whole seconds.
fn clock(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(clamped(time)).to_string()
}

/// Clamps a time to the range outside of which the formatter panics: a wrong clock must not prevent the answer.
fn clamped(time: SystemTime) -> SystemTime {
    let latest = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    time.clamp(SystemTime::UNIX_EPOCH, latest)
}
