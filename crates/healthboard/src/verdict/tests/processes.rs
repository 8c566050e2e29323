//! Processes that watch, hang, die and stop.

use super::*;
use crate::stacks::{Frame, Role, Stacks};
use std::sync::Arc;

#[test]
fn a_process_that_does_not_progress_is_hung_after_its_limit() {
    let fresh = process(1, vec![beat(10), observed("database", passing(1))]);
    let hung = process(2, vec![beat(11), observed("database", passing(11))]);
    let report = judged(std::slice::from_ref(&fresh));
    assert_eq!(report.status, Status::Ok);
    assert_eq!(
        (report.details[PROGRESS].status, report.details[PROGRESS].state),
        (Status::Ok, State::Passing)
    );
    assert_eq!(said(std::slice::from_ref(&hung)), (Status::Fault, "not progressing for 11 s".to_owned()));
    let report = judged(&[fresh, hung.clone()]);
    let expected = "process 2 not progressing for 11 s";
    assert_eq!((report.status, report.message.as_str()), (Status::Degraded, expected));
    assert_eq!((report.processes.alive, report.processes.hung), (2, 1));
    let progress = &report.details[PROGRESS];
    assert_eq!((progress.status, progress.state, &*progress.message), (Status::Degraded, State::Stale, ""));
    assert_eq!(judged(&[hung.clone(), hung]).status, Status::Fault);
}

#[test]
fn a_process_that_never_recorded_progress_is_not_hung() {
    let silent = Observed { evidence: Evidence::default(), ..beat(0) };
    assert_eq!(judged(&[process(1, vec![silent])]).processes.hung, 0);
    assert_eq!(said(&[process(1, vec![]), process(2, vec![beat(99)])]).0, Status::Degraded);
}

#[test]
fn a_hung_process_does_not_count_while_another_one_works() {
    let hung = process(1, vec![beat(50), observed("database", passing(15))]);
    let bad = process(2, vec![beat(0), observed("database", failing(3, 20, 1))]);
    assert_eq!(judged(&[hung.clone(), bad]).status, Status::Fault);
    // If none progresses all count.
    let stuck = process(2, vec![beat(50), observed("database", hanging(70))]);
    let report = judged(&[hung, stuck]);
    assert_eq!(report.details["database"].state, State::Stalled);
}

#[test]
fn workers_that_all_hang_are_a_fault_while_their_master_progresses() {
    let master = process(1, vec![beat(0)]);
    let worker = |pid, seconds| child(&master, pid, vec![beat(seconds), observed("database", hanging(70))]);
    let one = judged(&[master.clone(), worker(2, 99), worker(3, 0)]);
    assert_eq!(one.processes.hung, 1);
    assert_eq!(one.details[PROGRESS].status, Status::Degraded);
    let all = judged(&[master.clone(), worker(2, 99), worker(3, 99)]);
    assert_eq!((all.status, all.processes.hung), (Status::Fault, 2));
    assert_eq!(all.details[PROGRESS].status, Status::Fault);
    assert_eq!(all.details["database"].state, State::Stalled, "the reason they hang for is shown");
    let master_hangs = process(1, vec![beat(99)]);
    assert_eq!(judged(&[master_hangs, child(&master, 2, vec![beat(0)])]).status, Status::Degraded);
}

#[test]
fn masters_without_workers_are_a_fault_only_if_all_hang() {
    let master = |pid, seconds| Process { watches: true, ..process(pid, vec![beat(seconds)]) };
    assert_eq!(judged(&[master(1, 99), master(2, 0)]).status, Status::Degraded);
    assert_eq!(judged(&[master(1, 99), master(2, 99)]).status, Status::Fault);
    assert_eq!(judged(&[master(1, 99), master(2, 99), process(3, vec![])]).status, Status::Degraded);
}

#[test]
fn a_master_is_known_by_the_board_that_a_living_child_names_and_not_by_a_pid() {
    let parent = process(1, vec![beat(0)]);
    let hung = |pid| process(pid, vec![beat(99)]);
    let killed = Process { life: Life::Dead, ..child(&parent, 2, vec![beat(1)]) };
    assert_eq!(judged(&[parent.clone(), killed.clone(), hung(3)]).status, Status::Degraded);
    // If the child were alive, the parent would be a master, and all workers would hang.
    let living = Process { life: Life::Alive, indicators: vec![beat(99)], ..killed };
    assert_eq!(judged(&[parent.clone(), living, hung(3)]).status, Status::Fault);
    // A child of another process that had the same pid.
    let other = Process { id: 99, ..parent.clone() };
    assert_eq!(judged(&[parent, child(&other, 2, vec![beat(99)])]).status, Status::Degraded);
}

#[test]
fn a_hung_child_of_a_parent_that_works_is_no_fault() {
    let parent = |seconds| process(1, vec![beat(0), observed("work", passing(seconds))]);
    let forked =
        |seconds| Process { started_ns: NOW - seconds * SECOND, ..child(&parent(0), 2, vec![beat(99)]) };
    assert_eq!(judged(&[parent(1), forked(100)]).status, Status::Degraded);
    assert_eq!(judged(&[parent(99), forked(100)]).status, Status::Degraded);
    assert_eq!(judged(&[parent(100), forked(100)]).status, Status::Fault, "it has only prepared the child");
    assert_eq!(judged(&[parent(301), forked(400)]).status, Status::Fault, "it does nothing any more");
    // Of several children the oldest counts: the parent has worked since that one started.
    let young = Process { id: 5, ..forked(10) };
    assert_eq!(judged(&[parent(50), forked(100), young]).status, Status::Degraded);
}

#[test]
fn the_evidence_of_a_master_may_become_stale() {
    let master = |watches, evidence| Process {
        watches,
        ..process(1, vec![beat(0), observed("api_database", evidence)])
    };
    let worker = || child(&master(false, passing(0)), 2, vec![beat(0)]);
    assert_eq!(judged(&[master(false, passing(301))]).status, Status::Degraded);
    assert_eq!(judged(&[master(false, passing(301)), worker()]).status, Status::Ok);
    // Between two generations of workers.
    assert_eq!(judged(&[master(true, passing(301))]).status, Status::Ok);
    assert_eq!(judged(&[master(true, failing(2, 20, 1))]).status, Status::Fault, "before it has any");
}

#[test]
fn a_death_without_goodbye_counts_for_one_ttl() {
    let alive = process(1, vec![beat(0)]);
    let report = judged(&[alive.clone(), dead(7, 300, vec![])]);
    assert_eq!(report.status, Status::Degraded);
    assert_eq!(report.message, "process 7 died 5 min ago without saying goodbye");
    assert_eq!(report.processes.dead, 1);
    let report = judged(&[alive.clone(), dead(7, 301, vec![])]);
    assert_eq!((report.status, report.processes.dead), (Status::Ok, 0));
    assert_eq!(judged(&[alive, gone(7, 1)]).status, Status::Ok);
}

#[test]
fn a_death_is_dated_by_the_newest_sign_of_life() {
    let alive = process(1, vec![beat(0)]);
    let told = |process: Process| judged(&[alive.clone(), process]).message;
    let just_started = Process { started_ns: NOW - 5 * SECOND, ..dead(7, 400, vec![]) };
    assert!(told(just_started).contains("died 5 s ago"));
    assert!(told(dead(7, 400, vec![beat(6)])).contains("died 6 s ago"));
    assert!(told(dead(7, 9, vec![beat(400)])).contains("died 9 s ago"));
}

#[test]
fn a_service_without_a_living_process_is_a_fault_for_any_length_of_time() {
    for seconds in [1, 300, 301, 4000] {
        let report = judged(&[dead(7, seconds, vec![beat(seconds)])]);
        assert_eq!(report.status, Status::Fault, "{seconds} s");
        assert!(report.message.starts_with("no process is alive; process 7 died "), "{}", report.message);
        assert!(!report.stopped);
    }
    let report = judged(&[dead(7, 4000, vec![]), dead(8, 3000, vec![])]);
    assert!(report.message.ends_with("process 8 died 50 min ago without saying goodbye, and 1 before it"));
    assert_eq!(report.processes.dead, 2);
}

#[test]
fn the_service_has_stopped_if_its_last_process_said_goodbye() {
    let stopped = |processes: &[Process]| {
        let report = judged(processes);
        assert_eq!(report.stopped, report.status == Status::Ok, "{report:?}");
        report.stopped
    };
    assert!(stopped(&[gone(1, 5)]));
    assert!(stopped(&[gone(1, 5), dead(2, 10, vec![])]));
    assert!(stopped(&[gone(1, 5), dead(2, 5, vec![])]));
    assert!(!stopped(&[gone(1, 5), dead(2, 4, vec![])]));
    assert!(!stopped(&[gone(1, 50), gone(3, 2), dead(2, 1, vec![])]));
    assert!(stopped(&[gone(1, 50), gone(3, 1), dead(2, 2, vec![])]));
    let unsaid = Process { goodbye_ns: 0, ..gone(1, 5) };
    assert!(stopped(&[unsaid.clone(), dead(2, 5000, vec![])]), "if the time is not known, its start counts");
    assert!(!stopped(&[unsaid, dead(2, 10, vec![])]));
    let report = judged(&[gone(1, 5), process(2, vec![])]);
    assert!(!report.stopped, "a process is alive");
    assert_eq!(judged(&[gone(1, 5), dead(2, 10, vec![])]).processes.dead, 0);
}

#[test]
fn half_the_workers_dead_is_degraded_and_all_of_them_a_fault() {
    let killed = |pid| dead(pid, 2, vec![beat(2)]);
    let report = judged(&[process(1, vec![beat(0)]), process(2, vec![beat(0)]), killed(3), killed(4)]);
    assert_eq!((report.status, report.processes.dead), (Status::Degraded, 2));
    assert_eq!(judged(&[killed(1), killed(2)]).status, Status::Fault);
}

#[test]
fn workers_that_die_again_and_again_are_a_fault() {
    let since = |process: Process, seconds| Process { started_ns: NOW - seconds * SECOND, ..process };
    let master = Process { watches: true, ..process(1, vec![beat(0)]) };
    let worker = |seconds| since(child(&master, 2, vec![beat(0)]), seconds);
    // Each has lived for two seconds.
    let died = |pid, seconds| since(dead(pid, seconds, vec![]), seconds + 2);
    let said = |living: &[Process], dead: &[Process]| said(&[living, dead].concat());
    let fault = (
        Status::Fault,
        "no worker stays alive; process 3 died 1 s ago without saying goodbye, and 2 before it".to_owned(),
    );
    let deaths = [died(3, 1), died(4, 5), died(5, 10)];
    assert_eq!(said(std::slice::from_ref(&master), &deaths), fault);
    assert_eq!(said(&[master.clone(), worker(1)], &deaths), fault);
    assert_eq!(said(&[worker(1)], &deaths), fault, "restarted by a service manager");
    assert_eq!(said(&[master.clone(), worker(10)], &deaths).0, Status::Degraded, "this one stays");
    assert_eq!(said(&[master.clone(), worker(1)], &[died(3, 1), died(5, 9)]).0, Status::Degraded, "too soon");
    // It began with the death of a worker that had lived for long.
    let killed = Process { parent_id: master.id, ..dead(6, 10, vec![]) };
    let before = std::slice::from_ref(&master);
    assert_eq!(said(before, &[dead(6, 10, vec![])]).0, Status::Degraded, "of the service before its restart");
    assert_eq!(
        said(std::slice::from_ref(&master), std::slice::from_ref(&killed)).0,
        Status::Fault,
        "not replaced"
    );
    assert_eq!(
        said(&[master.clone(), worker(9)], std::slice::from_ref(&killed)).0,
        Status::Degraded,
        "replaced"
    );
    let again = [died(3, 1), died(4, 4), killed];
    assert_eq!(said(&[master.clone(), worker(1)], &again).0, Status::Fault);
    // Restarted in good order, long after that: the workers that have settled in between have left no board.
    let earlier = [died(3, 31), died(4, 40)];
    assert_eq!(said(&[master.clone(), worker(1)], &earlier).0, Status::Degraded);
    let ended = Process { parent_id: 77, ..gone(8, 1) };
    assert_eq!(
        said(&[master.clone(), ended], &earlier).0,
        Status::Degraded,
        "between two generations of workers"
    );
    // What was before that does not count.
    let long_ago = [died(3, 1), died(4, 4), dead(6, 6, vec![]), died(7, 100)];
    assert_eq!(said(&[master.clone(), worker(1)], &long_ago).0, Status::Degraded);
}

#[test]
fn failures_of_dead_processes_are_never_a_fault() {
    let killed = |pid, seconds, times| {
        dead(pid, seconds, vec![observed("database", failing(times, seconds + 20, seconds))])
    };
    let alive = process(1, vec![beat(0)]);
    let report = judged(&[alive.clone(), killed(2, 30, 1), killed(3, 2, 1)]);
    assert_eq!(report.status, Status::Degraded);
    let database = &report.details["database"];
    assert_eq!((database.status, database.state), (Status::Degraded, State::Transient));
    assert_eq!(judged(&[alive, killed(2, 30, 9), killed(3, 2, 9)]).status, Status::Degraded);
}

#[test]
fn newer_evidence_of_a_living_process_replaces_that_of_the_dead() {
    let killed = dead(2, 2, vec![observed("database", failing(1, 3, 3))]);
    let alive = |seconds| process(1, vec![observed("database", passing(seconds))]);
    assert_eq!(judged(&[alive(4), killed.clone()]).details["database"].state, State::Transient);
    assert_eq!(judged(&[alive(3), killed.clone()]).details["database"].state, State::Passing);
    let beside = process(7, vec![observed("database", passing(5))]);
    let message = judged(&[alive(4), beside, killed.clone()]).message;
    assert!(message.contains("(in 1 of 3 processes)"), "{message}");
    // The other evidence of dead processes does not count.
    let quiet = dead(3, 2, vec![observed("bus", passing(3)), observed("cache", hanging(70)), beat(99)]);
    let report = judged(&[alive(1), killed, quiet]);
    assert_eq!(report.details.keys().collect::<Vec<_>>(), ["database"]);
    assert!(report.message.starts_with("process 2 died 2 s ago"), "{}", report.message);
}

#[test]
fn a_service_is_draining_when_every_living_process_that_works_is() {
    let going = |pid| Process { life: Life::Draining, ..process(pid, vec![]) };
    assert!(judged(&[going(1), going(2), dead(3, 1, vec![])]).draining);
    assert!(!judged(&[going(1), process(2, vec![])]).draining);
    // uWSGI's master runs nothing that could say that it drains.
    let master = Process { watches: true, ..process(3, vec![]) };
    assert!(judged(&[master.clone(), going(1), going(2)]).draining);
    assert!(!judged(&[master.clone(), going(1), process(2, vec![])]).draining);
    assert!(!judged(std::slice::from_ref(&master)).draining);
    // A master whose workers have ended while they were draining, for a while.
    let worker = |ago| Process { parent_id: 77, ..gone(3, ago) };
    assert!(judged(&[master.clone(), worker(10)]).draining);
    assert!(!judged(&[master.clone(), worker(11)]).draining);
    assert!(!judged(&[master.clone(), worker(1), process(2, vec![])]).draining);
    assert!(!judged(&[process(2, vec![]), worker(1)]).draining);
    assert!(!judged(&[worker(1)]).draining);
    assert!(!judged(&[master]).draining);
    assert!(!judged(&[]).draining);
    assert!(!judged(&[gone(1, 1)]).draining);
}

#[test]
fn the_time_of_a_pause_of_the_host_does_not_count_as_hanging() {
    let report = |seconds| {
        let at = Moment { now_ns: NOW, resumed_ns: NOW - seconds * SECOND };
        judge("s", &[process(1, vec![beat(3600)])], at, SystemTime::UNIX_EPOCH)
    };
    assert_eq!(report(10).status, Status::Ok);
    assert_eq!((report(11).status, &*report(11).message), (Status::Fault, "not progressing for 11 s"));
}

#[test]
fn a_process_that_executes_itself_again_has_not_died() {
    let before = Process { id: 1, pid_since: 5, ..dead(7, 2, vec![]) };
    let after = |pid_since| Process { id: 2, pid_since, ..process(7, vec![beat(0)]) };
    let report = judged(&[before.clone(), after(5)]);
    assert_eq!((report.status, report.processes.dead), (Status::Ok, 0));
    // Another process with the same pid does not count.
    let report = judged(&[before, after(6)]);
    assert_eq!((report.status, report.processes.dead), (Status::Degraded, 1));
}

/// The main thread and three workers of a server, looked at so long ago.
fn stacks(seconds: u64) -> Option<Arc<Stacks>> {
    let mut stacks = Stacks::at(NOW - seconds * SECOND);
    let hangs = [Frame::new("host.py", 1234, "list_all_domains"), Frame::new("manager.py", 10843, "sync")];
    stacks.add(Role::Main, hangs.to_vec());
    for line in [7, 7, 8] {
        stacks.add(Role::Work, vec![Frame::new("socket.py", line, "read"), Frame::new("api.py", 9, "show")]);
    }
    Some(Arc::new(stacks))
}

#[test]
fn where_a_process_hangs_is_told_if_it_was_looked_at_since_it_last_progressed() {
    let hangs = |looked| Process { stacks: stacks(looked), ..process(7, vec![beat(11)]) };
    let place = "in host.py:1234 list_all_domains (called from manager.py:10843)";
    for looked in [3, 11] {
        let report = judged(&[hangs(looked)]);
        assert_eq!(report.message, format!("not progressing for 11 s, {place}"));
        assert_eq!(report.stacks.len(), 1);
    }
    let report = judged(&[hangs(12)]);
    assert_eq!((report.message.as_str(), report.stacks.len()), ("not progressing for 11 s", 0));
    let others = judged(&[hangs(3), process(8, vec![beat(1)])]);
    assert_eq!(others.message, format!("process 7 not progressing for 11 s, {place}"));
    assert_eq!(others.stacks.iter().map(|traced| traced.pid).collect::<Vec<_>>(), [7]);
    // One that progresses hangs nowhere.
    let report = judged(&[Process { stacks: stacks(3), ..process(7, vec![beat(10)]) }]);
    assert_eq!((report.message.as_str(), report.stacks.len()), ("", 0));
}

#[test]
fn where_the_workers_of_a_saturated_server_stand_is_told_if_all_of_their_operations_had_begun() {
    let saturated = Evidence { capacity: 3, ..in_flight(3, 90, 61, 95) };
    let server = |looked, evidence: &Evidence| {
        let requests = with_impact(Impact::Degrading, observed("requests", evidence.clone()));
        Process { stacks: stacks(looked), ..process(7, vec![beat(0), requests]) }
    };
    let hangs = "requests: all 3 places taken by 3 operations that hang, the newest for 61 s";
    for looked in [1, 61] {
        let report = judged(&[server(looked, &saturated)]);
        let place = "2 of 3 in socket.py:7 read (called from api.py:9)";
        assert_eq!((report.status, report.message), (Status::Fault, format!("{hangs}, {place}")));
        assert_eq!(report.stacks.len(), 1);
    }
    let report = judged(&[server(62, &saturated)]);
    assert_eq!((report.message.as_str(), report.stacks.len()), (hangs, 0));
    // Without a capacity nobody knows whose operations they are; the stacks are there.
    let stalled = in_flight(3, 90, 61, 95);
    let report = judged(&[server(1, &stalled)]);
    assert!(!report.message.contains("socket.py"), "{}", report.message);
    assert_eq!(report.stacks.len(), 1);
    assert_eq!(judged(&[server(1, &in_flight(3, 50, 20, 95))]).stacks, []);
}

#[test]
fn a_report_says_for_how_long_no_process_could_notice_a_change() {
    let unobserved = |processes: &[Process]| judged(processes).unobserved_for.as_secs();
    assert_eq!(unobserved(&[process(1, vec![beat(1)]), dead(2, 75, vec![])]), 0);
    assert_eq!(unobserved(&[dead(2, 75, vec![]), dead(3, 90, vec![])]), 75);
    assert_eq!(unobserved(&[gone(2, 75), dead(3, 90, vec![])]), 75);
    assert_eq!(unobserved(&[process(1, vec![beat(100)]), process(2, vec![beat(200)])]), 90);
    assert_eq!(unobserved(&[process(1, vec![beat(100)]), process(2, vec![beat(1)])]), 0);
    assert_eq!(unobserved(&[]), 0);
}
