//! Parses values from a configuration file or the environment, and describes errors in them.

use crate::scrub;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest time span, about thirty years. A longer one is a mistake, and may not fit the board's nanoseconds.
const MAX_SECONDS: f64 = 1e9;

/// The longest name of a service, in bytes. It is also the name of a directory, and is stored on every board.
pub(crate) const MAX_SERVICE_NAME: usize = 64;

/// The longest name of an indicator, in bytes.
pub(crate) const MAX_INDICATOR_NAME: usize = 64;

/// The most bytes of a wrong value that an error repeats.
const MAX_FOUND: usize = 160;

/// A refused value: the option, the value found and the values expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    place: String,
    found: String,
    expected: String,
}

impl SettingError {
    pub(crate) fn new(place: &str, found: &str, expected: impl Into<String>) -> SettingError {
        // The error goes to a log, and a wrong value may be a misplaced secret.
        SettingError {
            place: scrub::printable(place),
            found: scrub::scrub(found, MAX_FOUND),
            expected: expected.into(),
        }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found `{}`, expected {}", self.place, self.found, self.expected)
    }
}

impl std::error::Error for SettingError {}

/// Parses a number of seconds, with decimals. A positive value that would round to zero nanoseconds is refused, since zero
/// has a special meaning. The error is the expected value; `range` describes it.
pub(super) fn seconds(value: &str, range: &str) -> Result<Duration, String> {
    let number = value.parse::<f64>().ok();
    let duration = number.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match (number, duration) {
        (Some(number), _) if number > MAX_SECONDS => Err(format!("seconds, at most {MAX_SECONDS}")),
        (Some(number), Some(duration)) if duration.is_zero() == (number == 0.0) => Ok(duration),
        _ => Err(format!("seconds, {range}")),
    }
}

pub(super) fn absolute(value: &str) -> Result<PathBuf, String> {
    let path = Path::new(value);
    if path.is_absolute() && !value.chars().any(char::is_control) {
        Ok(path.to_owned())
    } else {
        Err("an absolute path without control characters".to_owned())
    }
}

/// Turns a name or a path into a name that is valid for a directory and a service.
pub(super) fn file_name(service: &str) -> String {
    let last = service.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let good = |c: char| if c.is_ascii_alphanumeric() || "-_.@+".contains(c) { c } else { '_' };
    let name: String = last.chars().map(good).collect();
    let name = if name.is_empty() || name.starts_with('.') { format!("_{name}") } else { name };
    name.chars().take(MAX_SERVICE_NAME).collect()
}

/// The name under which an indicator is recorded and its policy is looked up.
pub(crate) fn indicator_name(name: &str) -> String {
    let good = scrub::identifier(name, MAX_INDICATOR_NAME);
    if good.is_empty() { "_".to_owned() } else { good }
}
