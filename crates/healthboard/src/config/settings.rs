//! The options of `[healthcheck]`, as typed fields. Every option can also be set as text.
//!
//! A refused value changes nothing: the caller logs the error, and the service starts with the previous value. Options of
//! the endpoint crate are kept as text until [`Settings::claim`] hands them over.

use super::parse::{SettingError, absolute, file_name, indicator_name, seconds};
use super::{Impact, PROGRESS, Policy, Uri, uri};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

/// The service-wide options that the core knows.
const OPTIONS: &str = "uri, runtime_dir, error_detail, ttl, failure_threshold, failure_window, stall_after, \
                       slow_after, refresh_interval";

/// The options of one indicator.
const INDICATOR_OPTIONS: &str =
    "ttl, impact, failure_threshold, failure_window, stall_after, slow_after, refresh_interval";

/// The value of `uri` for a service that has a board but no endpoint.
const BOARD: &str = "board";

/// How much of an error is kept and shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ErrorDetail {
    /// Nothing.
    None,
    /// The class and the code.
    #[default]
    Class,
    /// Also the scrubbed text.
    Message,
}

/// The settings of a service.
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
    service: String,
    /// Replaces `{host}` in a `uri` that is set afterwards. By default the name of the host.
    pub host: String,
    /// The endpoints. Without any, health is disabled unless `has_board` is set.
    pub uris: Vec<Uri>,
    /// Whether to keep a board even without an endpoint, for an agent or the command to read: `uri = board`.
    pub has_board: bool,
    /// The directory of the boards, if set.
    pub runtime_dir: Option<PathBuf>,
    /// How much of an error is kept and shown.
    pub error_detail: ErrorDetail,
    all: Choices,
    named: BTreeMap<String, Choices>,
    unclaimed: Vec<Unclaimed>,
    refused: Vec<SettingError>,
}

/// An option that the core does not know, with its value as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unclaimed {
    place: String,
    /// The option's name in `[healthcheck]`.
    pub option: String,
    /// Its value, trimmed.
    pub value: String,
}

/// The explicitly set parts of a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Choices {
    impact: Option<Impact>,
    ttl: Option<Duration>,
    failure_threshold: Option<u32>,
    failure_window: Option<Duration>,
    stall_after: Option<Duration>,
    slow_after: Option<Duration>,
    refresh_interval: Option<Duration>,
}

impl Settings {
    /// The default settings, with health disabled. If `service` is a path, its last part is the name.
    ///
    /// The name is also that of a directory: at most 64 letters, digits and `-_.@+`, not beginning with a dot. Other
    /// characters become `_`, a leading dot gets a `_` before it and a longer name is cut; such a change is among the
    /// [`refused`](Settings::take_refused).
    pub fn new(service: &str) -> Settings {
        let name = file_name(service);
        let mut refused = Vec::new();
        if service.trim_end_matches('/').rsplit('/').next() != Some(name.as_str()) {
            let expected = format!("1 to 64 letters, digits and `-_.@+`, no leading dot; using `{name}`");
            refused.push(SettingError::new("name of the service", service, expected));
        }
        Settings {
            service: name,
            host: host_name(),
            uris: Vec::new(),
            has_board: false,
            runtime_dir: None,
            error_detail: ErrorDetail::default(),
            all: Choices::default(),
            named: BTreeMap::new(),
            unclaimed: Vec::new(),
            refused,
        }
    }

    /// The name of the service; also that of its directory, and `{binary}` in a `uri`.
    pub fn service(&self) -> &str {
        &self.service
    }

    /// Whether there is an endpoint to serve or a board to keep. If there is neither, nothing is recorded.
    pub fn is_enabled(&self) -> bool {
        self.has_board || !self.uris.is_empty()
    }

    /// Sets one option: `ttl` for `ttl` in `[healthcheck]`, `database.ttl` for `ttl` in `[healthcheck:database]`.
    ///
    /// An option that the core does not know is kept until it is [claimed](Settings::claim).
    ///
    /// # Errors
    ///
    /// The value is invalid, or the option of an indicator is unknown. The previous value stays.
    pub fn set(&mut self, option: &str, value: &str) -> Result<(), SettingError> {
        let place = match option.rsplit_once('.') {
            Some((name, option)) => format!("option `{option}` in [healthcheck:{name}]"),
            None => format!("option `{option}` in [healthcheck]"),
        };
        self.set_from(&place, option, value.trim())
    }

    /// Like [`set`](Settings::set), but an invalid value is added to the [`refused`](Settings::take_refused).
    pub fn set_or_refuse(&mut self, option: &str, value: &str) {
        let error = self.set(option, value).err();
        self.refused.extend(error);
    }

    /// Adds an endpoint. An endpoint that is invalid or overlaps with another is not added, but to the
    /// [`refused`](Settings::take_refused) settings.
    pub fn add_uri(&mut self, uri: &Uri) {
        let added = uri.checked().and_then(|uri| uri::add(&mut self.uris, uri));
        let refused = added.err().map(|expected| SettingError::new("endpoint", &uri.to_string(), expected));
        self.refused.extend(refused);
    }

    /// Sets the default policy of indicators. Only fields that differ from [`Policy::DEFAULT`] are set, and the impact is
    /// ignored. An indicator's own policy takes precedence.
    pub fn set_default_policy(&mut self, policy: Policy) {
        self.all = Choices { impact: None, ..Choices::of(policy) };
    }

    /// Sets the policy of this indicator. Only fields that differ from [`Policy::DEFAULT`] are set. Replaces what was set
    /// for it before.
    pub fn set_policy(&mut self, name: &str, policy: Policy) {
        self.named.insert(indicator_name(name), Choices::of(policy));
    }

    /// Sets every option that the environment names: `HEALTHBOARD_TTL` sets `ttl`, and `HEALTHBOARD_DATABASE__TTL` sets
    /// `database.ttl`. Names are converted to lower case. Invalid values are added to the
    /// [`refused`](Settings::take_refused), in the order of the variables.
    pub fn set_from_env<N: AsRef<OsStr>, V: AsRef<OsStr>>(&mut self, vars: impl IntoIterator<Item = (N, V)>) {
        for (variable, value) in vars {
            let variable = variable.as_ref().to_string_lossy();
            let Some(option) = variable.strip_prefix("HEALTHBOARD_") else { continue };
            let option = option.to_ascii_lowercase().replacen("__", ".", 1);
            let place = format!("environment variable `{}`", crate::scrub::cut(&variable, 80));
            let result = match value.as_ref().to_str() {
                Some(value) => self.set_from(&place, &option, value.trim()),
                None => Err(SettingError::new(&place, &value.as_ref().to_string_lossy(), "UTF-8")),
            };
            self.refused.extend(result.err());
        }
    }

    /// Hands over the options that the core does not know, and forgets them.
    ///
    /// `try_set` gets the name and the value. It returns whether it knows the option; its error is the expected value.
    /// Refused values and unknown options are added to the [`refused`](Settings::take_refused). The error for an unknown
    /// option lists the names in `known` besides those of the core.
    pub fn claim(&mut self, known: &[&str], mut try_set: impl FnMut(&str, &str) -> Result<bool, String>) {
        for Unclaimed { place, option, value } in std::mem::take(&mut self.unclaimed) {
            match try_set(&option, &value) {
                Ok(true) => {}
                // For `healthboard-run`. Services of all kinds may share a file with environment variables.
                Ok(false) if option == "disabled_hooks" => {}
                // The value of an unknown option is of no help, and may be a secret.
                Ok(false) => {
                    let names = [OPTIONS, &known.join(", ")].join(", ");
                    self.refused.push(SettingError::new(&place, &option, format!("one of {names}")));
                }
                Err(expected) => self.refused.push(SettingError::new(&place, &value, expected)),
            }
        }
    }

    /// Takes the refused values that were not returned as an error. They belong in the service's log.
    pub fn take_refused(&mut self) -> Vec<SettingError> {
        std::mem::take(&mut self.refused)
    }

    /// The effective policy of an indicator. `[healthcheck:NAME]` takes precedence over `own`, and `own` over
    /// `[healthcheck]`. Only fields of `own` that differ from [`Policy::DEFAULT`] count, so code that sets a documented
    /// default changes nothing.
    ///
    /// `progress` ignores `[healthcheck]`: it is stale after 10 s unless `[healthcheck:progress]` says otherwise.
    pub fn policy(&self, name: &str, own: Policy) -> Policy {
        let policy = if name == PROGRESS {
            Policy::PROGRESS
        } else {
            Choices::of(own).over(self.all.over(Policy::DEFAULT))
        };
        self.named.get(name).map_or(policy, |choices| choices.over(policy))
    }

    fn set_from(&mut self, place: &str, option: &str, value: &str) -> Result<(), SettingError> {
        let refuse = |expected: String| SettingError::new(place, value, expected);
        if let Some((name, option)) = option.rsplit_once('.') {
            let recorded = indicator_name(name);
            let mut choices = self.named.get(&recorded).copied().unwrap_or_default();
            if name.is_empty() || !choices.try_set(option, value).map_err(refuse)? {
                let expected = match name {
                    "" => format!("`NAME.` and one of {INDICATOR_OPTIONS}"),
                    _ => format!("one of {INDICATOR_OPTIONS}"),
                };
                return Err(SettingError::new(place, option, expected));
            }
            self.named.insert(recorded, choices);
            return Ok(());
        }
        match option {
            "uri" if value == BOARD => (self.uris, self.has_board) = (Vec::new(), true),
            "uri" => {
                self.uris =
                    self.fill_in(value).and_then(|filled| uri::parse_list(&filled)).map_err(refuse)?;
                self.has_board = false;
            }
            "runtime_dir" => self.runtime_dir = Some(absolute(value).map_err(refuse)?),
            "error_detail" => self.error_detail = error_detail(value).map_err(refuse)?,
            "impact" => {
                let expected = format!("one of {OPTIONS}; `impact` belongs to [healthcheck:NAME]");
                return Err(SettingError::new(place, option, expected));
            }
            _ if self.all.try_set(option, value).map_err(refuse)? => (),
            _ => {
                let (place, option, value) = (place.to_owned(), option.to_owned(), value.to_owned());
                self.unclaimed.retain(|unclaimed| unclaimed.option != option);
                self.unclaimed.push(Unclaimed { place, option, value });
            }
        }
        Ok(())
    }

    fn fill_in(&self, uri: &str) -> Result<String, String> {
        // An unknown name in braces would give all services that share the file the same socket.
        let known = uri.replace("{binary}", "").replace("{host}", "");
        if known.contains(['{', '}']) {
            return Err("only `{binary}` and `{host}` in braces".to_owned());
        }
        Ok(uri.replace("{binary}", &self.service).replace("{host}", &self.host))
    }
}

impl Choices {
    /// The parts that differ from the documented defaults.
    fn of(own: Policy) -> Choices {
        fn own_choice<T: PartialEq>(own: T, default: T) -> Option<T> {
            (own != default).then_some(own)
        }
        let default = Policy::DEFAULT;
        Choices {
            impact: own_choice(own.impact, default.impact),
            ttl: own_choice(own.ttl, default.ttl),
            failure_threshold: own_choice(own.failure_threshold, default.failure_threshold),
            failure_window: own_choice(own.failure_window, default.failure_window),
            stall_after: own_choice(own.stall_after, default.stall_after),
            slow_after: own_choice(own.slow_after, default.slow_after),
            refresh_interval: own_choice(own.refresh_interval, default.refresh_interval),
        }
    }

    /// Sets an option. Returns whether there is such an option; the error is the expected value.
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
            "slow_after" => self.slow_after = Some(seconds(value, "0 or more")?),
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
            slow_after: self.slow_after.unwrap_or(below.slow_after),
            refresh_interval: self.refresh_interval.unwrap_or(below.refresh_interval),
        }
    }
}

fn error_detail(value: &str) -> Result<ErrorDetail, String> {
    match value {
        "none" => Ok(ErrorDetail::None),
        "class" => Ok(ErrorDetail::Class),
        "message" => Ok(ErrorDetail::Message),
        _ => Err("none, class or message".to_owned()),
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
#[cfg(not(loom))]
#[path = "settings_tests.rs"]
mod tests;
