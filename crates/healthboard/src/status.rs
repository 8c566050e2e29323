//! The status of a service or an indicator.

use serde::{Deserialize, Serialize};

/// The status of a service or an indicator. A worse status is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// Everything works, or nothing is known yet.
    Ok,
    /// It works, with a problem.
    Degraded,
    /// It does not do its work.
    Fault,
}

impl Status {
    /// `OK`, `DEGRADED` or `FAULT`.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Ok => "OK",
            Status::Degraded => "DEGRADED",
            Status::Fault => "FAULT",
        }
    }

    /// The status with this [`name`](Status::name).
    pub fn from_name(name: &str) -> Option<Status> {
        [Status::Ok, Status::Degraded, Status::Fault].into_iter().find(|s| s.name() == name)
    }
}
