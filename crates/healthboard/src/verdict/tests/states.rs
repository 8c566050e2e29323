//! The state of one indicator in one process, and its status.

use super::*;

/// Each row of the table, at its edges.
#[test]
fn every_state_has_its_edge_where_the_table_says() {
    let beside = |hang: Evidence, outcomes: Evidence| Evidence {
        in_flight: hang.in_flight,
        oldest_ns: hang.oldest_ns,
        youngest_ns: hang.youngest_ns,
        ..outcomes
    };
    for (evidence, expected) in [
        (Evidence::default(), State::Unknown),
        (passing(0), State::Passing),
        (passing(300), State::Passing),
        (passing(301), State::Stale),
        (failing(1, 0, 0), State::Transient),
        (failing(1, 200, 200), State::Transient),
        (failing(1, 300, 0), State::Transient),
        (failing(2, 9, 0), State::Transient),
        (failing(2, 10, 0), State::Failing),
        (failing(2, 109, 100), State::Transient),
        (failing(2, 110, 100), State::Failing),
        (failing(2, 310, 300), State::Failing),
        (failing(2, 311, 301), State::Stale),
        (failing(9, 5000, 1), State::Failing),
        // Failures that come and go.
        (intermittent(1, 11), State::Transient),
        (intermittent(9, 19), State::Transient),
        (intermittent(10, 20), State::Passing),
        (intermittent(1, 12), State::Passing),
        // In flight, and nothing ends.
        (hanging(60), State::Unknown),
        (hanging(61), State::Stalled),
        (beside(hanging(61), passing(61)), State::Stalled),
        (beside(hanging(61), passing(60)), State::Stuck),
        (beside(hanging(61), passing(62)), State::Stalled),
        (beside(hanging(61), passing(400)), State::Stalled),
        (beside(hanging(60), passing(400)), State::Stale),
        (beside(hanging(400), passing(1)), State::Stuck),
        // Stuck comes before transient, but failing before stuck.
        (beside(hanging(60), failing(2, 70, 60)), State::Failing),
        (beside(hanging(61), failing(2, 71, 61)), State::Stalled),
        (beside(hanging(61), failing(2, 71, 60)), State::Failing),
        (beside(hanging(61), failing(1, 1, 1)), State::Stuck),
        (beside(hanging(61), failing(2, 400, 301)), State::Stalled),
    ] {
        assert_eq!(state(&evidence, &Policy::DEFAULT, NOW), expected, "{evidence:?}");
    }
}

#[test]
fn edges_are_exact_to_the_nanosecond() {
    let at = |evidence: Evidence, now_ns| state(&evidence, &Policy::DEFAULT, now_ns);
    assert_eq!(at(passing(0), NOW + 300 * SECOND), State::Passing);
    assert_eq!(at(passing(0), NOW + 300 * SECOND + 1), State::Stale);
    assert_eq!(at(hanging(0), NOW + 60 * SECOND), State::Unknown);
    assert_eq!(at(hanging(0), NOW + 60 * SECOND + 1), State::Stalled);
    let short = Evidence { failing_since_ns: Some(NOW - 10 * SECOND + 1), ..failing(2, 10, 0) };
    assert_eq!(at(short, NOW), State::Transient);
}

#[test]
fn two_failures_a_millisecond_apart_and_then_nothing_stay_transient() {
    let evidence = Evidence { failing_since_ns: Some(NOW - SECOND / 1000), ..failing(2, 0, 0) };
    for seconds in [0, 1, 10, 11, 60, 61, 300] {
        let now_ns = NOW + seconds * SECOND;
        assert_eq!(state(&evidence, &Policy::DEFAULT, now_ns), State::Transient, "after {seconds} s");
    }
    assert_eq!(state(&evidence, &Policy::DEFAULT, NOW + 301 * SECOND), State::Stale);
}

#[test]
fn one_hanging_operation_is_seen_while_others_succeed() {
    for (hangs, expected) in
        [(2, State::Passing), (60, State::Passing), (61, State::Stuck), (4000, State::Stuck)]
    {
        let evidence = in_flight(2, hangs, 1, 2);
        assert_eq!(state(&evidence, &Policy::DEFAULT, NOW), expected, "{hangs} s");
    }
}

#[test]
fn zero_means_for_ever_never_and_at_once() {
    let p = Policy { ttl: Duration::ZERO, stall_after: Duration::ZERO, ..Policy::DEFAULT };
    assert_eq!(state(&passing(9999), &p, NOW), State::Passing);
    assert_eq!(state(&failing(2, 9999, 9000), &p, NOW), State::Failing);
    assert_eq!(state(&hanging(9999), &p, NOW), State::Unknown);
    let full = Evidence { capacity: 1, ..hanging(9999) };
    assert_eq!(state(&full, &p, NOW), State::Unknown);
    let p = Policy { failure_window: Duration::ZERO, failure_threshold: 1, ..Policy::DEFAULT };
    assert_eq!(state(&failing(1, 0, 0), &p, NOW), State::Failing);
}

#[test]
fn failures_of_unknown_begin_are_transient() {
    let torn = Evidence { failing_since_ns: None, ..failing(9, 100, 1) };
    assert_eq!(state(&torn, &Policy::DEFAULT, NOW), State::Transient);
    let torn = Evidence { last_failure_ns: None, last_success_ns: ago(1), ..failing(9, 100, 1) };
    assert_eq!(state(&torn, &Policy::DEFAULT, NOW), State::Transient);
}

#[test]
fn a_successful_refresh_hides_no_hang_and_no_failure_that_only_work_clears() {
    let refreshed = |evidence| Evidence { last_success_ns: ago(1), ..evidence };
    assert_eq!(state(&refreshed(in_flight(1, 61, 61, 70)), &Policy::DEFAULT, NOW), State::Stalled);
    assert_eq!(state(&refreshed(failing(2, 100, 50)), &Policy::DEFAULT, NOW), State::Failing);
    // Refreshes keep the failures fresh: an idle service does not improve.
    assert_eq!(state(&refreshed(failing(2, 2000, 1000)), &Policy::DEFAULT, NOW), State::Failing);
}

#[test]
fn a_refresh_that_hangs_is_seen_like_an_operation() {
    let refreshing = |seconds, end| Evidence { in_flight: 1, refresh_ns: ago(seconds), ..passing(end) };
    for (evidence, expected) in [
        (refreshing(60, 100), State::Passing),
        (refreshing(61, 100), State::Stalled),
        (refreshing(61, 61), State::Stalled),
        (refreshing(61, 60), State::Stuck),
        (
            Evidence { in_flight: 2, oldest_ns: ago(5), youngest_ns: ago(5), ..refreshing(61, 61) },
            State::Stalled,
        ),
        (
            Evidence { in_flight: 2, oldest_ns: ago(61), youngest_ns: ago(61), ..refreshing(5, 60) },
            State::Stuck,
        ),
    ] {
        assert_eq!(state(&evidence, &Policy::DEFAULT, NOW), expected, "{evidence:?}");
    }
}

/// A caller with a timeout of 8 s retries a query that hangs.
#[test]
fn timeouts_that_cut_every_hang_short_do_not_hide_it() {
    let run =
        |since, until| Some(Abandoned { since_ns: NOW - since * SECOND, until_ns: NOW - until * SECOND });
    for (evidence, expected) in [
        (Evidence { abandoned: run(60, 3), ..hanging(3) }, State::Unknown),
        (Evidence { abandoned: run(61, 3), ..hanging(3) }, State::Stalled),
        // The next attempt comes just soon enough, or too late.
        (Evidence { abandoned: run(61, 15), ..hanging(5) }, State::Stalled),
        (Evidence { abandoned: run(61, 16), ..hanging(5) }, State::Unknown),
        // Nothing is in flight, for a moment or for good.
        (Evidence { abandoned: run(61, 10), ..Evidence::default() }, State::Stalled),
        (Evidence { abandoned: run(61, 11), ..Evidence::default() }, State::Unknown),
        // The run began later than another operation that is still in flight.
        (Evidence { abandoned: run(50, 40), ..hanging(61) }, State::Stalled),
        (Evidence { abandoned: run(61, 1), ..in_flight(1, 1, 1, 60) }, State::Passing),
    ] {
        assert_eq!(state(&evidence, &Policy::DEFAULT, NOW), expected, "{evidence:?}");
    }
}

#[test]
fn a_server_is_stalled_when_hanging_operations_fill_its_capacity() {
    let server = |n, oldest, youngest, end| Evidence { capacity: 4, ..in_flight(n, oldest, youngest, end) };
    for (evidence, expected) in [
        (server(1, 6500, 6500, 6500), State::Stale),
        (server(1, 65, 65, 65), State::Passing),
        (server(3, 200, 100, 100), State::Passing),
        (server(4, 200, 60, 60), State::Passing),
        (server(4, 200, 61, 61), State::Stalled),
        (server(5, 200, 61, 61), State::Stalled),
        // An operation that ended meanwhile was beyond the capacity.
        (server(4, 200, 61, 1), State::Stalled),
        // A refresh takes no capacity.
        (Evidence { refresh_ns: ago(1), ..server(4, 200, 61, 61) }, State::Passing),
        (Evidence { refresh_ns: ago(1), ..server(5, 200, 61, 61) }, State::Stalled),
        (Evidence { refresh_ns: ago(100), in_flight: 1, capacity: 4, ..passing(70) }, State::Passing),
        (Evidence { capacity: 1, ..hanging(61) }, State::Stalled),
        (Evidence { capacity: 1, ..hanging(60) }, State::Unknown),
    ] {
        assert_eq!(state(&evidence, &Policy::DEFAULT, NOW), expected, "{evidence:?}");
    }
}

#[test]
fn a_capacity_beyond_the_known_ages_is_stalled_only_if_nothing_ends() {
    let server = |capacity, end| Evidence { capacity, ..in_flight(capacity, 200, 61, end) };
    assert_eq!(state(&server(32, 1), &Policy::DEFAULT, NOW), State::Stalled);
    assert_eq!(state(&server(33, 60), &Policy::DEFAULT, NOW), State::Passing);
    assert_eq!(state(&server(33, 61), &Policy::DEFAULT, NOW), State::Stalled);
}

#[test]
fn operations_of_unknown_age_count_from_the_newest_end_but_not_from_before_the_first_of_them() {
    let beyond = |since, evidence| Evidence { in_flight: 3, beyond_ns: ago(since), ..evidence };
    let found = |evidence| state(&evidence, &Policy::DEFAULT, NOW);
    assert_eq!(found(beyond(70, passing(60))), State::Passing);
    assert_eq!(found(beyond(70, passing(61))), State::Stalled);
    assert_eq!(found(beyond(60, passing(200))), State::Passing);
    assert_eq!(found(beyond(61, passing(200))), State::Stalled);
    assert_eq!(found(beyond(60, Evidence::default())), State::Unknown);
    assert_eq!(found(beyond(61, Evidence::default())), State::Stalled);
}

#[test]
fn the_table_of_states_and_impacts() {
    use {Impact::*, State::*};
    for (state, critical, degrading) in [
        (Unknown, Status::Ok, Status::Ok),
        (Passing, Status::Ok, Status::Ok),
        (Transient, Status::Degraded, Status::Degraded),
        (Failing, Status::Fault, Status::Degraded),
        (Stuck, Status::Degraded, Status::Degraded),
        (Stalled, Status::Fault, Status::Degraded),
        (Stale, Status::Degraded, Status::Degraded),
    ] {
        assert_eq!(status(state, Critical, false), critical, "{state:?}");
        assert_eq!(status(state, Degrading, false), degrading, "{state:?}");
        assert_eq!(status(state, Informational, false), Status::Ok, "{state:?}");
    }
    assert_eq!(status(Stalled, Critical, true), Status::Fault);
    assert_eq!(status(Stalled, Degrading, true), Status::Fault);
    assert_eq!(status(Stalled, Informational, true), Status::Ok);
}

#[test]
fn ages_count_from_the_end_of_a_pause_of_the_host() {
    let hour = 3600;
    let resumed = |seconds: u64| Moment { now_ns: NOW, resumed_ns: NOW - seconds * SECOND };
    for (evidence, seconds, expected) in [
        (passing(hour), 0, State::Passing),
        (passing(hour), 300, State::Passing),
        (passing(hour), 301, State::Stale),
        (passing(1), 300, State::Passing),
        (passing(301), hour, State::Stale),
        (hanging(hour), 60, State::Unknown),
        (hanging(hour), 61, State::Stalled),
        (hanging(61), hour, State::Stalled),
        (in_flight(1, hour, hour, 5), 60, State::Passing),
        (in_flight(1, hour, hour, 5), 61, State::Stuck),
        (Evidence { capacity: 1, ..hanging(hour) }, 60, State::Unknown),
        (Evidence { capacity: 1, ..hanging(hour) }, 61, State::Stalled),
        // A state that was reached before the pause stays.
        (failing(2, 2 * hour, hour), 1, State::Failing),
        (failing(2, hour, hour), 1, State::Transient),
    ] {
        let found = state(&evidence, &Policy::DEFAULT, resumed(seconds));
        assert_eq!(found, expected, "{evidence:?}, {seconds} s after it");
    }
}

#[test]
fn a_time_in_the_future_counts_as_now() {
    let later = |evidence: Evidence| state(&evidence, &Policy::DEFAULT, 5_u64);
    assert_eq!(later(passing(0)), State::Passing);
    assert_eq!(later(hanging(0)), State::Unknown);
    assert_eq!(later(failing(2, 20, 0)), State::Failing);
    assert_eq!(later(failing(2, 0, 20)), State::Transient, "the newest before the first");
}
