use super::*;
use crate::board::create;
use crate::read::{Abandoned, Evidence, own_evidence};

/// One whole stamp: the unit of time here.
const T: u64 = COUNT + 1;

const WORK: Ended = Ended::Work { by_work: false };
const BY_WORK: Ended = Ended::Work { by_work: true };

fn slot() -> &'static Slot {
    &create::map(None, None).unwrap().slots[0]
}

fn fail(slot: &Slot, at: u64, ended: Ended) -> Evidence {
    slot.fail_at(at, &AtomicU32::new(0), ended, None);
    own_evidence(slot)
}

fn abandon(slot: &Slot, begun: u64, at: u64, slow_after: u64) -> Option<Abandoned> {
    slot.abandon_at(at, begun, slow_after, &AtomicU32::new(0), false);
    own_evidence(slot).abandoned
}

fn run(since_ns: u64, until_ns: u64) -> Option<Abandoned> {
    Some(Abandoned { since_ns, until_ns })
}

#[test]
fn of_32_operations_each_age_is_known_and_the_33rd_is_counted() {
    let slot = slot();
    let cells: Vec<Cell> = (1..=32).map(|at| slot.begin_at(at, 5)).collect();
    let evidence = own_evidence(slot);
    assert_eq!((evidence.in_flight, evidence.oldest_ns, evidence.youngest_ns), (32, Some(1), Some(32)));
    assert_eq!(cells.iter().collect::<std::collections::BTreeSet<_>>().len(), 32);

    let beyond = slot.begin_at(33, 5);
    assert_eq!(beyond as usize, BEGUN);
    let evidence = own_evidence(slot);
    assert_eq!((evidence.in_flight, evidence.youngest_ns), (33, Some(32)));

    slot.end(cells[0]);
    assert_eq!((own_evidence(slot).in_flight, own_evidence(slot).oldest_ns), (32, Some(2)));
    slot.end(beyond);
    cells[1..].iter().for_each(|cell| slot.end(*cell));
    assert_eq!((own_evidence(slot).in_flight, own_evidence(slot).oldest_ns), (0, None));
}

#[test]
fn an_operation_that_ends_after_the_board_was_overwritten_leaves_nothing_in_flight() {
    let slot = slot();
    let cells: Vec<Cell> = (0..34).map(|_| slot.begin_at(T, 0)).collect();
    slot.words().for_each(|word| word.store(0, Relaxed));
    cells.into_iter().for_each(|cell| slot.end(cell));
    assert_eq!((own_evidence(slot).in_flight, own_evidence(slot).beyond_ns), (0, None));
}

#[test]
fn an_operation_that_begins_at_time_zero_is_in_flight() {
    let slot = slot();
    slot.begin_at(0, 0);
    assert_eq!(own_evidence(slot).in_flight, 1);
    slot.begin_refresh_at(0);
    assert_eq!(own_evidence(slot).in_flight, 2);
}

#[test]
fn threads_with_different_numbers_begin_on_different_lines_and_then_in_different_cells() {
    let first = |thread| {
        let slot = slot();
        slot.begin_at(1, thread) as usize
    };
    let lines: std::collections::BTreeSet<usize> =
        (0..BEGUN / LINE).map(|thread| first(thread) / LINE).collect();
    assert_eq!(lines.len(), BEGUN / LINE);
    let cells: std::collections::BTreeSet<usize> = (0..BEGUN).map(first).collect();
    assert_eq!(cells.len(), BEGUN);
    assert!(first(1_000_000_007) < BEGUN);
}

#[test]
fn a_full_count_stays_full() {
    let slot = slot();
    slot.outcome.store(T | (COUNT - 1), Relaxed);
    slot.streak.store(tag(T, 0) | T, Relaxed);
    assert_eq!(u64::from(fail(slot, 2 * T, WORK).failures), COUNT);
    let evidence = fail(slot, 3 * T, WORK);
    assert_eq!((u64::from(evidence.failures), evidence.last_success_ns), (COUNT, Some(T)));
    assert_eq!(evidence.failing_since_ns, Some(T));
    slot.ok_at(4 * T);
    assert_eq!(own_evidence(slot).failures, 0);
}

#[test]
fn a_success_in_the_tick_of_the_last_one_changes_nothing() {
    let slot = slot();
    slot.ok_at(5 * T + 1);
    slot.ok_at(5 * T + COUNT);
    assert_eq!(own_evidence(slot).last_success_ns, Some(5 * T));
}

#[test]
fn a_refresh_clears_failures_in_its_tick_and_before_and_none_after() {
    let slot = slot();
    slot.ok_at(T);
    fail(slot, 3 * T + 5, WORK);
    slot.refreshed_at(2 * T);
    assert_eq!(own_evidence(slot).failures, 1);
    slot.refreshed_at(3 * T);
    assert_eq!(own_evidence(slot).failures, 0);
    let evidence = fail(slot, 4 * T, WORK);
    assert_eq!((evidence.failures, evidence.failing_since_ns), (1, Some(4 * T)));
}

#[test]
fn a_refresh_in_the_tick_of_a_success_clears_nothing() {
    assert!(!is_cleared((2 * T) | 1, 2 * T, 2 * T, 0));
    assert!(is_cleared((2 * T) | 1, 3 * T, 3 * T, 0));
    assert!(is_cleared((2 * T) | 1, 3 * T, 3 * T, 2 * T - 1));
    assert!(!is_cleared((2 * T) | 1, 3 * T, 3 * T, 2 * T));
    assert!(!is_cleared((2 * T) | 1, 3 * T, 3 * T, 3 * T));
}

#[test]
fn only_the_order_counts_in_the_tick_of_a_success_and_a_failure_that_only_work_clears() {
    // A failure after the success.
    let board_slot = slot();
    board_slot.ok_at(5 * T);
    fail(board_slot, 5 * T + 1, BY_WORK);
    board_slot.refreshed_at(7 * T);
    assert_eq!(own_evidence(board_slot).failures, 1);
    // A success after the failure, and then another one, which a refresh clears.
    let board_slot = slot();
    fail(board_slot, 5 * T, BY_WORK);
    board_slot.ok_at(5 * T + 1);
    board_slot.refreshed_at(7 * T);
    fail(board_slot, 8 * T, WORK);
    board_slot.refreshed_at(9 * T);
    assert_eq!(own_evidence(board_slot).failures, 0);
    let board_slot = slot();
    fail(board_slot, 5 * T, BY_WORK);
    board_slot.ok_at(5 * T + 1);
    fail(board_slot, 5 * T + 2, WORK);
    board_slot.refreshed_at(7 * T);
    assert_eq!(own_evidence(board_slot).failures, 0);
}

#[test]
fn failures_that_only_work_clears_are_a_streak_through_all_refreshes() {
    let slot = slot();
    fail(slot, T, BY_WORK);
    for at in 1..10 {
        slot.refreshed_at((at * 10 + 1) * T);
        let evidence = fail(slot, (at * 10 + 2) * T, BY_WORK);
        assert_eq!((u64::from(evidence.failures), evidence.failing_since_ns), (at + 1, Some(T)));
        assert_eq!(evidence.last_success_ns, Some((at * 10 + 1) * T));
    }
    slot.ok_at(200 * T);
    assert_eq!(own_evidence(slot).failures, 0);
    // From here on a refresh clears again.
    fail(slot, 201 * T, WORK);
    slot.refreshed_at(202 * T);
    assert_eq!(own_evidence(slot).failures, 0);
}

#[test]
fn a_failure_of_a_refresh_does_not_end_the_work() {
    let slot = slot();
    let evidence = fail(slot, T, Ended::Refresh);
    assert_eq!((evidence.failures, evidence.last_end_ns), (1, None));
    assert_eq!(fail(slot, 2 * T, WORK).last_end_ns, Some(2 * T));
}

#[test]
fn abandoned_operations_are_a_run_until_one_ends() {
    let slot = slot();
    assert_eq!(abandon(slot, 10 * T, 15 * T, 8 * T), run(10 * T, 15 * T));
    // The next one begins exactly `slow_after` later, which still belongs to the run.
    assert_eq!(abandon(slot, 23 * T, 24 * T, 8 * T), run(10 * T, 24 * T));
    assert_eq!(abandon(slot, 32 * T + 1, 33 * T, 8 * T), run(32 * T + 1, 33 * T));
    slot.ok_at(34 * T);
    assert_eq!(own_evidence(slot).abandoned, None);
    assert_eq!(abandon(slot, 35 * T, 36 * T, 8 * T), run(35 * T, 36 * T));
    assert_eq!(own_evidence(slot).failures, 0);
}

#[test]
fn the_first_abandoned_operation_is_a_run_however_soon_after_boot() {
    assert_eq!(abandon(slot(), T, 2 * T, u64::MAX), run(T, 2 * T));
}

#[test]
fn an_operation_abandoned_after_slow_after_is_a_failure() {
    let slot = slot();
    abandon(slot, T, 9 * T - 1, 8 * T);
    assert_eq!(own_evidence(slot).failures, 0);
    abandon(slot, T, 9 * T, 8 * T);
    let evidence = own_evidence(slot);
    assert_eq!((evidence.failures, evidence.last_end_ns), (1, None));
}

#[test]
fn an_operation_begun_before_the_newest_end_counts_from_that_end() {
    let slot = slot();
    slot.ok_at(3 * T);
    assert_eq!(abandon(slot, 4 * T, 5 * T, 100 * T), run(4 * T, 5 * T));
    assert_eq!(abandon(slot, 2 * T, 6 * T, 100 * T), run(3 * T, 6 * T));
}
