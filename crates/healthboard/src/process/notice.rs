//! Messages for the service's log, kept until the host fetches them: the keeper cannot log.

use crate::status::Status;
use std::time::SystemTime;

/// A message for the service's log. [`tick`](crate::tick) returns it to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether an operator should act. Otherwise the message is information.
    pub warning: bool,
    /// One line, without secrets.
    pub text: String,
    /// The change of status that the line reports, for structured logs. While a status flaps, one notice reports several
    /// changes.
    pub transition: Option<Transition>,
}

impl Notice {
    pub(crate) fn new(warning: bool, text: String) -> Notice {
        Notice { warning, text, transition: None }
    }

    /// Logs it with `tracing`, for the target `healthboard`. A change of status has the fields `status`, `previous`, `cause`
    /// and `at_ms`, the time of the change in milliseconds since 1970: a host that hung fetches a notice late.
    #[cfg(feature = "tracing")]
    pub fn log(&self) {
        let Notice { warning, text, transition } = self;
        let fields = transition.as_ref().map(|change| {
            let since_1970 = change.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let at_ms = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
            (change.to.name(), change.from.name(), &*change.message, at_ms)
        });
        match (warning, fields) {
            (true, Some((status, previous, cause, at_ms))) => {
                tracing::warn!(target: "healthboard", status, previous, cause, at_ms, "{text}");
            }
            (false, Some((status, previous, cause, at_ms))) => {
                tracing::info!(target: "healthboard", status, previous, cause, at_ms, "{text}");
            }
            (true, None) => tracing::warn!(target: "healthboard", "{text}"),
            (false, None) => tracing::info!(target: "healthboard", "{text}"),
        }
    }
}

/// What a process announces about itself, for the service manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// The service works, for the first time or again.
    Ready,
    /// The service is reloading its configuration. [`Announcement::Ready`] follows.
    Reloading,
}

/// A change of the service's status, seen by the process that serves its endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// When it was seen, by the wall clock.
    pub time: SystemTime,
    /// The previous status.
    pub from: Status,
    /// The new status.
    pub to: Status,
    /// Why, for people; empty when the new status is `OK`.
    pub message: String,
}
