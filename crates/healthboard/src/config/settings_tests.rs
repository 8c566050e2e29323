use super::*;

fn with(options: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::new("nova-api");
    settings.host = "compute-7".to_owned();
    for (option, value) in options {
        settings.set(option, value).unwrap_or_else(|error| panic!("{error}"));
    }
    settings
}

fn refused(option: &str, value: &str) -> String {
    let mut settings = Settings::new("nova-api");
    let before = settings.clone();
    let error = settings.set(option, value).expect_err(&format!("{option} = {value:?} was taken"));
    assert_eq!(settings, before, "{option} = {value:?} left a trace");
    error.to_string()
}

fn uris(value: &str) -> Vec<String> {
    with(&[("uri", value)]).uris.iter().map(Uri::to_string).collect()
}

#[test]
fn defaults_are_disabled_and_as_documented() {
    let settings = Settings::new("nova-api");
    assert!(!settings.is_enabled());
    assert_eq!(settings.runtime_dir, None);
    assert_eq!(settings.error_detail, ErrorDetail::Class);
    assert_eq!(settings.policy("database", Policy::DEFAULT), Policy::DEFAULT);
}

#[test]
fn uris_are_listed_and_filled_in() {
    for (value, expected) in [
        ("", &[][..]),
        (" , ", &[]),
        ("tcp://127.0.0.1:8099", &["tcp://127.0.0.1:8099"]),
        ("tcp://127.0.0.1:8099/", &["tcp://127.0.0.1:8099"]),
        ("tcp://0.0.0.0:1", &["tcp://0.0.0.0:1"]),
        ("tcp://localhost:0, tcp://127.0.0.1:00", &["tcp://localhost:0", "tcp://127.0.0.1:0"]),
        ("tcp://LocalHost:65535", &["tcp://localhost:65535"]),
        ("tcp://[0:0::1]:80 ,\n unix:///a", &["tcp://[::1]:80", "unix:///a"]),
        ("unix:///run/{host}/{binary}.sock,", &["unix:///run/compute-7/nova-api.sock"]),
        ("unix:///with space", &["unix:///with space"]),
    ] {
        assert_eq!(uris(value), expected, "{value:?}");
    }
    assert!(!with(&[("uri", "tcp://[::1]:1"), ("uri", "")]).is_enabled(), "an empty value disables");
}

#[test]
fn uris_print_what_parses_back() {
    for text in ["tcp://10.0.0.1:80", "tcp://[fe80::1]:80", "tcp://localhost:80", "unix:///run/x.sock"] {
        assert_eq!(text.parse::<Uri>().map(|uri| uri.to_string()), Ok(text.to_owned()));
    }
}

#[test]
fn localhost_is_both_loopback_addresses() {
    let addresses = |text: &str| text.parse::<Uri>().map(|uri| uri.addresses()).unwrap();
    assert_eq!(
        addresses("tcp://localhost:80"),
        ["127.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap()]
    );
    assert_eq!(addresses("tcp://[::1]:80"), ["[::1]:80".parse().unwrap()]);
    assert_eq!(addresses("unix:///a"), []);
}

#[test]
fn the_error_of_a_wrong_uri_says_what_is_expected() {
    for (value, expected) in [
        ("8099", "`tcp://ADDRESS:PORT` or `unix:///PATH`"),
        ("http://127.0.0.1:80", "`tcp://ADDRESS:PORT` or `unix:///PATH`"),
        ("tcp://127.0.0.1", "a port after the address"),
        ("tcp://127.0.0.1:", "a port from 0 (any that is free) to 65535"),
        ("tcp://127.0.0.1:+80", "a port from 0 (any that is free) to 65535"),
        ("tcp://127.0.0.1:65536", "a port from 0 (any that is free) to 65535"),
        ("tcp://127.0.0.1:80/health", "a port from 0 (any that is free) to 65535"),
        ("tcp://node7:80", "names are not resolved"),
        ("tcp://::1:80", "an IPv6 address in brackets"),
        ("tcp://[::1:80", "an IPv6 address in brackets"),
        ("tcp://[127.0.0.1]:80", "an IPv6 address in brackets"),
        ("unix://run/x", "three slashes"),
        ("unix:/run/x", "`unix:///PATH`"),
        ("unix:///run/x/", "not of a directory"),
        ("unix:///run/..", "not of a directory"),
        ("unix:///", "not of a directory"),
        ("unix:///run/a\nb", "a path without control characters"),
        ("unix:///a, tcp://node7:80", "instead of `tcp://node7:80`"),
        ("tcp://127.0.0.1:80, tcp://0.0.0.0:80", "`tcp://0.0.0.0:80` overlaps with `tcp://127.0.0.1:80`"),
        ("unix:///run/{program}.sock", "only `{binary}` and `{host}` in braces"),
        ("unix:///a, unix:///a", "`unix:///a` overlaps with `unix:///a`"),
        ("unix:///a/b, unix:///a//b", "every address once"),
        ("tcp://localhost:80, tcp://127.0.0.1:80", "every address once"),
        ("tcp://[::1]:80, tcp://[0::1]:80", "every address once"),
    ] {
        let error = refused("uri", value);
        assert!(error.contains(expected), "{value:?}: {error}");
        assert!(error.starts_with("option `uri` in [healthcheck]: found `"), "{error}");
    }
}

#[test]
fn a_constructed_endpoint_is_checked_like_a_parsed_one() {
    let mut settings = Settings::new("nova-api");
    let tcp = |host: &str| Uri::Tcp { host: host.to_owned(), port: 8099 };
    let long = Uri::Unix(format!("/{}", "x".repeat(107)).into());
    for uri in [tcp("LOCALHOST"), tcp("127.0.0.1"), tcp("node7"), Uri::Unix("health.sock".into()), long] {
        settings.add_uri(&uri);
    }
    assert_eq!(settings.uris, [tcp("localhost")]);
    let refused: Vec<String> = settings.take_refused().iter().map(ToString::to_string).collect();
    for (error, expected) in refused.iter().zip([
        "every address once",
        "names are not resolved",
        "three slashes",
        "at most 107 bytes",
    ]) {
        assert!(error.starts_with("endpoint: found `") && error.contains(expected), "{error}");
    }
    assert_eq!(refused.len(), 4);
}

#[test]
fn a_socket_path_may_have_107_bytes() {
    let path = |length: usize| format!("unix:///{}", "x".repeat(length - 1));
    assert_eq!(uris(&path(107)), [path(107)]);
    assert!(refused("uri", &path(108)).ends_with("a path of at most 107 bytes, and this one has 108"));
    let filled = format!("unix:///{}/{{binary}}", "x".repeat(98));
    assert!(refused("uri", &filled).ends_with("and this one has 108"), "what counts is the path filled in");
}

#[test]
fn a_password_in_a_value_is_not_repeated() {
    assert!(!refused("uri", "rabbit://nova:canary@db:5672").contains("canary"));
    assert!(!refused("uri", "unix:///a, rabbit://nova:canary@db:5672").contains("canary"));
}

#[test]
fn seconds_are_finite_and_not_negative() {
    let ttl = |value: &str| with(&[("ttl", value)]).policy("database", Policy::DEFAULT).ttl;
    for (value, expected) in
        [("0", 0.0), ("-0", 0.0), ("300", 300.0), (" 60.0 ", 60.0), ("0.25", 0.25), ("1e9", 1e9)]
    {
        assert_eq!(ttl(value), Duration::from_secs_f64(expected), "{value}");
    }
    for value in ["", "abc", "-1", "nan", "inf", "1_0", "5s", "1e-12", "0x10"] {
        assert!(refused("ttl", value).contains("expected seconds, "), "{value}");
    }
    assert!(refused("ttl", "1000000001").ends_with("expected seconds, at most 1000000000"));
    assert_eq!(
        refused("ttl", "abc"),
        "option `ttl` in [healthcheck]: found `abc`, expected seconds, 0 (for ever) or more"
    );
}

#[test]
fn the_other_options_have_their_ranges() {
    assert_eq!(with(&[("error_detail", "message")]).error_detail, ErrorDetail::Message);
    assert_eq!(with(&[("runtime_dir", "/run/x")]).runtime_dir, Some("/run/x".into()));
    for (option, values) in [
        ("error_detail", &["", "Class", "all"][..]),
        ("runtime_dir", &["", "run", "/a\0b"]),
        ("failure_threshold", &["", "0", "-1", "1.5", "1000001"]),
        ("failure_window", &["", "-1", "soon"]),
        ("stall_after", &["-1", "1e300"]),
        ("slow_after", &["-1", ""]),
        ("refresh_interval", &["-1", "nan"]),
        ("database.impact", &["", "high", "CRITICAL"]),
    ] {
        for value in values {
            refused(option, value);
        }
    }
}

/// The refused values after the endpoint's options have been claimed; it knows only `socket_mode`.
fn refused_after_claims(settings: &mut Settings) -> Vec<String> {
    settings.claim(&["socket_mode"], |option, value| match option {
        "socket_mode" if value == "0600" => Ok(true),
        "socket_mode" => Err("an octal mode".to_owned()),
        _ => Ok(false),
    });
    settings.take_refused().iter().map(SettingError::to_string).collect()
}

#[test]
fn an_option_that_the_core_does_not_know_is_kept_until_claimed() {
    let mut settings = with(&[("socket_mode", " rwx "), ("socket_mode", "0600")]);
    let mut claimed = Vec::new();
    settings.claim(&["socket_mode"], |option, value| {
        claimed.push(format!("{option} = {value}"));
        Ok(true)
    });
    assert_eq!(claimed, ["socket_mode = 0600"], "the last value counts, trimmed");
    settings.claim(&[], |option, _| panic!("{option} is claimed twice"));
    assert_eq!(settings.take_refused(), []);
    assert_eq!(
        refused_after_claims(&mut with(&[("socket_mode", "rwx")])),
        ["option `socket_mode` in [healthcheck]: found `rwx`, expected an octal mode"]
    );
}

#[test]
fn unknown_options_are_named() {
    let mut settings = with(&[("tll", "canary")]);
    let unclaimed = refused_after_claims(&mut settings);
    let [error] = &unclaimed[..] else { panic!("{unclaimed:?}") };
    assert!(
        error.starts_with("option `tll` in [healthcheck]: found `tll`, expected one of uri, "),
        "{error}"
    );
    assert!(error.ends_with("refresh_interval, socket_mode"), "{error}");
    assert_eq!(settings.take_refused(), [], "each is returned once");
    assert!(refused("impact", "critical").ends_with("`impact` belongs to [healthcheck:NAME]"));
    let error = refused("database.uri", "x");
    assert!(error.starts_with("option `uri` in [healthcheck:database]: found `uri`, "), "{error}");
    assert!(refused(".ttl", "5").contains("`NAME.`"));
}

#[test]
fn the_nearest_explicit_choice_decides() {
    let code = Policy { ttl: Duration::from_secs(60), impact: Impact::Degrading, ..Policy::DEFAULT };
    let s = with(&[("failure_threshold", "3"), ("database.ttl", "7"), ("database.impact", "informational")]);
    let near = s.policy("database", code);
    assert_eq!((near.ttl.as_secs(), near.impact, near.failure_threshold), (7, Impact::Informational, 3));
    let far = s.policy("message_bus", code);
    assert_eq!((far.ttl.as_secs(), far.impact, far.failure_threshold), (60, Impact::Degrading, 3));
    assert_eq!(with(&[("ttl", "9")]).policy("message_bus", code).ttl.as_secs(), 60);
    assert_eq!(with(&[("ttl", "9")]).policy("message_bus", Policy::DEFAULT).ttl.as_secs(), 9);
}

#[test]
fn progress_uses_only_its_own_group() {
    let s = with(&[("ttl", "300")]);
    assert_eq!(s.policy(PROGRESS, Policy::DEFAULT).ttl.as_secs(), 10);
    assert_eq!(with(&[("progress.ttl", "30")]).policy(PROGRESS, Policy::DEFAULT).ttl.as_secs(), 30);
}

#[test]
fn setting_a_documented_default_changes_nothing() {
    let defaults = [
        ("ttl", "300"),
        ("failure_threshold", "2"),
        ("failure_window", "10"),
        ("stall_after", "60"),
        ("slow_after", "10"),
        ("refresh_interval", "10"),
    ];
    let code = Policy {
        impact: Impact::Degrading,
        ttl: Duration::from_secs(60),
        failure_threshold: 5,
        failure_window: Duration::from_secs(1),
        stall_after: Duration::from_secs(7),
        slow_after: Duration::from_secs(3),
        refresh_interval: Duration::ZERO,
    };
    let written = with(&defaults);
    assert_eq!(written.policy("periodic", code), code);
    assert_eq!(written.policy("periodic", Policy::DEFAULT), Policy::DEFAULT);
    assert_eq!(written.policy(PROGRESS, Policy::DEFAULT), Policy::PROGRESS);
}

#[test]
fn a_typed_policy_acts_like_its_options() {
    let mut settings = Settings::new("nova-api");
    let ttl = Duration::from_secs(9);
    settings.set_default_policy(Policy { ttl, impact: Impact::Informational, ..Policy::DEFAULT });
    let policy = settings.policy("database", Policy::DEFAULT);
    assert_eq!((policy.ttl, policy.impact), (ttl, Impact::Critical), "an impact belongs to one indicator");
    settings.set_policy("image", Policy { impact: Impact::Informational, ..Policy::DEFAULT });
    let policy = settings.policy("image", Policy::DEFAULT);
    assert_eq!((policy.ttl, policy.impact), (ttl, Impact::Informational));
}

#[test]
fn the_environment_overrides_and_a_wrong_variable_is_named() {
    let mut settings = with(&[("ttl", "300")]);
    settings.set_from_env([
        ("PATH", "/bin"),
        ("HEALTHBOARD_TTL", "5"),
        ("HEALTHBOARD_MESSAGE_BUS__FAILURE_THRESHOLD", "4"),
        ("HEALTHBOARD_ERROR_DETAIL", "all"),
        ("HEALTHBOARD_SOCKET_MODE", "rwx"),
        ("HEALTHBOARD_TLL", "5"),
    ]);
    let policy = settings.policy("message_bus", Policy::DEFAULT);
    assert_eq!((policy.ttl.as_secs(), policy.failure_threshold), (5, 4));
    let refused = refused_after_claims(&mut settings);
    assert_eq!(
        refused[..2],
        [
            "environment variable `HEALTHBOARD_ERROR_DETAIL`: found `all`, expected none, class or message",
            "environment variable `HEALTHBOARD_SOCKET_MODE`: found `rwx`, expected an octal mode",
        ]
    );
    assert!(
        refused[2].starts_with("environment variable `HEALTHBOARD_TLL`: found `tll`, expected one of uri, ")
    );
    assert_eq!(refused.len(), 3);
}

#[test]
fn a_variable_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStrExt;
    let value = OsStr::from_bytes(b"/run/\xff");
    let mut settings = Settings::new("x");
    settings.set_from_env([(OsStr::new("HEALTHBOARD_RUNTIME_DIR"), value)]);
    assert!(settings.take_refused()[0].to_string().ends_with("expected UTF-8"));
}

#[test]
fn the_name_of_a_service_is_valid_for_a_directory() {
    let long = "x".repeat(300);
    for (service, expected, told) in [
        ("nova-api", "nova-api", false),
        ("/usr/bin/nova-api", "nova-api", false),
        ("/usr/bin/", "bin", false),
        ("nova api\n", "nova_api_", true),
        ("..", "_..", true),
        ("../../escape", "escape", false),
        (".hidden", "_.hidden", true),
        ("", "_", true),
        ("/", "_", true),
        ("dienst-é", "dienst-_", true),
        (&long, &"x".repeat(64), true),
    ] {
        let mut settings = Settings::new(service);
        assert_eq!(settings.service(), expected, "{service:?}");
        assert_eq!(!settings.take_refused().is_empty(), told, "{service:?}");
    }
}
