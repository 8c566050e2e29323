use super::*;
use crate::Failure;
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 10_000 * SECOND;

fn ago(seconds: u64) -> Option<u64> {
    Some(NOW - seconds * SECOND)
}

fn passing(seconds: u64) -> Evidence {
    Evidence { last_success_ns: ago(seconds), ..Evidence::default() }
}

fn failing(times: u32, since: u64, newest: u64) -> Evidence {
    Evidence {
        last_failure_ns: ago(newest),
        failures: times,
        failing_since_ns: ago(since),
        error: Failure { class: "OperationalError".into(), code: "2003".into(), text: String::new() },
        ..Evidence::default()
    }
}

fn waiting(seconds: u64) -> Evidence {
    Evidence { in_flight: 1, waiting_since_ns: ago(seconds), ..Evidence::default() }
}

fn observed(name: &str, evidence: Evidence) -> Observed {
    Observed { name: name.to_owned(), policy: Policy::DEFAULT, evidence }
}

fn beat(seconds: u64) -> Observed {
    let policy = Policy { ttl: Duration::from_secs(10), ..Policy::DEFAULT };
    Observed { name: PROGRESS.to_owned(), policy, evidence: passing(seconds) }
}

fn process(pid: u32, indicators: Vec<Observed>) -> Process {
    let (started_ns, ttl_ns) = (NOW - 5000 * SECOND, 300 * SECOND);
    Process {
        pid,
        parent: 0,
        watches: false,
        life: Life::Alive,
        started_ns,
        ttl_ns,
        exhausted: 0,
        indicators,
    }
}

fn judged(processes: &[Process]) -> Report {
    judge("nova-conductor", processes, NOW, SystemTime::UNIX_EPOCH)
}

#[test]
fn every_state_has_its_edge_where_the_table_says() {
    let p = Policy::DEFAULT;
    let mix = |a: Evidence, b: Evidence| Evidence {
        in_flight: a.in_flight,
        waiting_since_ns: a.waiting_since_ns,
        ..b
    };
    let nanos = |evidence: Evidence, now| state(&evidence, &p, now);
    for (evidence, expected) in [
        (Evidence::default(), State::Unknown),
        (passing(0), State::Passing),
        (passing(300), State::Passing),
        (passing(301), State::Stale),
        (failing(1, 0, 0), State::Transient),
        (failing(1, 200, 200), State::Transient),
        (failing(2, 9, 0), State::Transient),
        (failing(2, 10, 0), State::Failing),
        (failing(2, 300, 300), State::Failing),
        (failing(2, 301, 301), State::Stale),
        (failing(9, 5000, 1), State::Failing),
        (waiting(60), State::Unknown),
        (waiting(61), State::Stalled),
        (mix(waiting(61), passing(61)), State::Stalled),
        (mix(waiting(60), failing(2, 70, 60)), State::Failing),
    ] {
        assert_eq!(state(&evidence, &p, NOW), expected, "{evidence:?}");
    }
    assert_eq!(nanos(passing(0), NOW + 300 * SECOND), State::Passing);
    assert_eq!(nanos(passing(0), NOW + 300 * SECOND + 1), State::Stale);
    assert_eq!(nanos(failing(2, 0, 0), NOW + 10 * SECOND - 1), State::Transient);
    assert_eq!(nanos(waiting(0), NOW + 60 * SECOND + 1), State::Stalled);
}

#[test]
fn a_ttl_of_zero_is_for_ever_and_a_stall_of_zero_is_never() {
    let p = Policy { ttl: Duration::ZERO, stall_after: Duration::ZERO, ..Policy::DEFAULT };
    assert_eq!(state(&passing(9999), &p, NOW), State::Passing);
    assert_eq!(state(&failing(2, 9999, 9999), &p, NOW), State::Failing);
    assert_eq!(state(&waiting(9999), &p, NOW), State::Unknown);
}

#[test]
fn failures_of_which_nobody_knows_since_when_are_transient() {
    let torn = Evidence { failing_since_ns: None, ..failing(9, 100, 1) };
    assert_eq!(state(&torn, &Policy::DEFAULT, NOW), State::Transient);
}

#[test]
fn the_table_of_states_and_impacts() {
    use {Impact::*, State::*};
    for (state, critical, degrading) in [
        (Unknown, Status::Ok, Status::Ok),
        (Passing, Status::Ok, Status::Ok),
        (Transient, Status::Degraded, Status::Degraded),
        (Failing, Status::Fault, Status::Degraded),
        (Stalled, Status::Fault, Status::Degraded),
        (Stale, Status::Degraded, Status::Degraded),
    ] {
        assert_eq!(status(state, Critical), critical, "{state:?}");
        assert_eq!(status(state, Degrading), degrading, "{state:?}");
        assert_eq!(status(state, Informational), Status::Ok, "{state:?}");
    }
}

#[test]
fn starting_is_not_a_fault() {
    assert_eq!(judged(&[]).status, Status::Ok);
    assert_eq!(judged(&[process(1, vec![])]).status, Status::Ok);
}

#[test]
fn a_message_says_what_how_often_since_when_and_what_was_last_good() {
    let evidence = Evidence { last_success_ns: ago(14), ..failing(3, 12, 2) };
    let report = judged(&[process(1, vec![beat(0), observed("database", evidence)])]);
    assert_eq!(report.status, Status::Fault);
    assert_eq!(report.message, "database: OperationalError 2003, 3 failures in 12 s, last success 14 s ago");
}

#[test]
fn one_of_two_failing_processes_is_degraded_and_both_are_a_fault() {
    let bad = || process(1, vec![observed("database", failing(3, 20, 1))]);
    let good = process(2, vec![observed("database", passing(5))]);
    let report = judged(&[bad(), good]);
    assert_eq!(report.status, Status::Degraded);
    assert!(
        report.message.ends_with("no success yet (in 1 of 2 processes)")
            || report.message.contains("5 s ago (in 1 of 2")
    );
    assert_eq!(judged(&[bad(), bad()]).status, Status::Fault);
}

#[test]
fn a_master_that_asked_once_before_has_no_say() {
    let worker = process(2, vec![observed("database", failing(3, 20, 1))]);
    let master = |seconds| process(1, vec![observed("database", passing(seconds))]);
    assert_eq!(judged(&[master(21), worker.clone()]).status, Status::Fault);
    // Evidence of the very moment the failing began counts.
    assert_eq!(judged(&[master(20), worker.clone()]).status, Status::Degraded);
    // Nor does it make a service stale whose workers do ask.
    let worker = process(2, vec![observed("database", passing(1))]);
    assert_eq!(judged(&[master(4000), worker]).status, Status::Ok);
    assert_eq!(judged(&[master(4000)]).status, Status::Degraded);
}

#[test]
fn a_process_that_does_not_progress_is_hung_after_its_limit() {
    let fresh = process(1, vec![beat(10), observed("database", passing(1))]);
    let hung = process(2, vec![beat(11), observed("database", passing(11))]);
    assert_eq!(judged(std::slice::from_ref(&fresh)).status, Status::Ok);
    let report = judged(std::slice::from_ref(&hung));
    assert_eq!((report.status, report.message.as_str()), (Status::Fault, "not progressing for 11 s"));
    let report = judged(&[fresh, hung.clone()]);
    assert_eq!(
        (report.status, report.message.as_str()),
        (Status::Degraded, "process 2 not progressing for 11 s")
    );
    assert_eq!((report.processes.alive, report.processes.hung), (2, 1));
    assert_eq!(judged(&[hung.clone(), hung]).status, Status::Fault);
}

#[test]
fn a_hung_process_has_no_say_while_another_one_progresses() {
    let hung = process(1, vec![beat(50), observed("database", passing(15))]);
    let bad = process(2, vec![beat(0), observed("database", failing(3, 20, 1))]);
    assert_eq!(judged(&[hung, bad]).status, Status::Fault);
}

#[test]
fn a_death_without_goodbye_counts_for_one_ttl() {
    let dead = |seconds| Process { life: Life::Dead, ..process(7, vec![beat(seconds)]) };
    let alive = process(1, vec![beat(0)]);
    let report = judged(&[alive.clone(), dead(300)]);
    assert_eq!(report.status, Status::Degraded);
    assert_eq!(report.message, "process 7 died 5 min ago without saying goodbye");
    assert_eq!(judged(&[alive, dead(301)]).status, Status::Ok);
    let report = judged(&[dead(1)]);
    assert_eq!(report.status, Status::Fault);
    assert!(report.message.starts_with("no process is alive"));
}

#[test]
fn half_the_workers_dead_is_degraded_and_all_of_them_a_fault() {
    let dead = |pid| Process { life: Life::Dead, ..process(pid, vec![beat(2)]) };
    let report = judged(&[process(1, vec![beat(0)]), process(2, vec![beat(0)]), dead(3), dead(4)]);
    assert_eq!((report.status, report.processes.dead), (Status::Degraded, 2));
    assert_eq!(judged(&[dead(1), dead(2)]).status, Status::Fault);
}

#[test]
fn workers_that_die_of_a_failure_as_soon_as_they_start_make_a_fault_of_it() {
    let dead = |pid, seconds| Process {
        life: Life::Dead,
        ..process(pid, vec![observed("database", failing(1, seconds, seconds))])
    };
    // The master asked once, when all was well.
    let master = process(1, vec![beat(0), observed("database", passing(40))]);
    let report = judged(&[master.clone(), dead(2, 9), dead(3, 2)]);
    assert_eq!(report.status, Status::Degraded);
    let report = judged(&[master.clone(), dead(2, 30), dead(3, 20), dead(4, 2)]);
    assert_eq!(report.status, Status::Fault);
    assert_eq!(
        report.message,
        "database: OperationalError 2003, 3 failures in 30 s, last success 40 s ago; \
         process 4 died 2 s ago without saying goodbye, and 2 before it"
    );
    // One that lives and succeeds knows better.
    let worker = process(5, vec![beat(0), observed("database", passing(1))]);
    let report = judged(&[master, worker, dead(2, 30), dead(3, 20), dead(4, 2)]);
    assert_eq!(report.status, Status::Degraded);
    assert!(report.message.starts_with("process 4 died"), "{}", report.message);
}

#[test]
fn draining_is_when_every_living_process_says_so() {
    let going = |pid| Process { life: Life::Draining, ..process(pid, vec![]) };
    assert!(judged(&[going(1), going(2)]).draining);
    assert!(!judged(&[going(1), process(2, vec![])]).draining);
    assert!(!judged(&[]).draining);
}

#[test]
fn the_worst_comes_first_and_the_rest_is_counted() {
    let soft = |name| Observed {
        policy: Policy { impact: Impact::Degrading, ..Policy::DEFAULT },
        ..observed(name, failing(3, 20, 1))
    };
    let indicators = vec![soft("a"), soft("b"), soft("c"), observed("z", failing(3, 20, 1))];
    let report = judged(&[process(1, indicators)]);
    assert!(report.message.starts_with("z: "), "{}", report.message);
    assert!(report.message.ends_with("; and 1 more"), "{}", report.message);
}

fn any_evidence() -> impl Strategy<Value = Evidence> {
    let time = || proptest::option::of(0..2 * NOW);
    (time(), time(), 0..5_u32, time(), 0..3_u32, time()).prop_map(
        |(success, failure, n, since, flying, waiting)| Evidence {
            last_success_ns: success,
            last_failure_ns: failure,
            failures: n,
            failing_since_ns: since,
            in_flight: flying,
            waiting_since_ns: waiting,
            error: Failure::default(),
        },
    )
}

fn any_process() -> impl Strategy<Value = Process> {
    let impact = prop_oneof![Just(Impact::Critical), Just(Impact::Degrading), Just(Impact::Informational)];
    let name = prop_oneof![Just("database"), Just("message_bus"), Just(PROGRESS)];
    let observed = (name, impact, any_evidence()).prop_map(|(name, impact, evidence)| Observed {
        name: name.to_owned(),
        policy: Policy { impact, ..Policy::DEFAULT },
        evidence,
    });
    let life = prop_oneof![Just(Life::Alive), Just(Life::Draining), Just(Life::Dead)];
    (0..9_u32, life, proptest::collection::vec(observed, 0..4))
        .prop_map(|(pid, life, indicators)| Process { life, ..process(pid, indicators) })
}

proptest! {
    #[test]
    fn any_boards_at_any_time_get_a_verdict(processes in proptest::collection::vec(any_process(), 0..5), now in 0..u64::MAX) {
        let report = judge("s", &processes, now, SystemTime::UNIX_EPOCH);
        prop_assert_eq!(report.status == Status::Ok, report.message.is_empty(), "{:?}", report);
        let worst = report.details.values().map(|d| d.status).max().unwrap_or(Status::Ok);
        prop_assert!(report.status >= worst);
    }

    #[test]
    fn the_wall_clock_has_no_say(processes in proptest::collection::vec(any_process(), 0..5), seconds in any::<u32>()) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into());
        prop_assert_eq!(judge("s", &processes, NOW, time), Report { time, ..judge("s", &processes, NOW, SystemTime::UNIX_EPOCH) });
    }

    #[test]
    fn the_order_of_the_processes_does_not_matter(mut processes in proptest::collection::vec(any_process(), 0..5)) {
        let there = judged(&processes).status;
        processes.reverse();
        prop_assert_eq!(there, judged(&processes).status);
    }

    #[test]
    fn silence_alone_never_makes_a_fault(seconds in 0..100_000_u64) {
        let idle = process(1, vec![observed("database", passing(0))]);
        let report = judge("s", &[idle], NOW + seconds * SECOND, SystemTime::UNIX_EPOCH);
        prop_assert!(report.status < Status::Fault);
    }

    #[test]
    fn informational_indicators_are_never_in_the_verdict(evidence in any_evidence()) {
        let policy = Policy { impact: Impact::Informational, ..Policy::DEFAULT };
        let image = Observed { name: "image".to_owned(), policy, evidence };
        prop_assert_eq!(judged(&[process(1, vec![image])]).status, Status::Ok);
    }
}

#[test]
fn workers_that_all_hang_are_a_fault_however_lively_their_master() {
    let worker = |pid, seconds| Process { parent: 1, ..process(pid, vec![beat(seconds)]) };
    let master = || process(1, vec![beat(0)]);
    let one = judged(&[master(), worker(2, 99), worker(3, 0)]);
    assert_eq!((one.status, one.processes.hung), (Status::Degraded, 1));
    let all = judged(&[master(), worker(2, 99), worker(3, 99)]);
    assert_eq!((all.status, all.processes.hung), (Status::Fault, 2));
    assert_eq!(all.details[PROGRESS].status, Status::Fault);
    let master_hangs = judged(&[process(1, vec![beat(99)]), worker(2, 0)]);
    assert_eq!(master_hangs.status, Status::Degraded);
    let dead = Process { life: Life::Dead, ..worker(2, 1) };
    assert_eq!(judged(&[master(), dead]).status, Status::Degraded, "a master without workers works itself");
}

#[test]
fn a_child_that_hangs_is_no_fault_of_a_parent_that_works() {
    let child = |seconds| {
        let started_ns = NOW - seconds * SECOND;
        Process { parent: 1, started_ns, ..process(2, vec![beat(99)]) }
    };
    let parent = |seconds| process(1, vec![beat(0), observed("work", passing(seconds))]);
    assert_eq!(judged(&[parent(1), child(100)]).status, Status::Degraded);
    assert_eq!(judged(&[parent(100), child(100)]).status, Status::Fault, "it has only prepared the child");
    assert_eq!(judged(&[parent(301), child(400)]).status, Status::Fault, "it does nothing any more");
}

#[test]
fn what_a_master_has_recorded_may_grow_old() {
    let master = |watches, evidence| Process {
        watches,
        ..process(1, vec![beat(0), observed("api_database", evidence)])
    };
    let worker = || Process { parent: 1, ..process(2, vec![beat(0)]) };
    assert_eq!(judged(&[master(false, passing(301))]).status, Status::Degraded);
    assert_eq!(judged(&[master(false, passing(301)), worker()]).status, Status::Ok);
    // Between two generations of workers.
    assert_eq!(judged(&[master(true, passing(301))]).status, Status::Ok);
    assert_eq!(judged(&[master(true, failing(2, 20, 1))]).status, Status::Fault, "before it has any");
}

#[test]
fn after_a_pause_of_the_host_silence_begins_anew() {
    let hour = 3600;
    let resumed = |seconds: u64| Moment { now_ns: NOW, resumed_ns: NOW - seconds * SECOND };
    let p = Policy::DEFAULT;
    for (evidence, seconds, expected) in [
        (passing(hour), 0, State::Passing),
        (passing(hour), 300, State::Passing),
        (passing(hour), 301, State::Stale),
        (passing(1), 300, State::Passing),
        (waiting(hour), 60, State::Unknown),
        (waiting(hour), 61, State::Stalled),
        (failing(2, hour, hour), 1, State::Failing),
    ] {
        assert_eq!(state(&evidence, &p, resumed(seconds)), expected, "{evidence:?}, {seconds} s after it");
    }
    let report = |seconds| {
        let hung = process(1, vec![beat(hour)]);
        judge("s", &[hung], resumed(seconds), SystemTime::UNIX_EPOCH)
    };
    assert_eq!(report(10).status, Status::Ok);
    assert_eq!((report(11).status, &*report(11).message), (Status::Fault, "not progressing for 11 s"));
}
