//! Values as text, from a configuration file or the environment, and what is wrong with them.

use crate::scrub;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// About thirty years. Whatever is longer is a mistake, and would not fit the board's nanoseconds.
const MAX_SECONDS: f64 = 1e9;

/// Bytes of a service's name: it is a directory's too, and stands on every board.
pub(crate) const MAX_SERVICE_NAME: usize = 64;

/// Bytes of an indicator's name.
pub(crate) const MAX_INDICATOR_NAME: usize = 64;

/// Bytes of a mistaken value that an error repeats.
const MAX_FOUND: usize = 160;

/// An option's value was refused: which option, what was found and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    place: String,
    found: String,
    expected: String,
}

impl SettingError {
    pub(crate) fn new(place: &str, found: &str, expected: impl Into<String>) -> SettingError {
        // A mistaken value may be a secret that belongs elsewhere, and this goes to a log.
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

/// Seconds, decimals too. What is not zero does not become zero, which means something else.
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

/// What can be a name of a directory and of a service at once.
pub(super) fn file_name(service: &str) -> String {
    let last = service.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let good = |c: char| if c.is_ascii_alphanumeric() || "-_.@+".contains(c) { c } else { '_' };
    let name: String = last.chars().map(good).collect();
    let name = if name.is_empty() || name.starts_with('.') { format!("_{name}") } else { name };
    name.chars().take(MAX_SERVICE_NAME).collect()
}

/// The name under which an indicator is recorded, and its policy is looked for.
pub(crate) fn indicator_name(name: &str) -> String {
    let good = scrub::identifier(name, MAX_INDICATOR_NAME);
    if good.is_empty() { "_".to_owned() } else { good }
}
