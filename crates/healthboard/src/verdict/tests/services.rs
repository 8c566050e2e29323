//! One indicator over several processes.

use super::*;

fn database(pid: u32, evidence: Evidence) -> Process {
    process(pid, vec![beat(0), observed("database", evidence)])
}

fn requests(pid: u32, evidence: Evidence) -> Process {
    process(pid, vec![beat(0), with_impact(Impact::Degrading, observed("requests", evidence))])
}

fn status_of(processes: &[Process]) -> Status {
    let report = judged(processes);
    assert_eq!(report.status, judged(&processes.iter().rev().cloned().collect::<Vec<_>>()).status);
    report.status
}

#[test]
fn starting_is_not_a_fault() {
    assert_eq!(said(&[]), (Status::Ok, String::new()));
    assert_eq!(said(&[process(1, vec![])]), (Status::Ok, String::new()));
    assert_eq!(said(&[database(1, Evidence::default())]), (Status::Ok, String::new()));
}

#[test]
fn one_of_two_failing_processes_is_degraded_and_both_are_a_fault() {
    let bad = |pid| database(pid, failing(3, 20, 1));
    assert_eq!(status_of(&[bad(1), database(2, passing(5))]), Status::Degraded);
    assert_eq!(status_of(&[bad(1), database(2, failing(1, 5, 5))]), Status::Degraded);
    assert_eq!(status_of(&[bad(1), bad(2)]), Status::Fault);
    assert_eq!(status_of(&[bad(1), database(2, Evidence::default())]), Status::Fault, "it has no evidence");
    assert_eq!(status_of(&[bad(1), process(2, vec![beat(0)])]), Status::Fault);
}

#[test]
fn evidence_from_since_the_failing_began_contradicts_a_fault() {
    let bad = database(1, failing(3, 20, 1));
    assert_eq!(status_of(&[bad.clone(), database(2, passing(21))]), Status::Fault);
    assert_eq!(status_of(&[bad.clone(), database(2, passing(20))]), Status::Degraded, "of that very moment");
    assert_eq!(status_of(&[bad, database(2, passing(400))]), Status::Fault);
    // The same for hanging operations: since the oldest began, or the newest ended.
    let hung = database(1, hanging(70));
    assert_eq!(status_of(&[hung.clone(), database(2, passing(71))]), Status::Fault);
    assert_eq!(status_of(&[hung, database(2, passing(70))]), Status::Degraded);
    let hung = database(1, in_flight(1, 90, 90, 70));
    assert_eq!(status_of(&[hung.clone(), database(2, passing(71))]), Status::Fault);
    assert_eq!(status_of(&[hung, database(2, passing(70))]), Status::Degraded);
}

#[test]
fn one_more_failing_process_never_makes_it_better() {
    let idle = database(1, passing(50));
    let newly = database(2, failing(3, 20, 1));
    let long_since = database(3, failing(30, 100, 1));
    assert_eq!(status_of(&[idle.clone(), newly.clone()]), Status::Fault);
    assert_eq!(status_of(&[idle.clone(), long_since.clone()]), Status::Degraded);
    assert_eq!(status_of(&[idle, newly, long_since]), Status::Fault);
}

#[test]
fn it_is_stale_only_when_no_process_has_newer_evidence() {
    assert_eq!(status_of(&[database(1, passing(4000))]), Status::Degraded);
    assert_eq!(status_of(&[database(1, passing(4000)), database(2, passing(1))]), Status::Ok);
    assert_eq!(status_of(&[database(1, passing(4000)), database(2, Evidence::default())]), Status::Degraded);
    let report = judged(&[database(1, passing(4000)), database(2, failing(1, 1, 1))]);
    assert_eq!(report.details["database"].state, State::Transient);
    assert_eq!(judged(&[database(1, passing(4000))]).details["database"].state, State::Stale);
}

#[test]
fn a_saturated_server_is_a_fault_until_one_process_has_free_capacity() {
    let server = |pid, n| requests(pid, Evidence { capacity: 2, ..in_flight(n, 90, 61, 61) });
    let idle = |pid| requests(pid, Evidence { capacity: 2, ..passing(200) });
    assert_eq!(status_of(&[server(1, 2)]), Status::Fault);
    assert_eq!(status_of(&[server(1, 1)]), Status::Ok);
    assert_eq!(status_of(&[server(1, 2), server(2, 2)]), Status::Fault);
    assert_eq!(status_of(&[server(1, 2), server(2, 1)]), Status::Degraded);
    assert_eq!(
        status_of(&[server(1, 2), idle(2)]),
        Status::Degraded,
        "free capacity counts, however long unused"
    );
    assert_eq!(status_of(&[server(1, 2), requests(2, Evidence::default())]), Status::Fault);
    // A process of unknown capacity counts if it has evidence from since the capacity of the other was filled.
    assert_eq!(status_of(&[server(1, 2), requests(2, passing(61))]), Status::Degraded);
    assert_eq!(status_of(&[server(1, 2), requests(2, passing(62))]), Status::Fault);
}

#[test]
fn a_process_that_takes_no_more_work_has_no_free_capacity() {
    let server = |pid| requests(pid, Evidence { capacity: 2, ..in_flight(2, 90, 61, 61) });
    let idle = |pid| requests(pid, Evidence { capacity: 2, ..passing(200) });
    let master = Process { watches: true, ..idle(2) };
    assert_eq!(status_of(&[server(1), master.clone()]), Status::Fault);
    assert_eq!(status_of(&[server(1), master, idle(3)]), Status::Degraded);
    let parent =
        Process { started_ns: NOW - 6000 * SECOND, ..requests(2, Evidence { capacity: 2, ..passing(5500) }) };
    let child = Process { parent_id: parent.id, ..server(1) };
    assert_eq!(status_of(&[child, parent]), Status::Fault);
    assert_eq!(status_of(&[server(1), Process { life: Life::Draining, ..idle(2) }]), Status::Fault);
}

#[test]
fn failures_of_a_server_with_free_capacity_count_by_its_impact() {
    let bad = || Evidence { capacity: 2, ..failing(9, 100, 1) };
    let full = || Evidence { capacity: 2, ..in_flight(2, 90, 61, 61) };
    assert_eq!(status_of(&[requests(1, bad())]), Status::Degraded);
    assert_eq!(status_of(&[requests(1, full()), requests(2, bad())]), Status::Degraded);
    // If every process is a FAULT, for any reason, so is the service.
    assert_eq!(status_of(&[database(1, full()), database(2, bad())]), Status::Fault);
    let idle = database(3, Evidence { capacity: 2, ..passing(200) });
    assert_eq!(status_of(&[database(1, full()), database(2, bad()), idle.clone()]), Status::Fault);
    assert_eq!(status_of(&[database(1, full()), idle]), Status::Degraded);
}

#[test]
fn an_indicators_detail_is_of_all_processes() {
    let a = database(1, Evidence { last_success_ns: ago(50), ..failing(3, 20, 2) });
    let b = database(2, in_flight(4, 7, 1, 6));
    let detail = &judged(&[a, b]).details["database"];
    assert_eq!((detail.status, detail.state), (Status::Degraded, State::Failing));
    assert_eq!(detail.success_age, Some(Duration::from_secs(6)));
    assert_eq!(detail.failure_age, Some(Duration::from_secs(2)));
    assert_eq!((detail.failures, detail.in_flight), (3, 4));
    assert_eq!(detail.error, Some(Failure::new("OperationalError").code("2003")));
    assert_eq!((detail.ttl, detail.impact), (Duration::from_secs(300), Impact::Critical));
}

#[test]
fn the_newest_error_is_shown_while_it_is_the_newest_outcome() {
    let with =
        |class: &str, newest| Evidence { error: Some(Failure::new(class).into()), ..failing(2, 40, newest) };
    let error = |a: Evidence, b: Evidence| {
        let report = judged(&[database(1, a), database(2, b)]);
        report.details["database"].error.clone().map(|error| error.class)
    };
    assert_eq!(error(with("Old", 9), with("New", 3)).as_deref(), Some("New"));
    assert_eq!(error(with("New", 3), with("Old", 9)).as_deref(), Some("New"));
    assert_eq!(error(Evidence { failures: 0, ..with("Mended", 3) }, passing(1)), None);
}

#[test]
fn if_processes_disagree_on_the_impact_the_greatest_is_shown() {
    let soft = process(1, vec![with_impact(Impact::Informational, observed("x", failing(3, 20, 1)))]);
    let hard = process(2, vec![observed("x", passing(1))]);
    for processes in [[soft.clone(), hard.clone()], [hard, soft]] {
        let detail = &judged(&processes).details["x"];
        assert_eq!((detail.impact, detail.status), (Impact::Critical, Status::Ok));
    }
}

#[test]
fn a_detail_shows_the_policy_with_the_greatest_impact() {
    let with = |pid, impact, ttl| {
        let policy = Policy { impact, ttl: Duration::from_secs(ttl), ..Policy::DEFAULT };
        process(pid, vec![Observed { policy: policy.into(), ..observed("x", passing(1)) }])
    };
    let shown = |processes: &[Process]| {
        let detail = &judged(processes).details["x"];
        (detail.impact, detail.ttl.as_secs())
    };
    let soft = with(1, Impact::Informational, 60);
    assert_eq!(shown(std::slice::from_ref(&soft)), (Impact::Informational, 60));
    assert_eq!(shown(&[soft.clone(), with(2, Impact::Degrading, 70)]), (Impact::Degrading, 70));
    assert_eq!(shown(&[with(2, Impact::Degrading, 70), soft]), (Impact::Degrading, 70));
    // Of equal ones the first.
    assert_eq!(shown(&[with(1, Impact::Degrading, 60), with(2, Impact::Degrading, 70)]).1, 60);
}

#[test]
fn of_states_with_the_same_status_the_worst_is_shown() {
    let order = [
        (State::Transient, failing(1, 1, 1)),
        (State::Stuck, in_flight(2, 70, 2, 1)),
        (State::Stalled, hanging(70)),
        (State::Failing, failing(2, 20, 1)),
    ];
    for (i, (_, milder)) in order.iter().enumerate() {
        for (state, worse) in &order[i..] {
            let soft = |pid, evidence: &Evidence| {
                process(pid, vec![with_impact(Impact::Degrading, observed("x", evidence.clone()))])
            };
            for processes in [[soft(1, milder), soft(2, worse)], [soft(1, worse), soft(2, milder)]] {
                let detail = &judged(&processes).details["x"];
                assert_eq!((detail.state, detail.status), (*state, Status::Degraded));
            }
        }
    }
}

#[test]
fn the_report_names_an_indicator_that_found_no_room() {
    let full = Process { refused: 2, refused_name: Some("cell33".to_owned()), ..process(1, vec![beat(0)]) };
    let report = judged(&[process(2, vec![beat(0)]), full.clone(), process(3, vec![])]);
    assert_eq!((report.refused, report.refused_name.as_deref()), (2, Some("cell33")));
    assert_eq!(report.status, Status::Ok);
    let left = Process { life: Life::Stopped, ..full };
    assert_eq!(judged(&[process(2, vec![]), left]).refused, 0, "only living processes count");
}

#[test]
fn ten_thousand_indicators_are_judged_in_any_order_of_names() {
    let boards = |name: fn(u32, u32) -> String| {
        let indicators = |pid| (0..31).map(|i| observed(&name(pid, i), passing(1))).collect();
        let processes: Vec<Process> = (1..=323).map(|pid| process(pid, indicators(pid))).collect();
        let report = judged(&processes);
        (report.details.len(), report.message)
    };
    assert_eq!(boards(|_, i| format!("i{i}")), (31, String::new()));
    assert_eq!(boards(|pid, i| format!("i{}", (i + pid) % 31)).0, 31, "each in another order");
    let all = (128, "found 10013 indicators: 128 are shown".to_owned());
    assert_eq!(boards(|pid, i| format!("i{pid}-{i}")), all);
}

#[test]
fn any_number_of_indicators_count_and_the_details_stay_small() {
    let name = |process: u32, indicator: u32| format!("of-{process:03}-{indicator:02}");
    let fill = |p: u32| process(p, (0..32).map(|i| observed(&name(p, i), passing(1))).collect());
    let mut processes: Vec<Process> = (1..=4).map(fill).collect();
    assert_eq!((judged(&processes).status, judged(&processes).details.len()), (Status::Ok, 128));
    processes.push(process(5, vec![observed("zz", failing(3, 30, 1))]));
    let report = judged(&processes);
    assert_eq!((report.status, report.details.len()), (Status::Fault, 128));
    assert!(
        report.message.starts_with("zz: ")
            && report.message.ends_with("; found 129 indicators: 128 are shown"),
        "{}",
        report.message
    );
}
