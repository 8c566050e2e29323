//! The options of `[healthcheck]`: every value comes as text, from a configuration file, the environment or a program.
//!
//! A value that is refused changes nothing: the caller logs the error and the service starts with what was set before.

mod uri;

pub use uri::Uri;

use crate::{Impact, PROGRESS, Policy};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The names of the service-wide options.
const OPTIONS: &str = "uri, ttl, cache_control, socket_mode, runtime_dir, fault_status_code, degraded_status_code, \
                       failure_threshold, failure_window, stall_after, refresh_interval, error_detail";

/// The names of the options of one indicator.
const INDICATOR_OPTIONS: &str =
    "ttl, impact, failure_threshold, failure_window, stall_after, refresh_interval";

/// About thirty years: whatever is longer is a mistake, and would not fit the board's nanoseconds.
const MOST_SECONDS: f64 = 1e9;

/// How much an answer tells of an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorDetail {
    /// Nothing.
    None,
    /// The class and the code.
    #[default]
    Class,
    /// The scrubbed text too.
    Message,
}

/// What an operator may choose.
///
/// ```
/// use healthboard::Settings;
///
/// let mut settings = Settings::new("nova-conductor");
/// settings.set("uri", "tcp://127.0.0.1:8099, unix:///run/nova/{binary}.sock")?;
/// settings.set("database.ttl", "60")?;
/// assert!(settings.set("ttl", "soon").is_err());
/// # Ok::<(), healthboard::SettingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What operators call the service; also a directory name and `{binary}`.
    pub service: String,
    /// Stands for `{host}` in a `uri` that is set afterwards. The host's name until changed.
    pub host: String,
    /// Where to listen. Empty: disabled.
    pub uris: Vec<Uri>,
    /// Where the boards are kept, if the operator has a wish.
    pub runtime_dir: Option<PathBuf>,
    /// Permissions of unix sockets.
    pub socket_mode: u32,
    /// The HTTP status for `FAULT`.
    pub fault_status_code: u16,
    /// The HTTP status for `DEGRADED`.
    pub degraded_status_code: u16,
    /// How much an answer tells of an error.
    pub error_detail: ErrorDetail,
    cache_control: Option<String>,
    all: Choices,
    named: BTreeMap<String, Choices>,
}

/// What was chosen explicitly of a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Choices {
    impact: Option<Impact>,
    ttl: Option<Duration>,
    failure_threshold: Option<u32>,
    failure_window: Option<Duration>,
    stall_after: Option<Duration>,
    refresh_interval: Option<Duration>,
}

impl Settings {
    /// The defaults: disabled. Of a path the last part names the service; what a file name should not contain becomes `_`.
    pub fn new(service: &str) -> Settings {
        Settings {
            service: file_name(service),
            host: host_name(),
            uris: Vec::new(),
            runtime_dir: None,
            socket_mode: 0o660,
            fault_status_code: 503,
            degraded_status_code: 200,
            error_detail: ErrorDetail::default(),
            cache_control: Some("no-store".to_owned()),
            all: Choices::default(),
            named: BTreeMap::new(),
        }
    }

    /// Whether there is an endpoint to serve; without one nothing is recorded either.
    pub fn is_enabled(&self) -> bool {
        !self.uris.is_empty()
    }

    /// The value of the header `Cache-Control`, `None` for no such header.
    pub fn cache_control(&self) -> Option<String> {
        self.cache_control.clone()
    }

    /// Sets one option: `ttl` for `ttl` in `[healthcheck]`, `database.ttl` for `ttl` in `[healthcheck:database]`.
    ///
    /// # Errors
    ///
    /// An unknown option or a value that is no good. The previous value stays.
    pub fn set(&mut self, option: &str, value: &str) -> Result<(), SettingError> {
        let refuse = |expected: String| {
            let place = match option.rsplit_once('.') {
                Some((name, option)) => format!("option `{option}` in [healthcheck:{name}]"),
                None => format!("option `{option}` in [healthcheck]"),
            };
            SettingError::new(&place, if is_option(option) { value } else { option }, expected)
        };
        self.try_set(option, value.trim()).map_err(refuse)
    }

    /// Sets every option that the environment names: `HEALTHBOARD_TTL` is `ttl`, `HEALTHBOARD_DATABASE__TTL` is
    /// `database.ttl`. Returns what was refused, in the order of the variables.
    ///
    /// ```
    /// # let mut settings = healthboard::Settings::new("nova-api");
    /// for error in settings.from_env(std::env::vars_os()) {
    ///     eprintln!("{error}");
    /// }
    /// ```
    #[allow(
        clippy::wrong_self_convention,
        reason = "it reads *from* the environment into what is there already"
    )]
    pub fn from_env<N: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        vars: impl IntoIterator<Item = (N, V)>,
    ) -> Vec<SettingError> {
        let mut refused = Vec::new();
        for (variable, value) in vars {
            let variable = variable.as_ref().to_string_lossy();
            let Some(option) = variable.strip_prefix("HEALTHBOARD_") else { continue };
            let option = option.to_ascii_lowercase().replacen("__", ".", 1);
            let result = match value.as_ref().to_str() {
                Some(value) => self.try_set(&option, value.trim()),
                None => Err("UTF-8".to_owned()),
            };
            if let Err(expected) = result {
                let value = value.as_ref().to_string_lossy();
                let found = if is_option(&option) { &value } else { option.as_str() };
                let place = format!("environment variable `{}`", crate::scrub::cut(&variable, 80));
                refused.push(SettingError::new(&place, found, expected));
            }
        }
        refused
    }

    /// The policy of an indicator: `[healthcheck:NAME]` before `[healthcheck]` before `default`, each as far as it was set
    /// explicitly.
    ///
    /// `progress` does not follow `[healthcheck]`: it is stale after 10 s unless `[healthcheck:progress]` says otherwise.
    pub fn policy(&self, name: &str, default: Policy) -> Policy {
        let policy = if name == PROGRESS {
            Policy { ttl: Duration::from_secs(10), ..Policy::DEFAULT }
        } else {
            self.all.over(default)
        };
        self.named.get(name).map_or(policy, |choices| choices.over(policy))
    }

    /// The error is what would have been right.
    fn try_set(&mut self, option: &str, value: &str) -> Result<(), String> {
        if let Some((name, option)) = option.rsplit_once('.') {
            let mut choices = self.named.get(name).copied().unwrap_or_default();
            if name.is_empty() || !choices.try_set(option, value)? {
                return Err(format!("`NAME.` and one of {INDICATOR_OPTIONS}"));
            }
            self.named.insert(name.to_owned(), choices);
            return Ok(());
        }
        match option {
            "uri" => self.uris = uri::parse_list(&self.fill_in(value)?)?,
            "runtime_dir" => self.runtime_dir = Some(absolute(value)?),
            "socket_mode" => self.socket_mode = mode(value)?,
            "fault_status_code" => self.fault_status_code = status_code(value)?,
            "degraded_status_code" => self.degraded_status_code = status_code(value)?,
            "error_detail" => self.error_detail = error_detail(value)?,
            "cache_control" => self.cache_control = cache_control(value)?,
            "impact" => {
                return Err("one of ".to_owned() + OPTIONS + "; `impact` belongs to [healthcheck:NAME]");
            }
            _ if self.all.try_set(option, value)? => (),
            _ => return Err("one of ".to_owned() + OPTIONS),
        }
        Ok(())
    }

    fn fill_in(&self, uri: &str) -> Result<String, String> {
        // A name that nobody fills in would be the same socket for all services that share the file.
        let known = uri.replace("{binary}", "").replace("{host}", "");
        if known.contains(['{', '}']) {
            return Err("nothing in braces but `{binary}` and `{host}`".to_owned());
        }
        Ok(uri.replace("{binary}", &self.service).replace("{host}", &self.host))
    }
}

impl Choices {
    /// Whether there is such an option.
    fn try_set(&mut self, option: &str, value: &str) -> Result<bool, String> {
        match option {
            "ttl" => self.ttl = Some(seconds(value, "0 (for ever) or more")?),
            "impact" => {
                let expected = "informational, degrading or critical";
                self.impact = Some(Impact::from_name(value).ok_or(expected)?);
            }
            "failure_threshold" => {
                let number = value.parse().ok().filter(|n| (1..=1_000_000).contains(n));
                self.failure_threshold = Some(number.ok_or("a number of failures, 1 to 1000000")?);
            }
            "failure_window" => self.failure_window = Some(seconds(value, "0 or more")?),
            "stall_after" => self.stall_after = Some(seconds(value, "0 (never) or more")?),
            "refresh_interval" => self.refresh_interval = Some(seconds(value, "0 (never) or more")?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn over(&self, below: Policy) -> Policy {
        Policy {
            impact: self.impact.unwrap_or(below.impact),
            ttl: self.ttl.unwrap_or(below.ttl),
            failure_threshold: self.failure_threshold.unwrap_or(below.failure_threshold),
            failure_window: self.failure_window.unwrap_or(below.failure_window),
            stall_after: self.stall_after.unwrap_or(below.stall_after),
            refresh_interval: self.refresh_interval.unwrap_or(below.refresh_interval),
        }
    }
}

/// An option's value was refused: which option, what was found and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    place: String,
    found: String,
    expected: String,
}

impl SettingError {
    fn new(place: &str, found: &str, expected: String) -> SettingError {
        // A mistaken value may be a secret that belongs elsewhere, and this goes to a log.
        SettingError { place: crate::scrub::printable(place), found: crate::scrub(found, 160), expected }
    }
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: found `{}`, expected {}", self.place, self.found, self.expected)
    }
}

impl std::error::Error for SettingError {}

/// Whether there is an option of this name. If not, its value says nothing, and may be somebody's secret.
fn is_option(name: &str) -> bool {
    let (name, among) =
        name.rsplit_once('.').map_or((name, OPTIONS), |(_, option)| (option, INDICATOR_OPTIONS));
    among.split(", ").any(|option| option == name)
}

/// Seconds, decimals too. What is not zero does not become zero, which means something else.
fn seconds(value: &str, range: &str) -> Result<Duration, String> {
    let number = value.parse::<f64>().ok().filter(|seconds| *seconds <= MOST_SECONDS);
    let duration = number.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match (number, duration) {
        (Some(number), Some(duration)) if duration.is_zero() == (number == 0.0) => Ok(duration),
        _ if number.is_none() && value.parse::<f64>().is_ok_and(|n| n > MOST_SECONDS) => {
            Err(format!("seconds, at most {MOST_SECONDS}"))
        }
        _ => Err(format!("seconds, {range}")),
    }
}

fn status_code(value: &str) -> Result<u16, String> {
    // These have no body; a client would take the body for the next answer.
    let bare = [204, 205, 304];
    let code = value.parse().ok().filter(|code| (200..600).contains(code) && !bare.contains(code));
    Ok(code.ok_or("an HTTP status code with a body, 200 to 599")?)
}

/// Octal, with or without a leading `0` or `0o`, as people write it.
fn mode(value: &str) -> Result<u32, String> {
    let digits = value.strip_prefix("0o").unwrap_or(value);
    let octal = digits.bytes().all(|b| b.is_ascii_digit()).then(|| u32::from_str_radix(digits, 8).ok());
    Ok(octal.flatten().filter(|mode| *mode <= 0o777).ok_or("an octal mode, 0000 to 0777")?)
}

fn error_detail(value: &str) -> Result<ErrorDetail, String> {
    match value {
        "none" => Ok(ErrorDetail::None),
        "class" => Ok(ErrorDetail::Class),
        "message" => Ok(ErrorDetail::Message),
        _ => Err("none, class or message".to_owned()),
    }
}

fn cache_control(value: &str) -> Result<Option<String>, String> {
    match value.parse::<i32>() {
        Ok(0) => Ok(None),
        Ok(-1) => Ok(Some("no-cache".to_owned())),
        Ok(seconds @ 1..) => Ok(Some(format!("max-age={seconds}"))),
        _ => Err("-1 (no-cache), 0 (no header) or the seconds of max-age".to_owned()),
    }
}

fn absolute(value: &str) -> Result<PathBuf, String> {
    let path = Path::new(value);
    if path.is_absolute() && !value.contains('\0') {
        Ok(path.to_owned())
    } else {
        Err("an absolute path".to_owned())
    }
}

/// A service is a directory of its own, so its name must be good for one.
fn file_name(service: &str) -> String {
    let last = service.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let good = |c: char| if c.is_ascii_alphanumeric() || "-_.@+".contains(c) { c } else { '_' };
    let name: String = last.chars().take(64).map(good).collect();
    if name.is_empty() || name.starts_with('.') { format!("_{name}") } else { name }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests;
