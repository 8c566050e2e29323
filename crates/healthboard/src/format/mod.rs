//! What a [`Report`] looks like: pure functions of it, one for each wire format.

mod checks;
mod health_json;
mod native;

pub use checks::{livez, readyz};
pub use health_json::health_json;
pub use native::{Answer, AnswerDetail, json, parse};

use crate::scrub;
use crate::verdict::{Report, Status};
use std::time::{Duration, SystemTime};

/// One line for people and scripts: `OK`, or status and message.
pub fn text(report: &Report) -> String {
    match report.status {
        Status::Ok => "OK\n".to_owned(),
        status => format!("{}: {}\n", status.name(), scrub::printable(&report.message)),
    }
}

/// The time of something this old, RFC 3339 in whole seconds.
fn time(report: &Report, age: Duration) -> String {
    let latest = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let time = report.time.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
    // A clock that is out of its mind must not take the answer with it.
    humantime::format_rfc3339_seconds(time.clamp(SystemTime::UNIX_EPOCH, latest)).to_string()
}
