//! Properties that hold for any boards.

use super::*;
use proptest::prelude::*;
use proptest::{collection, option, sample};

const NAMES: [&str; 3] = ["database", "message_bus", PROGRESS];

/// Times around the edges of the policies, long ago, and in the future.
fn times() -> impl Strategy<Value = u64> {
    let edges = vec![0, 1, 2, 9, 10, 11, 59, 60, 61, 70, 299, 300, 301, 4000];
    prop_oneof![8 => sample::select(edges).prop_map(|s| NOW - s * SECOND), 1 => NOW - 5000 * SECOND..2 * NOW]
}

/// Any evidence of a board, including some that only a torn copy has.
fn any_evidence() -> impl Strategy<Value = Evidence> {
    let time = || option::of(times());
    let flying = (collection::vec(times(), 0..4), time(), prop_oneof![4 => Just(0_u32), 1 => 1..4_u32]);
    let abandoned = option::of((times(), times()));
    let capacity = prop_oneof![4 => Just(0), 2 => 1..4_u32, 1 => Just(40)];
    let failed = (time(), time());
    (time(), failed, 0..5_u32, time(), time(), flying, abandoned, capacity).prop_map(
        |(
            success,
            (failure, earlier),
            failures,
            since,
            end,
            (begins, refresh_ns, beyond),
            abandoned,
            capacity,
        )| {
            Evidence {
                last_success_ns: success,
                last_failure_ns: failure,
                earlier_failure_ns: earlier,
                failures,
                failing_since_ns: since,
                last_end_ns: end,
                in_flight: begins.len() as u32 + beyond + u32::from(refresh_ns.is_some()),
                oldest_ns: begins.iter().copied().min(),
                youngest_ns: begins.iter().copied().max(),
                beyond_ns: (beyond > 0).then(|| NOW - u64::from(beyond) * 31 * SECOND),
                refresh_ns,
                abandoned: abandoned.map(|(since_ns, until_ns)| Abandoned { since_ns, until_ns }),
                capacity,
                error: None,
            }
        },
    )
}

fn any_observed() -> impl Strategy<Value = Observed> {
    let policy = (sample::select(Impact::ALL.to_vec()), 0..4_u32, 0..3_u64, 0..3_u64, 0..3_u64).prop_map(
        |(impact, failure_threshold, window, stall, slow)| Policy {
            impact,
            failure_threshold,
            failure_window: Duration::from_secs(window * 5),
            stall_after: Duration::from_secs(stall * 60),
            slow_after: Duration::from_secs(slow * 10),
            ..Policy::DEFAULT
        },
    );
    (sample::select(NAMES.to_vec()), policy, any_evidence()).prop_map(|(name, policy, evidence)| match name {
        PROGRESS => Observed { evidence, ..beat(0) },
        name => Observed { name: name.into(), policy: policy.into(), evidence },
    })
}

fn any_process() -> impl Strategy<Value = Process> {
    let life = sample::select(vec![Life::Alive, Life::Alive, Life::Draining, Life::Dead, Life::Stopped]);
    let at = (times(), times(), times());
    let flags = (any::<bool>(), prop_oneof![3 => Just(0), 1 => Just(1)]);
    (1..9_u32, 0..9_u64, life, flags, at, collection::vec(any_observed(), 0..4)).prop_map(
        |(pid, parent, life, (watches, refused), at, mut indicators)| {
            // One indicator of each name, as on a board.
            indicators.sort_by(|a, b| a.name.cmp(&b.name));
            indicators.dedup_by(|a, b| a.name == b.name);
            Process {
                life,
                parent_id: if parent == 0 { 0 } else { parent << 32 | 7 },
                watches: watches && refused == 0,
                started_ns: at.0,
                kept_ns: at.1,
                goodbye_ns: if life == Life::Stopped { at.2 } else { 0 },
                refused,
                ..process(pid, indicators)
            }
        },
    )
}

fn any_processes() -> impl Strategy<Value = Vec<Process>> {
    // Each board has an id of its own.
    collection::vec(any_process(), 0..6).prop_map(|mut processes| {
        processes.sort_by_key(|process| process.id);
        processes.dedup_by_key(|process| process.id);
        processes
    })
}

fn moments() -> impl Strategy<Value = Moment> {
    (times(), prop_oneof![2 => Just(0), 1 => times()])
        .prop_map(|(now_ns, resumed_ns)| Moment { now_ns, resumed_ns })
}

fn at(processes: &[Process], at: Moment) -> Report {
    judge("s", processes, at, SystemTime::UNIX_EPOCH)
}

fn status_of(report: &Report, name: &str) -> Status {
    report.details.get(name).map_or(Status::Ok, |detail| detail.status)
}

/// Whether operations in flight, or abandoned ones, can be a FAULT by silence alone.
fn hangs(evidence: &Evidence) -> bool {
    evidence.in_flight > 0 || evidence.abandoned.is_some()
}

proptest! {
    #[test]
    fn any_boards_at_any_time_get_a_verdict(processes in any_processes(), now_ns: u64, resumed_ns: u64) {
        let report = at(&processes, Moment { now_ns, resumed_ns });
        prop_assert_eq!(report.status == Status::Ok, report.message.is_empty(), "{:?}", report);
        let worst = report.details.values().map(|d| d.status).max().unwrap_or(Status::Ok);
        prop_assert!(report.status >= worst);
        for detail in report.details.values() {
            prop_assert!(detail.status == Status::Ok || detail.state.is_problem(), "{:?}", detail);
        }
        prop_assert!(!report.stopped || report.status == Status::Ok);
        prop_assert!(report.processes.hung <= report.processes.alive);
    }

    #[test]
    fn the_wall_clock_does_not_matter(processes in any_processes(), now in moments(), seconds: u32) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into());
        let report = at(&processes, now);
        prop_assert_eq!(judge("s", &processes, now, time), Report { time, ..report });
    }

    #[test]
    fn the_order_of_processes_and_indicators_does_not_matter(
        processes in any_processes().prop_flat_map(|p| (Just(p.clone()), Just(p).prop_shuffle())),
        now in moments(),
    ) {
        let (there, mut back) = processes;
        back.iter_mut().for_each(|process| process.indicators.reverse());
        let (there, back) = (at(&there, now), at(&back, now));
        let what = |report: &Report| {
            let details = report.details.iter();
            let details: Vec<_> = details
                .map(|(name, d)| (name.clone(), d.status, d.state, d.impact, d.success_age, d.failures, d.in_flight))
                .collect();
            (report.status, report.processes, report.stopped, report.draining, report.refused, details)
        };
        prop_assert_eq!(what(&there), what(&back));
    }

    #[test]
    fn silence_alone_makes_no_fault_that_nothing_in_flight_explains(
        processes in any_processes(),
        seconds in prop_oneof![0..20_u64, 50..70_u64, 290..310_u64, 0..10_000_u64],
    ) {
        let before = at(&processes, NOW.into());
        let after = at(&processes, (NOW + seconds * SECOND).into());
        for name in ["database", "message_bus"] {
            let evidence = processes.iter().filter(|p| p.life.is_alive()).flat_map(|p| &p.indicators);
            let explained = evidence.filter(|o| &*o.name == name).any(|o| hangs(&o.evidence));
            // The evidence of a hung process no longer counts, and evidence in the future is excluded.
            let progresses = after.processes.hung == before.processes.hung;
            let past = processes.iter().flat_map(|p| &p.indicators).all(|o| o.evidence.newest_ns() <= Some(NOW));
            if status_of(&after, name) == Status::Fault && !explained && progresses && past {
                prop_assert_eq!(status_of(&before, name), Status::Fault, "{}: {:#?}", name, after);
            }
        }
    }

    #[test]
    fn silence_of_one_process_ends_as_stale_or_stalled(evidence in any_evidence()) {
        let late = Moment { now_ns: 9 * NOW, resumed_ns: 0 };
        let found = state(&evidence, &Policy::DEFAULT, late);
        let expected = [State::Unknown, State::Stale, State::Stalled, State::Stuck];
        prop_assert!(expected.contains(&found), "{:?}", found);
        prop_assert!(hangs(&evidence) || found != State::Stalled);
    }

    #[test]
    fn the_success_of_a_refresh_hides_no_hang_and_no_failure_that_only_work_clears(
        evidence in any_evidence(),
        refreshed in times(),
        now in moments(),
    ) {
        let policy = Policy::DEFAULT;
        let before = state(&evidence, &policy, now);
        // Such a success changes only this if there are no failures, or none that it may clear.
        let newest = evidence.last_success_ns.max(Some(refreshed));
        let after = state(&Evidence { last_success_ns: newest, ..evidence.clone() }, &policy, now);
        // The same if it clears the failures.
        let cleared = Evidence { last_success_ns: newest, failures: 0, failing_since_ns: None, ..evidence.clone() };
        let cleared = state(&cleared, &policy, now);
        if before == State::Stalled {
            prop_assert_eq!((after, cleared), (State::Stalled, State::Stalled));
        }
        if before == State::Stuck {
            prop_assert_eq!(cleared, State::Stuck);
            prop_assert!(after == State::Stuck || after == State::Failing, "{:?}", after);
        }
        if evidence.failures > 0 {
            prop_assert_ne!(after, State::Passing);
        }
        if before == State::Failing {
            prop_assert_eq!(after, State::Failing);
        }
    }

    #[test]
    fn a_dead_process_makes_no_indicator_a_fault(processes in any_processes(), died in any_process(), now in moments()) {
        let killed = Process { life: Life::Dead, id: 77, ..died };
        let with = [&processes[..], &[killed]].concat();
        let (before, after) = (at(&processes, now), at(&with, now));
        for (name, detail) in after.details.iter().filter(|(_, detail)| detail.status == Status::Fault) {
            prop_assert_eq!(status_of(&before, name), detail.status, "{}", name);
        }
    }

    #[test]
    fn a_goodbye_makes_nothing_worse(processes in any_processes(), going in any_process(), now in moments()) {
        let gone = Process { life: Life::Stopped, id: 77, ..going };
        let with = [&processes[..], &[gone]].concat();
        prop_assert!(at(&with, now).status <= at(&processes, now).status);
    }

    #[test]
    fn a_living_healthy_process_with_the_newest_evidence_makes_nothing_worse(
        processes in any_processes(),
        names in sample::subsequence(vec!["database", "message_bus"], 0..=2),
    ) {
        let healthy = process(77, vec![beat(0)]);
        let indicators = names.iter().map(|name| observed(name, passing(0)));
        let healthy = Process { indicators: healthy.indicators.iter().cloned().chain(indicators).collect(), ..healthy };
        // Evidence in the future would be newer still.
        let past = processes.iter().flat_map(|p| &p.indicators).all(|o| {
            let evidence = &o.evidence;
            [evidence.failing_since_ns, evidence.last_failure_ns, evidence.last_end_ns, evidence.oldest_ns]
                .into_iter()
                .chain([evidence.youngest_ns, evidence.last_success_ns, evidence.refresh_ns])
                .all(|at| at <= Some(NOW))
        });
        // A living process changes the verdict of a stopped service.
        if !past || at(&processes, NOW.into()).stopped {
            return Ok(());
        }
        let with = [&processes[..], &[healthy]].concat();
        let (before, after) = (at(&processes, NOW.into()), at(&with, NOW.into()));
        // The evidence of hung processes counts only while no process works.
        for name in &names {
            prop_assert!(status_of(&after, name) <= status_of(&before, name).min(Status::Degraded), "{}", name);
        }
        let all_hung = before.details.get(PROGRESS).is_some_and(|progress| progress.status == Status::Fault);
        if !all_hung {
            for name in ["database", "message_bus", PROGRESS] {
                prop_assert!(status_of(&after, name) <= status_of(&before, name), "{}", name);
            }
            prop_assert!(after.status <= before.status.max(Status::Degraded));
        }
    }

    #[test]
    fn one_more_failing_process_makes_nothing_better(processes in any_processes(), since in 10..5000_u64) {
        let bad = process(77, vec![beat(0), observed("database", failing(2, since, 0))]);
        // The evidence of a hung process would no longer count beside it.
        let mut processes = processes;
        processes.iter_mut().for_each(|process| process.indicators.retain(|o| &*o.name != PROGRESS));
        let with = [&processes[..], &[bad]].concat();
        let before = status_of(&at(&processes, NOW.into()), "database");
        prop_assert!(status_of(&at(&with, NOW.into()), "database") >= before.max(Status::Degraded));
    }

    #[test]
    fn a_lower_impact_never_makes_the_verdict_worse(observed in any_observed(), now in moments()) {
        let found = Impact::ALL.map(|impact| {
            let status = at(&[process(1, vec![with_impact(impact, observed.clone())])], now).status;
            if &*observed.name == PROGRESS { Status::Ok } else { status }
        });
        prop_assert_eq!(found[0], Status::Ok, "informational is never part of the verdict");
        prop_assert!(found.is_sorted(), "{:?}", found);
    }

    #[test]
    fn more_failures_and_more_time_between_them_are_never_better(evidence in any_evidence(), now in moments()) {
        let policy = Policy::DEFAULT;
        let status_of = |evidence: &Evidence| status(state(evidence, &policy, now), Impact::Critical, evidence.capacity > 0);
        let evidence = Evidence { failures: evidence.failures + 1, ..evidence };
        let more = Evidence { failures: evidence.failures + 1, ..evidence.clone() };
        prop_assert!(status_of(&more) >= status_of(&evidence));
        let longer = Evidence { failing_since_ns: evidence.failing_since_ns.map(|at| at.saturating_sub(SECOND)), ..evidence.clone() };
        prop_assert!(status_of(&longer) >= status_of(&evidence));
    }

    #[test]
    fn one_more_hanging_operation_is_never_better(evidence in any_evidence(), began in times(), now in moments()) {
        // Left out: a known capacity, of which it would take a place; operations of unknown age and runs of abandoned
        // ones, for which it is new information.
        let evidence = Evidence { capacity: 0, abandoned: None, ..evidence };
        let evidence = match evidence.oldest_ns {
            None => Evidence { in_flight: u32::from(evidence.refresh_ns.is_some()), beyond_ns: None, ..evidence },
            Some(_) => evidence,
        };
        let more = Evidence {
            in_flight: evidence.in_flight + 1,
            oldest_ns: Some(evidence.oldest_ns.map_or(began, |oldest| oldest.min(began))),
            youngest_ns: evidence.youngest_ns.max(Some(began)),
            ..evidence.clone()
        };
        let status_of = |evidence: &Evidence| status(state(evidence, &Policy::DEFAULT, now), Impact::Critical, false);
        prop_assert!(status_of(&more) >= status_of(&evidence), "{:?}", more);
    }
}
