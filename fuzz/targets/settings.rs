//! Options, one `NAME=VALUE` a line, as from a configuration file and from the environment.

#![no_main]

use healthboard::{Policy, Settings, printable};
use healthboard_endpoint::HttpOptions;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.lines();
    let mut settings = Settings::new(lines.next().unwrap_or_default());
    assert!(!settings.service().is_empty() && !settings.service().contains(['/', '\0']));
    assert!(!settings.service().starts_with('.') && settings.service().len() <= 64);
    for (option, value) in lines.clone().filter_map(|line| line.split_once('=')) {
        let before = settings.clone();
        if let Err(error) = settings.set(option, value) {
            assert_eq!(settings, before, "a refused value changes nothing");
            let error = error.to_string();
            assert_eq!(printable(&error), error, "an error is one line of a log");
        }
    }
    settings.set_from_env(lines.filter_map(|line| line.split_once('=')));
    let mut http = HttpOptions::default();
    settings.claim(&HttpOptions::NAMES, |option, value| http.try_set(option, value));
    for error in settings.take_refused() {
        let error = error.to_string();
        assert_eq!(printable(&error), error, "an error is one line of a log");
    }
    for name in ["database", "progress", ""] {
        let policy = settings.policy(name, Policy::DEFAULT);
        assert!(policy.failure_threshold > 0, "nothing fails without a failure");
    }
    for uri in &settings.uris {
        assert_eq!(uri.to_string().parse().as_ref(), Ok(uri));
    }
});
