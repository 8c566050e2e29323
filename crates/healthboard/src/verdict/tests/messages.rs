//! The messages for people.

use super::*;

fn message(evidence: Evidence) -> String {
    judged(&[process(1, vec![beat(0), observed("database", evidence)])]).message
}

#[test]
fn a_message_has_the_error_the_number_of_failures_their_span_and_the_last_success() {
    for (evidence, expected) in [
        (
            Evidence { last_success_ns: ago(14), ..failing(3, 12, 2) },
            "database: OperationalError 2003, 3 failures in 10 s, last success 14 s ago",
        ),
        (failing(1, 3, 3), "database: OperationalError 2003, 1 failure 3 s ago, no success yet"),
        (Evidence { error: None, ..failing(2, 30, 3) }, "database: 2 failures in 27 s, no success yet"),
        (
            Evidence { failing_since_ns: None, ..failing(2, 30, 3) },
            "database: OperationalError 2003, 2 failures in 3 s, no success yet",
        ),
        (
            intermittent(2, 5),
            "database: OperationalError 2003, intermittent, last failure 2 s ago, last success 1 s ago",
        ),
        (passing(400), "database: no outcome for 6 min, ttl 5 min"),
        (hanging(61), "database: 1 operation in flight, none has ended for 61 s"),
        (in_flight(2, 90, 80, 70), "database: 2 operations in flight, none has ended for 70 s"),
        (in_flight(3, 90, 2, 1), "database: an operation in flight for 90 s, while others end (3 in flight)"),
        (
            Evidence { capacity: 2, refresh_ns: ago(1), ..in_flight(3, 90, 61, 1) },
            "database: all 2 places taken by 2 operations that hang, the newest for 61 s",
        ),
        (
            Evidence { capacity: 1, ..in_flight(1, 61, 61, 90) },
            "database: its only place taken by an operation that hangs for 61 s",
        ),
        (
            Evidence {
                abandoned: Some(Abandoned { since_ns: NOW - 61 * SECOND, until_ns: NOW - SECOND }),
                ..passing(90)
            },
            "database: operations abandoned, none has ended for 61 s",
        ),
    ] {
        assert_eq!(message(evidence), expected);
    }
}

#[test]
fn a_message_says_in_how_many_processes() {
    let bad = process(1, vec![observed("database", failing(3, 20, 1))]);
    let good = |pid| process(pid, vec![observed("database", passing(5))]);
    let silent = process(9, vec![]);
    let said = |processes: &[Process]| judged(processes).message;
    assert!(said(&[bad.clone(), good(2), good(3), silent.clone()]).ends_with("(in 1 of 3 processes)"));
    let idle = process(4, vec![observed("database", passing(50))]);
    assert!(
        said(&[bad.clone(), idle]).ends_with("last success 50 s ago"),
        "a process with older evidence is not counted"
    );
    assert!(said(&[bad, silent]).ends_with("no success yet"), "all that have evidence");
    let once = |pid| process(pid, vec![observed("database", failing(1, 5, 5))]);
    assert!(said(&[once(1), once(2)]).ends_with("no success yet"), "all of them");
}

#[test]
fn the_worst_comes_first_and_the_rest_is_counted() {
    let soft = |name| with_impact(Impact::Degrading, observed(name, failing(3, 20, 1)));
    let mut indicators = vec![soft("a"), soft("b"), observed("z", failing(3, 20, 1))];
    let message = judged(&[process(1, indicators.clone())]).message;
    assert!(
        message.starts_with("z: ") && message.contains("; a: ") && message.contains("; b: "),
        "{message}"
    );
    assert!(!message.contains(" more"), "{message}");
    indicators.extend([soft("c"), soft("d")]);
    let message = judged(&[process(1, indicators)]).message;
    assert!(message.starts_with("z: ") && message.ends_with("; and 2 more"), "{message}");
}

#[test]
fn spans_are_whole_units_rounded_down() {
    for (seconds, expected) in [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 d"),
    ] {
        assert_eq!(span(Duration::from_secs(seconds)), expected);
    }
    assert_eq!(span(Duration::from_millis(1999)), "1 s");
}

#[test]
fn states_have_the_same_names_in_reports_and_on_the_wire() {
    use State::*;
    for (state, name) in [
        (Unknown, "unknown"),
        (Passing, "passing"),
        (Transient, "transient"),
        (Failing, "failing"),
        (Stuck, "stuck"),
        (Stalled, "stalled"),
        (Stale, "stale"),
    ] {
        assert_eq!(state.name(), name);
        assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{name}\""));
    }
}
