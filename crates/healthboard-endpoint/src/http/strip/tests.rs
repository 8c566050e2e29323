use super::*;
use crate::testing::report;
use healthboard::{History, State};
use std::sync::Arc;

fn time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_347_602)
}

fn change(seconds_ago: u64, status: Status) -> Change {
    let at = time() - Duration::from_secs(seconds_ago);
    let at_ms = at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64;
    Change { at_ms, status, state: Some(State::Transient), cause: String::new() }
}

fn strip(changes: &[(u64, Status)], now: Now) -> Strip {
    Strip::new(time(), &changes.iter().map(|(ago, status)| change(*ago, *status)).collect(), now)
}

/// Class, begin and width in seconds.
fn drawn(strip: &Strip) -> Vec<(&'static str, u64, u64)> {
    strip.bars.iter().map(|bar| (bar.class, bar.begin / 1000, bar.width / 1000)).collect()
}

use Status::{Degraded, Fault, Ok};

#[test]
fn problems_are_drawn_where_they_were_and_as_long() {
    let strip = strip(&[(600, Degraded), (590, Fault), (300, Ok)], Now::Known(Ok));
    assert_eq!(drawn(&strip), [("DEGRADED", 3000, 20), ("FAULT", 3010, 290)]);
    assert_eq!(strip.words, "last hour: FAULT for 4 min; DEGRADED for 10 s");
}

#[test]
fn what_began_before_the_hour_or_in_the_future_stays_within_the_strip() {
    assert_eq!(drawn(&strip(&[(9000, Fault)], Now::Known(Fault))), [("FAULT", 0, 3600)]);
    let future = Change { at_ms: u64::MAX, ..change(0, Fault) };
    let strip = Strip::new(time(), &[future].into(), Now::Known(Fault));
    assert_eq!(drawn(&strip), [("FAULT", 3580, 20)]);
}

#[test]
fn a_change_that_is_not_in_the_history_yet_is_drawn_at_the_right() {
    assert_eq!(drawn(&strip(&[], Now::Known(Degraded))), [("DEGRADED", 3580, 20)]);
    let recovered = strip(&[(600, Fault)], Now::Known(Ok));
    assert_eq!(drawn(&recovered), [("FAULT", 3000, 599)]);
}

#[test]
fn flapping_is_drawn_as_long_as_it_was() {
    let all: Vec<_> = (1..=30).rev().map(|n| (n * 8, if n % 2 == 0 { Degraded } else { Ok })).collect();
    let flapping = strip(&all, Now::Known(Ok));
    let drawn: u64 = drawn(&flapping).iter().map(|(_, _, width)| width).sum();
    assert_eq!(drawn, 15 * 8);
    assert_eq!(flapping.words, "last hour: DEGRADED for 2 min, 15 times");
}

#[test]
fn nothing_is_claimed_about_the_time_before_the_oldest_of_a_full_list() {
    let full: Vec<_> = (1..=32).rev().map(|n| (n * 8, if n % 2 == 0 { Degraded } else { Ok })).collect();
    let known = strip(&full, Now::Known(Ok));
    assert_eq!(drawn(&known).last(), Some(&("unknown", 0, 3600 - 256)));
    assert!(known.words.ends_with("; not known before 4 min ago"), "{}", known.words);
    assert_eq!(strip(&[], Now::Known(Ok)).words, "last hour: no problem seen");
    // The list is full at as many as the core keeps.
    let mut history = Arc::new(History::default());
    for number in 0..100 {
        History::observe(&mut history, &report(if number % 2 == 0 { Degraded } else { Ok }));
    }
    assert_eq!(history.indicators["message_bus"].len(), KEPT);
}

#[test]
fn nothing_is_claimed_about_the_time_after_the_last_process() {
    let ago = |seconds| Now::UnknownSince(time() - Duration::from_secs(seconds));
    let dead = strip(&[(600, Fault)], ago(300));
    assert_eq!(drawn(&dead), [("FAULT", 3000, 300), ("unknown", 3300, 300)]);
    assert_eq!(dead.words, "last hour: FAULT for 5 min; not known for the last 5 min");
    let long_dead = strip(&[(9000, Fault)], ago(9000));
    assert_eq!(drawn(&long_dead), [("unknown", 0, 3600)]);
    assert!(!long_dead.words.contains("no problem"), "{}", long_dead.words);
}

#[test]
fn a_change_of_the_state_alone_is_no_other_time() {
    let strip = strip(&[(600, Fault), (500, Fault)], Now::Known(Fault));
    assert_eq!(drawn(&strip), [("FAULT", 3000, 600)]);
    assert_eq!(strip.words, "last hour: FAULT for 10 min");
}
