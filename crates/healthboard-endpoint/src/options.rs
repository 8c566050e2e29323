//! The options of `[healthcheck]` that concern the endpoints.

mod healthcheck;

pub use healthcheck::{Backend, HealthcheckOptions, Network};

/// The options for answers and for access to them.
///
/// ```
/// use healthboard_endpoint::HttpOptions;
///
/// let mut options = HttpOptions::default();
/// assert_eq!(options.try_set("allowed_hosts", "nova.example.org, prometheus"), Ok(true));
/// assert_eq!(options.try_set("ttl", "60"), Ok(false));
/// assert!(options.try_set("fault_status_code", "busy").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// The HTTP status for `FAULT`.
    pub fault_status_code: u16,
    /// The HTTP status for `DEGRADED`.
    pub degraded_status_code: u16,
    /// The value of the header `Cache-Control`; `None` omits it.
    pub cache_control: Option<String>,
    /// The names that a `Host` may have, besides IP addresses and `localhost`.
    pub allowed_hosts: AllowedHosts,
    /// The weight in answers to HAProxy's agent-check on `DEGRADED`, in percent of the configured weight.
    pub degraded_weight: u8,
    /// Permissions of unix sockets.
    pub socket_mode: u32,
    /// The options of `/healthcheck`.
    pub healthcheck: HealthcheckOptions,
}

/// Names that a `Host` may have. Requests for other names are refused: a page in a browser could have sent them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedHosts {
    /// Any name.
    All,
    /// These names, in lower case.
    Names(Vec<String>),
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions {
            fault_status_code: 503,
            degraded_status_code: 200,
            cache_control: Some("no-store".to_owned()),
            allowed_hosts: AllowedHosts::Names(Vec::new()),
            degraded_weight: 100,
            socket_mode: 0o660,
            healthcheck: HealthcheckOptions::default(),
        }
    }
}

impl HttpOptions {
    /// The names that [`try_set`](HttpOptions::try_set) knows.
    pub const NAMES: [&str; 13] = {
        let [a, b, c, d, e, f, g] = HealthcheckOptions::NAMES;
        let own = [
            "fault_status_code",
            "degraded_status_code",
            "cache_control",
            "allowed_hosts",
            "degraded_weight",
            "socket_mode",
        ];
        [own[0], own[1], own[2], own[3], own[4], own[5], a, b, c, d, e, f, g]
    };

    /// Sets one option from its text. `Ok(false)` means that the option does not belong to the endpoints.
    ///
    /// # Errors
    ///
    /// The error is the expected value. The previous value stays.
    pub fn try_set(&mut self, option: &str, value: &str) -> Result<bool, String> {
        match option {
            "fault_status_code" => self.fault_status_code = status_code(value)?,
            "degraded_status_code" => self.degraded_status_code = status_code(value)?,
            "cache_control" => self.cache_control = cache_control(value)?,
            "allowed_hosts" => self.allowed_hosts = AllowedHosts::parse(value)?,
            "degraded_weight" => {
                let percent = value.parse().ok().filter(|percent| (1..=100).contains(percent));
                self.degraded_weight = percent.ok_or("a percentage, 1 to 100")?;
            }
            "socket_mode" => self.socket_mode = mode(value)?,
            _ => return self.healthcheck.try_set(option, value),
        }
        Ok(true)
    }
}

impl AllowedHosts {
    /// Parses a comma list of names, or `*`.
    ///
    /// # Errors
    ///
    /// The error describes what was expected.
    pub fn parse(value: &str) -> Result<AllowedHosts, String> {
        let parts = || value.split(',').map(str::trim).filter(|part| !part.is_empty());
        if parts().any(|part| part == "*") {
            return Ok(AllowedHosts::All);
        }
        if !parts().all(is_host_name) {
            return Err("host names without ports, separated by commas, or `*`".to_owned());
        }
        Ok(AllowedHosts::Names(parts().map(str::to_ascii_lowercase).collect()))
    }

    /// Whether this name, which has no port, is allowed.
    pub(crate) fn contain(&self, name: &str) -> bool {
        match self {
            AllowedHosts::All => true,
            AllowedHosts::Names(names) => names.iter().any(|known| known.eq_ignore_ascii_case(name)),
        }
    }
}

/// Whether a name could be that of a host.
pub(crate) fn is_host_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=253).contains(&name.len()) && name.bytes().all(good)
}

fn status_code(value: &str) -> Result<u16, String> {
    // Answers with these codes have no body, so a client would take the body for the next answer.
    let bare = [204, 205, 304];
    let code = value.parse().ok().filter(|code| (200..600).contains(code) && !bare.contains(code));
    Ok(code.ok_or("an HTTP status code with a body, 200 to 599")?)
}

fn cache_control(value: &str) -> Result<Option<String>, String> {
    match value.parse::<i32>() {
        Ok(0) => Ok(None),
        Ok(-1) => Ok(Some("no-cache".to_owned())),
        Ok(seconds @ 1..) => Ok(Some(format!("max-age={seconds}"))),
        _ => Err("-1 (no-cache), 0 (no header) or the seconds of max-age".to_owned()),
    }
}

/// An octal number, with or without a leading `0` or `0o`.
fn mode(value: &str) -> Result<u32, String> {
    let digits = value.strip_prefix("0o").unwrap_or(value);
    let octal = digits.bytes().all(|b| b.is_ascii_digit()).then(|| u32::from_str_radix(digits, 8).ok());
    Ok(octal.flatten().filter(|mode| *mode <= 0o777).ok_or("an octal mode, 0000 to 0777")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_set_from_their_text() {
        let mut options = HttpOptions::default();
        for (option, value) in [
            ("fault_status_code", "500"),
            ("degraded_status_code", "429"),
            ("cache_control", "5"),
            ("allowed_hosts", " Nova.example.org, prometheus ,"),
            ("degraded_weight", "50"),
            ("socket_mode", "0600"),
        ] {
            assert!(HttpOptions::NAMES.contains(&option));
            assert_eq!(options.try_set(option, value), Ok(true), "{option}");
        }
        assert_eq!((options.fault_status_code, options.degraded_status_code), (500, 429));
        assert_eq!(options.cache_control.as_deref(), Some("max-age=5"));
        assert_eq!(options.socket_mode, 0o600);
        assert!(
            options.allowed_hosts.contain("nova.EXAMPLE.org") && options.allowed_hosts.contain("prometheus")
        );
        assert!(!options.allowed_hosts.contain("example.org"));
        options.try_set("allowed_hosts", "*").unwrap();
        assert!(options.allowed_hosts.contain("anything.at.all"));
        options.try_set("allowed_hosts", "").unwrap();
        assert_eq!(options.allowed_hosts, HttpOptions::default().allowed_hosts);
        options.try_set("cache_control", "-1").unwrap();
        assert_eq!(options.cache_control.as_deref(), Some("no-cache"));
        options.try_set("cache_control", "0").unwrap();
        assert_eq!(options.cache_control, None);
        assert_eq!(options.try_set("ttl", "5"), Ok(false));
    }

    #[test]
    fn a_wrong_value_changes_nothing_and_the_error_says_what_is_expected() {
        for (option, values, expected) in [
            ("fault_status_code", ["", "100", "204", "600", "-1", "5O3"].as_slice(), "200 to 599"),
            ("degraded_status_code", &["304", "0"], "200 to 599"),
            ("cache_control", &["", "-2", "no-store", "1.5"], "-1 (no-cache)"),
            ("allowed_hosts", &["a b", "http://nova", "nova:8774", "*.example.org", "nova/"], "host names"),
            ("degraded_weight", &["0", "101", "50%", ""], "1 to 100"),
            ("socket_mode", &["", "888", "01000", "rw", "-1", "+7"], "octal"),
        ] {
            for value in values {
                let mut options = HttpOptions::default();
                let error = options.try_set(option, value).expect_err(value);
                assert!(error.contains(expected), "{option} {value}: {error}");
                assert_eq!(options, HttpOptions::default());
            }
        }
    }
}
