//! Ends without evidence, handles, indicators in statics, and when a refresh is due.

use crate::player::{Player, command, until};
use healthboard::{Clock, Policy, Process, Service, State};
use std::time::{Duration, Instant};

#[test]
fn an_end_without_evidence_counts_as_progress_unless_a_refresh_ends() {
    for (is_refresh, expected) in [(false, State::Stuck), (true, State::Stalled)] {
        let clock = Clock::new();
        let health = Service::builder("memory").in_memory(&clock);
        let database = health.indicator("database", Policy::DEFAULT);
        let hanging = database.begin();
        clock.advance(Duration::from_secs(40));
        let other = if is_refresh { database.begin_refresh() } else { database.begin() };
        other.no_evidence();
        clock.advance(Duration::from_secs(30));
        assert_eq!(health.report().details["database"].state, expected);
        hanging.ok();
    }
}

#[test]
fn handles_are_equal_when_they_record_for_the_same_indicator_of_the_same_service() {
    let clock = Clock::new();
    let (one, other) =
        (Service::builder("one").in_memory(&clock), Service::builder("other").in_memory(&clock));
    let database = one.indicator("database", Policy::DEFAULT);
    assert_eq!(database, one.indicator("database", Policy::DEFAULT));
    assert_ne!(database, one.indicator("files", Policy::DEFAULT));
    assert_ne!(database, other.indicator("database", Policy::DEFAULT));
    assert!(format!("{database:?}").contains("database"), "{database:?}");
}

#[test]
fn indicators_in_statics_record_each_for_itself() {
    let mut player = Player::start("statics");
    player.line();
    let process = player.process();
    let found: Vec<(&str, bool, u32)> = process
        .indicators
        .iter()
        .map(|observed| {
            (&*observed.name, observed.evidence.last_success_ns.is_some(), observed.evidence.failures)
        })
        .collect();
    assert_eq!(found, [("progress", true, 0), ("first", true, 0), ("second", false, 2)]);
}

#[test]
fn no_refresh_while_another_process_has_fresh_evidence() {
    let mut idle = Player::start("due");
    assert_eq!(idle.line(), "recorded");
    let busy = Player::of(command("works", idle.runtime.path()), tempfile::tempdir().unwrap());
    let knows =
        |process: &Process| process.indicators.iter().any(|shared| shared.evidence.last_success_ns.is_some());
    until("both processes have evidence", || {
        let processes = idle.processes();
        (processes.len() == 2 && processes.iter().all(knows)).then_some(())
    });
    let mut due = || {
        idle.go_on();
        idle.line().parse::<u64>().unwrap()
    };
    // Twice the interval.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(8) {
        assert!(due() > 0);
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(busy);
    until("a refresh is due", || (due() == 0).then_some(()));
}
