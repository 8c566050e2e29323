//! Compares answers with the files in `tests/golden`. `BLESS=1` rewrites them.

use healthboard::format::{
    Cost, Exposition, health_json, json, livez, metrics, parse, readyz, text, verbose_json, verbose_text,
};
use healthboard::{
    Detail, Failure, Frame, Impact, PROGRESS, Processes, Report, Role, Stacks, State, Status, Traced,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

fn detail(status: Status, state: State) -> Detail {
    Detail {
        status,
        state,
        impact: Impact::Critical,
        success_age: Some(Duration::from_secs(2)),
        failure_age: None,
        failures: 0,
        in_flight: 0,
        oldest_age: None,
        error: None,
        ttl: Duration::from_secs(300),
        message: String::new(),
    }
}

fn report(details: impl IntoIterator<Item = (&'static str, Detail)>) -> Report {
    let details: BTreeMap<String, Detail> =
        details.into_iter().map(|(name, d)| (name.to_owned(), d)).collect();
    let reasons: Vec<&str> = details.values().map(|d| d.message.as_str()).filter(|m| !m.is_empty()).collect();
    Report {
        status: details.values().map(|d| d.status).max().unwrap_or(Status::Ok),
        message: reasons.join("; "),
        service: "nova-compute".to_owned(),
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_347_602),
        processes: Processes { alive: 2, ..Processes::default() },
        draining: false,
        stopped: false,
        refused: 0,
        refused_name: None,
        stacks: Vec::new(),
        unobserved_for: Duration::ZERO,
        history: Arc::default(),
        details,
    }
}

fn ok() -> Report {
    report([(PROGRESS, detail(Status::Ok, State::Passing)), ("database", detail(Status::Ok, State::Passing))])
}

fn degraded() -> Report {
    let bus = Detail {
        success_age: Some(Duration::from_secs(14)),
        failure_age: Some(Duration::from_millis(1500)),
        failures: 3,
        error: Some(Failure::new("ConnectionRefusedError").code("111")),
        ttl: Duration::from_millis(2500),
        message: "message_bus: ConnectionRefusedError 111, 3 failures in 12 s, last success 14 s ago"
            .to_owned(),
        ..detail(Status::Degraded, State::Transient)
    };
    let image = Detail { impact: Impact::Informational, ..detail(Status::Ok, State::Failing) };
    report([("message_bus", bus), ("image", image), (PROGRESS, detail(Status::Ok, State::Passing))])
}

fn fault() -> Report {
    let database = Detail {
        success_age: None,
        failure_age: Some(Duration::ZERO),
        failures: 7,
        in_flight: 2,
        oldest_age: Some(Duration::from_secs(33)),
        error: Some(Failure::default().text("no such table: services")),
        message: "database: no such table: services, 7 failures in 31 s, no success yet".to_owned(),
        ..detail(Status::Fault, State::Failing)
    };
    Report {
        refused: 4,
        refused_name: Some("cells".to_owned()),
        draining: true,
        processes: Processes { alive: 2, hung: 1, dead: 1, serving: Some(4711), others_unseen: true },
        ..report([("database", database), (PROGRESS, detail(Status::Degraded, State::Stale))])
    }
}

#[track_caller]
fn assert_golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, found).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(found, expected, "{name} differs; run with BLESS=1 if that is meant");
}

#[test]
fn metrics_match_their_golden_files() {
    let (mut first, second) = (fault(), Report { service: "nova-api".to_owned(), stopped: true, ..ok() });
    // Names are identifiers, but a format trusts nobody.
    let odd = first.details.remove("database").unwrap();
    first.details.insert("da\"ta\\base\n".to_owned(), odd);
    let cost = Some(Cost { cpu: Duration::from_millis(1234), requests: 42 });
    assert_golden("metrics.prom", &metrics([&second, &first], cost, Some(2), Exposition::Text, false));
    assert_golden(
        "metrics.openmetrics",
        &metrics([&second, &first], cost, Some(2), Exposition::OpenMetrics, false),
    );
    assert_golden("metrics.verbose.prom", &metrics([&second, &first], None, None, Exposition::Text, true));
}

#[test]
fn the_number_of_series_is_as_documented() {
    let series = |report: &Report, verbose| {
        let text = metrics([report], None, None, Exposition::Text, verbose);
        text.lines().filter(|line| !line.starts_with('#')).count()
    };
    let eight = |detail: fn(usize) -> Detail| {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
        report(names.into_iter().enumerate().map(|(index, name)| (name, detail(index))))
    };
    let (build, service) = (1, 8);
    let well = eight(|_| detail(Status::Ok, State::Passing));
    assert_eq!(series(&well, false), build + service + 8 * 2);
    let ill = eight(|_| Detail {
        failure_age: Some(Duration::ZERO),
        oldest_age: Some(Duration::ZERO),
        ..detail(Status::Fault, State::Stalled)
    });
    assert_eq!(series(&ill, false), build + service + 8 * (2 + 13));
    // A host with 20 services of 8 indicators.
    assert!(build + 20 * (service + 8 * 2) < 500);
}

#[test]
fn every_format_matches_its_golden_file() {
    for (name, report) in [("ok", ok()), ("degraded", degraded()), ("fault", fault())] {
        assert_golden(&format!("{name}.json"), &json(&report));
        assert_golden(&format!("{name}.health.json"), &health_json(&report));
        assert_golden(&format!("{name}.txt"), &text(&report));
        assert_golden(&format!("{name}.livez"), &livez(&report, true).1);
        assert_golden(&format!("{name}.readyz"), &readyz(&report, &[], true).1);
    }
}

/// One process whose main thread hangs, and a server's workers with it.
fn hung() -> Report {
    let mut stacks = Stacks::at(1);
    let hangs = [
        Frame::new("nova/virt/libvirt/host.py", 1234, "list_all_domains"),
        Frame::new("nova/compute/manager.py", 10843, "<listcomp>"),
    ];
    stacks.add(Role::Main, hangs.to_vec());
    for role in [Role::Work, Role::Work, Role::Other, Role::MainAtWork] {
        stacks.add(role, hangs[1..].to_vec());
    }
    Report { stacks: vec![Traced { pid: 4711, stacks: Arc::new(stacks) }], ..fault() }
}

#[test]
fn where_threads_stand_is_in_the_verbose_forms_alone() {
    assert_golden("hung.json", &verbose_json(&hung()));
    assert_golden("hung.txt", &verbose_text(&hung()));
    assert_golden("hung.livez", &livez(&hung(), true).1);
    assert_golden("hung.readyz", &readyz(&hung(), &[], true).1);
    assert_eq!(parse(&verbose_json(&hung())).unwrap().stacks[0].threads.len(), 4);
    assert_eq!((json(&hung()), text(&hung())), (json(&fault()), text(&fault())));
    assert_eq!(health_json(&hung()), health_json(&fault()));
    assert_eq!(readyz(&hung(), &[], false), readyz(&fault(), &[], false));
    // Where none hangs, verbose says no more.
    assert_eq!((verbose_json(&ok()), verbose_text(&ok())), (json(&ok()), text(&ok())));
}

#[test]
fn the_native_format_parses_its_own_output() {
    for report in [ok(), degraded(), fault()] {
        let answer = parse(&json(&report)).unwrap();
        assert_eq!((answer.status, &answer.message), (report.status, &report.message));
        assert_eq!(serde_json::to_string(&answer).unwrap() + "\n", json(&report));
    }
    assert!(parse("{}").is_err());
    assert!(parse("<html>").is_err());
}

#[test]
fn status_comes_first_and_an_empty_message_is_left_out() {
    assert!(json(&ok()).starts_with(r#"{"status":"OK","service":"#));
    assert!(json(&degraded()).starts_with(r#"{"status":"DEGRADED","message":"message_bus: "#));
    assert!(!json(&ok()).contains("refused"));
}

/// The longest answer that boards can cause: every text is full of characters that JSON escapes.
#[test]
fn an_answer_with_eight_indicators_is_shorter_than_the_limit_of_container_runtimes() {
    let names: Vec<String> = (0..8).map(|i| format!("{i}{}", "x".repeat(63))).collect();
    let full = |length: usize| "\"\\".repeat(length / 2);
    let mut report = fault();
    report.message = full(2000);
    report.service = "s".repeat(64);
    report.refused = u32::MAX;
    report.refused_name = Some("n".repeat(64));
    report.stopped = true;
    report.processes = Processes {
        alive: 99_999,
        hung: 99_999,
        dead: 99_999,
        serving: Some(4_194_304),
        others_unseen: true,
    };
    report.details = names
        .into_iter()
        .map(|name| {
            let error = Some(Failure::new(full(64)).code(full(16)).text(full(160)));
            let failure_age = Some(Duration::from_secs(1));
            let (failures, in_flight) = (4_194_303, 4_194_303);
            let impact = Impact::Informational;
            let state = State::Transient;
            let status = Status::Degraded;
            (name, Detail { error, failure_age, failures, in_flight, impact, ..detail(status, state) })
        })
        .collect();
    let body = json(&report);
    assert!(body.len() < 4096, "{}", body.len());
    assert_eq!(parse(&body).unwrap().details.len(), 8);
}

#[test]
fn a_stopped_service_says_so_and_a_running_one_leaves_the_member_out() {
    let stopped = Report { stopped: true, ..report([]) };
    assert!(json(&stopped).contains(r#""stopped":true"#));
    assert!(parse(&json(&stopped)).unwrap().stopped);
    assert!(!json(&ok()).contains("stopped"));
}

#[test]
fn livez_does_not_depend_on_dependencies() {
    assert_eq!(livez(&ok(), false), (true, "ok\n".to_owned()));
    assert!(
        livez(&fault(), false).0,
        "a database that fails and one hung process of two are no reason to restart"
    );
    assert!(livez(&report([]), false).0, "no evidence is no reason to restart");
    let hung = report([(PROGRESS, detail(Status::Fault, State::Stale))]);
    let expected = "[-]progress failed: no process progresses\nlivez check failed\n";
    assert_eq!(livez(&hung, false), (false, expected.to_owned()));
}

#[test]
fn readyz_fails_only_on_fault_while_draining_and_when_stopped() {
    assert_eq!(readyz(&ok(), &[], false), (true, "ok\n".to_owned()));
    assert!(readyz(&degraded(), &[], false).0);
    assert!(!readyz(&fault(), &[], false).0);
    assert!(!readyz(&Report { draining: true, ..ok() }, &[], false).0);
    assert!(!readyz(&Report { stopped: true, ..report([]) }, &[], false).0);
    let dead = Report { processes: Processes { dead: 1, ..Processes::default() }, ..report([]) };
    assert!(!readyz(&dead, &[], false).0);
    assert!(readyz(&report([]), &[], false).0);
}

#[test]
fn readyz_leaves_out_excluded_checks() {
    let fault = Report { draining: false, ..fault() };
    assert!(readyz(&fault, &["database"], false).0);
    assert_golden("excluded.readyz", &readyz(&fault, &["database", "dat\nabase"], false).1);
}

#[test]
fn no_control_character_reaches_a_terminal() {
    let mut report = fault();
    report.message = "a\u{1b}[31mb\r\nc\u{202e}d".to_owned();
    report.details.get_mut("database").unwrap().message = report.message.clone();
    assert_eq!(text(&report), "FAULT: ab  cd\n");
    for body in [json(&report), health_json(&report), readyz(&report, &[], true).1] {
        assert!(!body.contains(['\u{1b}', '\r', '\u{202e}']), "{body}");
    }
}

#[test]
fn a_wrong_clock_does_not_prevent_an_answer() {
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(400_000_000_000);
    for time in [SystemTime::UNIX_EPOCH, far] {
        let answer = parse(&json(&Report { time, ..ok() })).unwrap();
        assert_eq!(answer.time.len(), "2026-11-22T11:40:02Z".len());
    }
}

#[test]
fn health_json_has_only_members_of_the_draft() {
    let health: serde_json::Value = serde_json::from_str(&health_json(&fault())).unwrap();
    assert_eq!(health["status"], "fail");
    assert!(health["notes"].is_array());
    let checks = health["checks"].as_object().unwrap();
    let known = [
        "componentId",
        "componentType",
        "observedValue",
        "observedUnit",
        "status",
        "affectedEndpoints",
        "time",
        "output",
        "links",
    ];
    for (key, check) in checks {
        assert_eq!(key.matches(':').count(), 1, "{key}");
        for object in check.as_array().unwrap() {
            assert!(object.as_object().unwrap().keys().all(|member| known.contains(&member.as_str())));
        }
    }
}
