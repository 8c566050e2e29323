//! The options of oslo.middleware's `/healthcheck`, with the same names in the same group.

use healthboard::Uri;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

/// What `/healthcheck` answers, and which requests it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthcheckOptions {
    /// The backends that decide the answer, in this order. Without any, the answer is always 200.
    pub backends: Vec<Backend>,
    /// Whether JSON and HTML contain details.
    pub detailed: bool,
    /// The networks whose requests are answered. `None`: all requests are answered.
    pub allowed_source_ranges: Option<Vec<Network>>,
    /// Whether requests with a header `X-Forwarded` or the like are not answered.
    pub ignore_proxied_requests: bool,
    /// The file of [`Backend::DisableByFile`].
    pub disable_by_file_path: Option<PathBuf>,
    /// The files of [`Backend::DisableByFilesPorts`], each for one port of the endpoint.
    pub disable_by_file_paths: Vec<(u16, PathBuf)>,
    /// The files of [`Backend::EnableByFiles`].
    pub enable_by_file_paths: Vec<PathBuf>,
}

/// A backend, which decides an answer of `/healthcheck`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The verdict.
    Healthboard,
    /// Not available while a file exists.
    DisableByFile,
    /// Not available while the file for this port exists.
    DisableByFilesPorts,
    /// Not available while one of these files is missing.
    EnableByFiles,
}

/// A network: the addresses with the same prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Default for HealthcheckOptions {
    fn default() -> HealthcheckOptions {
        HealthcheckOptions {
            backends: vec![Backend::Healthboard],
            detailed: false,
            allowed_source_ranges: None,
            ignore_proxied_requests: false,
            disable_by_file_path: None,
            disable_by_file_paths: Vec::new(),
            enable_by_file_paths: Vec::new(),
        }
    }
}

impl HealthcheckOptions {
    /// The names that [`try_set`](HealthcheckOptions::try_set) knows.
    pub const NAMES: [&str; 7] = [
        "backends",
        "detailed",
        "allowed_source_ranges",
        "ignore_proxied_requests",
        "disable_by_file_path",
        "disable_by_file_paths",
        "enable_by_file_paths",
    ];

    /// Sets one option from its text. `Ok(false)` means that it is not one of these options.
    ///
    /// # Errors
    ///
    /// The error is the expected value. The previous value stays, but of a list what is right is set. If no network is
    /// right, no request is answered.
    pub fn try_set(&mut self, option: &str, value: &str) -> Result<bool, String> {
        match option {
            "backends" => self.set_backends(value)?,
            "detailed" => self.detailed = boolean(value)?,
            "allowed_source_ranges" => {
                let (networks, refused) = right_and_refused(value, Network::parse);
                let (none, any) = (networks.is_empty(), networks.is_empty() && refused.is_empty());
                self.allowed_source_ranges = (!any).then_some(networks);
                let otherwise = if none { "so no request is answered" } else { "the rest counts" };
                refuse("networks such as 10.0.0.0/8, 10.0.0.0/255.0.0.0 or fd00::/8", &refused, otherwise)?;
            }
            "ignore_proxied_requests" => self.ignore_proxied_requests = boolean(value)?,
            "disable_by_file_path" => {
                self.disable_by_file_path = (!value.is_empty()).then(|| PathBuf::from(value));
            }
            "disable_by_file_paths" => {
                let (pairs, refused) = right_and_refused(value, port_and_path);
                self.disable_by_file_paths = pairs;
                refuse("pairs PORT:PATH such as 8774:/run/nova/disabled", &refused, "the rest counts")?;
            }
            "enable_by_file_paths" => {
                // An empty path between commas is a file that is missing, as in oslo.middleware.
                let paths = value.trim().trim_end_matches(',');
                let paths = (!paths.is_empty()).then(|| paths.split(',').map(str::trim).map(PathBuf::from));
                self.enable_by_file_paths = paths.into_iter().flatten().collect();
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Backends that have no effect at these endpoints because their option is not set, and the other way round, for the log.
    pub(crate) fn problems(&self, uris: &[Uri]) -> Vec<String> {
        if uris.is_empty() {
            return Vec::new();
        }
        let files = [
            (Backend::DisableByFile, "disable_by_file_path", self.disable_by_file_path.is_some()),
            (Backend::DisableByFilesPorts, "disable_by_file_paths", !self.disable_by_file_paths.is_empty()),
            (Backend::EnableByFiles, "enable_by_file_paths", !self.enable_by_file_paths.is_empty()),
        ];
        let problem = |(backend, option, is_set): (Backend, &str, bool)| {
            let name = backend.name();
            match (self.backends.contains(&backend), is_set) {
                (true, false) => {
                    Some(format!("/healthcheck: `{name}` in `backends` has no effect without `{option}`"))
                }
                (false, true) => {
                    Some(format!("/healthcheck: `{option}` has no effect without `{name}` in `backends`"))
                }
                _ => None,
            }
        };
        // The kernel chooses port 0.
        let is_served = |port| {
            uris.iter().any(|uri| matches!(uri, Uri::Tcp { port: own, .. } if [0, port].contains(own)))
        };
        let pairs = &self.disable_by_file_paths;
        let is_elsewhere = self.backends.contains(&Backend::DisableByFilesPorts)
            && !pairs.is_empty()
            && !pairs.iter().any(|(port, _)| is_served(*port));
        let elsewhere =
            "/healthcheck: `disable_by_file_paths` has no effect: none of its ports is one of `uri`";
        let problems = files.into_iter().filter_map(problem);
        problems.chain(is_elsewhere.then(|| elsewhere.to_owned())).collect()
    }

    fn set_backends(&mut self, value: &str) -> Result<(), String> {
        let known: Vec<Backend> = list(value).filter_map(Backend::from_name).collect();
        if known.contains(&Backend::DisableByFile) && known.contains(&Backend::EnableByFiles) {
            return Err("either `disable_by_file` or `enable_by_files`".to_owned());
        }
        let is_whole = known.len() == list(value).count();
        // If none of the names is known, the previous backends stay. An empty list would mean that it is always available.
        if is_whole || !known.is_empty() {
            self.backends = known;
        }
        let names = Backend::ALL.map(Backend::name).join(", ");
        if is_whole { Ok(()) } else { Err(format!("a list of {names}; others are ignored")) }
    }
}

impl Backend {
    const ALL: [Backend; 4] =
        [Backend::Healthboard, Backend::DisableByFile, Backend::DisableByFilesPorts, Backend::EnableByFiles];

    fn from_name(name: &str) -> Option<Backend> {
        Backend::ALL.into_iter().find(|backend| backend.name() == name)
    }

    /// The name of its plugin in oslo.middleware.
    pub const fn name(self) -> &'static str {
        match self {
            Backend::Healthboard => "healthboard",
            Backend::DisableByFile => "disable_by_file",
            Backend::DisableByFilesPorts => "disable_by_files_ports",
            Backend::EnableByFiles => "enable_by_files",
        }
    }
}

impl Network {
    fn parse(text: &str) -> Result<Network, String> {
        let refuse = |why: &str| format!("`{text}` {why}");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| refuse("does not begin with an IP address"))?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = prefix.map_or(Some(width), |prefix| prefix_length(prefix, address.is_ipv4()));
        let bits = bits.filter(|bits| *bits <= width);
        let bits =
            bits.ok_or_else(|| refuse(&format!("ends with neither a mask nor a number up to {width}")))?;
        let network = Network { address, bits };
        if number(address) != number(address) & network.mask() {
            return Err(refuse("has bits of a host"));
        }
        Ok(network)
    }

    /// Whether this address belongs to the network. An IPv4-mapped IPv6 address is not an IPv4 address.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4() && number(address) & self.mask() == number(self.address)
    }

    fn mask(self) -> u128 {
        u128::MAX.checked_shl(128 - self.bits).unwrap_or(0)
    }
}

/// Parses a prefix length such as `8`, or for IPv4 also a mask such as `255.0.0.0`, or `0.255.255.255` as in access lists.
fn prefix_length(text: &str, is_ipv4: bool) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let mask = u32::from(text.parse::<Ipv4Addr>().ok().filter(|_| is_ipv4)?);
    let is_mask = |mask: &u32| mask.leading_ones() + mask.trailing_zeros() == 32;
    [mask, !mask].into_iter().find(is_mask).map(u32::leading_ones)
}

/// The address as a number, left-aligned.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    }
}

fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn boolean(value: &str) -> Result<bool, String> {
    match &*value.to_ascii_lowercase() {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

fn port_and_path(pair: &str) -> Result<(u16, PathBuf), String> {
    let parsed = pair.split_once(':').and_then(|(port, path)| Some((port.trim().parse().ok()?, path)));
    match parsed.filter(|(_, path)| !path.is_empty()) {
        Some((port, path)) => Ok((port, PathBuf::from(path))),
        None => Err(format!("`{pair}` is none")),
    }
}

/// The items of a list that can be parsed, and what is wrong with the others.
fn right_and_refused<T>(value: &str, parse: fn(&str) -> Result<T, String>) -> (Vec<T>, Vec<String>) {
    let (mut right, mut refused) = (Vec::new(), Vec::new());
    for item in list(value) {
        match parse(item) {
            Ok(item) => right.push(item),
            Err(why) => refused.push(why),
        }
    }
    (right, refused)
}

/// Fails if items of a list were refused.
fn refuse(expected: &str, refused: &[String], otherwise: &str) -> Result<(), String> {
    if refused.is_empty() { Ok(()) } else { Err(format!("{expected}; {}; {otherwise}", refused.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(option: &str, value: &str) -> Result<HealthcheckOptions, String> {
        let mut options = HealthcheckOptions::default();
        assert!(HealthcheckOptions::NAMES.contains(&option));
        options.try_set(option, value).map(|known| {
            assert!(known);
            options
        })
    }

    #[test]
    fn options_are_read_as_oslo_reads_them() {
        let backends = set("backends", "disable_by_file, healthboard ,").unwrap().backends;
        assert_eq!(backends, [Backend::DisableByFile, Backend::Healthboard]);
        assert_eq!(set("backends", "").unwrap().backends, []);
        for (value, expected) in [("True", true), ("yes", true), ("1", true), ("OFF", false), ("0", false)] {
            assert_eq!(set("detailed", value).unwrap().detailed, expected, "{value}");
            let options = set("ignore_proxied_requests", value).unwrap();
            assert_eq!(options.ignore_proxied_requests, expected, "{value}");
        }
        let paths = set("disable_by_file_paths", "5000:/run/a:b, 35357:/c").unwrap().disable_by_file_paths;
        assert_eq!(paths, [(5000, PathBuf::from("/run/a:b")), (35357, PathBuf::from("/c"))]);
        assert_eq!(set("disable_by_file_path", "").unwrap().disable_by_file_path, None);
        for (value, expected) in [
            ("/a, /b", ["/a", "/b"].as_slice()),
            ("/a,,", &["/a"]),
            ("/a,,/b", &["/a", "", "/b"]),
            (",", &[]),
        ] {
            let paths = set("enable_by_file_paths", value).unwrap().enable_by_file_paths;
            assert_eq!(paths, expected.iter().map(PathBuf::from).collect::<Vec<_>>(), "{value}");
        }
    }

    #[test]
    fn a_wrong_value_is_named_and_changes_nothing() {
        for (option, value, expected) in [
            ("detailed", "maybe", "true or false"),
            ("ignore_proxied_requests", "", "true or false"),
            ("backends", "disable_by_file, enable_by_files", "either"),
        ] {
            let mut options = HealthcheckOptions::default();
            let error = options.try_set(option, value).expect_err(value);
            assert!(error.contains(expected), "{option} {value}: {error}");
            assert_eq!(options, HealthcheckOptions::default(), "{option} {value}");
        }
    }

    #[test]
    fn the_right_items_of_a_list_count_and_the_wrong_ones_are_named() {
        let mut options = HealthcheckOptions::default();
        let pairs = "http:/x, 70000:/x, 1:, /run/x, 80:/y";
        let error = options.try_set("disable_by_file_paths", pairs).unwrap_err();
        assert!(
            error.contains("`http:/x` is none, `70000:/x` is none, `1:` is none, `/run/x` is none; the rest")
        );
        assert_eq!(options.disable_by_file_paths, [(80, PathBuf::from("/y"))]);

        for (network, expected) in [
            ("10.1.2.3/8", "has bits of a host"),
            ("10.0.0.0/33", "ends with neither a mask nor a number up to 32"),
            ("10.0.0.0/+8", "ends with neither"),
            ("10.0.0.0/255.0.255.0", "ends with neither"),
            ("::/0.0.0.0", "ends with neither"),
            ("localnet", "does not begin with an IP address"),
        ] {
            let error = options.try_set("allowed_source_ranges", &format!("{network}, ::1")).unwrap_err();
            assert!(
                error.contains(&format!("`{network}` {expected}")) && error.ends_with("the rest counts"),
                "{error}"
            );
            assert_eq!(options.allowed_source_ranges, Some(vec![Network::parse("::1").unwrap()]));
            let error = options.try_set("allowed_source_ranges", network).unwrap_err();
            assert!(error.ends_with("so no request is answered"), "{error}");
            assert_eq!(options.allowed_source_ranges, Some(Vec::new()), "not all");
        }
        options.try_set("allowed_source_ranges", " , ").unwrap();
        assert_eq!(options.allowed_source_ranges, None);
    }

    #[test]
    fn backends_of_others_are_named_and_passed_over() {
        let mut options = HealthcheckOptions::default();
        let error = options.try_set("backends", "disable_by_file, ours, healthboard").unwrap_err();
        assert!(error.contains("healthboard, disable_by_file, disable_by_files_ports, enable_by_files"));
        assert_eq!(options.backends, [Backend::DisableByFile, Backend::Healthboard]);
        options.try_set("backends", "ours").unwrap_err();
        assert_eq!(options.backends, [Backend::DisableByFile, Backend::Healthboard], "not nothing");
    }

    #[test]
    fn what_can_have_no_effect_is_named() {
        let uris = ["tcp://127.0.0.1:9774", "unix:///run/x.sock"].map(|uri| uri.parse::<Uri>().unwrap());
        let problems = |options: &HealthcheckOptions| options.problems(&uris);
        assert!(problems(&HealthcheckOptions::default()).is_empty());
        let unused = problems(&set("disable_by_file_path", "/run/disabled").unwrap());
        assert_eq!(
            unused,
            ["/healthcheck: `disable_by_file_path` has no effect without `disable_by_file` in `backends`"]
        );
        let mut options = set("backends", "disable_by_file,disable_by_files_ports").unwrap();
        let two = problems(&options);
        assert!(two[0].contains("`disable_by_file_path`") && two[1].contains("_paths`"));
        options.try_set("disable_by_file_path", "/x").unwrap();
        assert_eq!(problems(&options).len(), 1);
        assert_eq!(problems(&set("backends", "enable_by_files").unwrap()).len(), 1);

        options.try_set("disable_by_file_paths", "8774:/x, 9775:/x").unwrap();
        let elsewhere =
            ["/healthcheck: `disable_by_file_paths` has no effect: none of its ports is one of `uri`"];
        assert_eq!(problems(&options), elsewhere);
        assert_eq!(options.problems(&uris[1..]), elsewhere);
        assert!(options.problems(&["tcp://[::1]:0".parse().unwrap()]).is_empty());
        options.try_set("disable_by_file_paths", "8774:/x, 9774:/x").unwrap();
        assert!(problems(&options).is_empty());
    }

    #[test]
    fn a_network_contains_the_addresses_with_its_first_bits() {
        let contains = |network: &str, address: &str| {
            Network::parse(network).expect(network).contains(address.parse().expect(address))
        };
        assert!(contains("10.0.0.0/8", "10.255.0.1") && !contains("10.0.0.0/8", "11.0.0.1"));
        assert!(
            contains("10.1.0.0/255.255.0.0", "10.1.9.9") && !contains("10.1.0.0/255.255.0.0", "10.2.0.0")
        );
        assert!(
            contains("10.0.0.0/0.255.255.255", "10.1.9.9") && !contains("10.0.0.0/0.255.255.255", "11.0.0.1")
        );
        assert!(contains("127.0.0.1", "127.0.0.1") && !contains("127.0.0.1", "127.0.0.2"));
        assert!(contains("0.0.0.0/0", "192.0.2.1") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("fd00::/8", "fdff::1") && !contains("fd00::/8", "fe80::1"));
        assert!(contains("::/0", "::ffff:10.1.1.1") && !contains("10.0.0.0/8", "::ffff:10.1.1.1"));
    }
}
