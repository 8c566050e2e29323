use super::*;
use crate::board::create;
use crate::board::layout::Fixed;
use crate::board::slot::{Ended, stamp};
use crate::board::sync::AtomicU32;
use crate::{Failure, Policy, State, state};
use proptest::prelude::*;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

fn board() -> &'static Board {
    let board = create::map(None, None).unwrap();
    board.write_header(&Fixed {
        service: "nova-compute".to_owned(),
        boot_id: [1, 2],
        pid: 42,
        pid_since: 1,
        started_ns: 5,
        ttl_ns: 300,
        id: 77,
        parent_id: 7,
    });
    let words = descriptor::encode("database", &Policy::DEFAULT);
    board.slots[0].descriptor.iter().zip(words).for_each(|(word, value)| word.store(value, Relaxed));
    board.header[word::USED].store(1, Relaxed);
    board
}

fn bytes(board: &Board) -> Vec<u8> {
    board.words().iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect()
}

const WORK: Ended = Ended::Work { by_work: false };

fn fail(board: &Board, seconds: u64, class: &str, text: &str) {
    end(board, seconds, WORK, class, text);
}

fn end(board: &Board, seconds: u64, ended: Ended, class: &str, text: &str) {
    let parts = text::Parts { class, code: "2003", text };
    board.slots[0].fail_at(seconds * SECOND, &AtomicU32::new(0), ended, Some(parts));
}

fn abandon(board: &Board, seconds: u64, begun: u64, cell: u32) {
    board.slots[0].abandon_at(seconds * SECOND, begun * SECOND, 10 * SECOND, &AtomicU32::new(0), true);
    board.slots[0].end(cell);
}

fn read_process(bytes: &[u8], alive: bool) -> Process {
    process(
        &Header::of(bytes).unwrap(),
        bytes,
        alive,
        &mut Descriptors::default(),
        &mut Shared::default(),
        Vec::new(),
    )
}

fn error_of(evidence: &Evidence) -> Failure {
    evidence.error.as_deref().cloned().unwrap_or_default()
}

fn read(bytes: &[u8]) -> Evidence {
    read_process(bytes, true).indicators.remove(0).evidence
}

#[test]
fn what_is_recorded_is_what_is_read() {
    let board = board();
    let mut process = read_process(&bytes(board), true);
    assert_eq!((process.pid, process.started_ns, process.ttl_ns), (42, 5, 300));
    assert_eq!((process.id, process.parent_id, process.watches), (77, 7, false));
    let observed = process.indicators.remove(0);
    assert_eq!((&*observed.name, *observed.policy), ("database", Policy::DEFAULT));
    assert_eq!(observed.evidence, Evidence::default());

    let slot = &board.slots[0];
    slot.ok_at(SECOND);
    fail(board, 2, "OperationalError", "gone");
    fail(board, 3, "OperationalError", "still gone");
    let cell = slot.begin_at(4 * SECOND, 2);
    let evidence = read(&bytes(board));
    assert_eq!(evidence.last_success_ns, Some(stamp(SECOND)));
    assert_eq!(evidence.last_failure_ns, Some(3 * SECOND));
    assert_eq!((evidence.failures, evidence.failing_since_ns), (2, Some(stamp(2 * SECOND))));
    assert_eq!((evidence.in_flight, evidence.oldest_ns), (1, Some(4 * SECOND)));
    assert_eq!(evidence.last_end_ns, Some(3 * SECOND));
    assert_eq!(error_of(&evidence).to_string(), "OperationalError 2003: still gone");

    slot.end(cell);
    slot.ok_at(5 * SECOND);
    let evidence = read(&bytes(board));
    assert_eq!((evidence.failures, evidence.in_flight, evidence.error.is_none()), (0, 0, true));
}

#[test]
fn a_success_in_the_same_tick_as_a_failure_is_not_skipped() {
    let board = board();
    board.slots[0].ok_at(SECOND);
    fail(board, 1, "E", "");
    board.slots[0].ok_at(SECOND);
    assert_eq!(read(&bytes(board)).failures, 0);
}

#[test]
fn flapping_at_the_threshold_is_never_failing() {
    let policy = Policy { failure_window: Duration::from_secs(2), ..Policy::DEFAULT };
    let board = board();
    // Two failures, a success, and the same again: enough failures in a row, never for long enough.
    for second in 100..200 {
        match second % 3 {
            0 => board.slots[0].ok_at(second * SECOND),
            _ => fail(board, second, "E", ""),
        }
        let expected = if second % 3 == 0 { State::Passing } else { State::Transient };
        let found = state(&read(&bytes(board)), &policy, (second + 1) * SECOND);
        assert_eq!(found, expected, "{second}");
    }
    // One more instead of the success, and the window is full.
    fail(board, 200, "E", "");
    fail(board, 201, "E", "");
    assert_eq!(state(&read(&bytes(board)), &policy, 203 * SECOND), State::Failing);
}

#[test]
fn failures_that_come_and_go_are_not_ok_in_between_and_keep_their_error() {
    let board = board();
    let slot = &board.slots[0];
    // Every 0.7 s, for an hour.
    for i in 0..5143 {
        let at_ns = 100 * SECOND + i * 7 * SECOND / 10;
        match i % 2 {
            0 => slot.ok_at(at_ns),
            _ => slot.fail_at(
                at_ns,
                &AtomicU32::new(0),
                WORK,
                Some(text::Parts { class: "E", code: "", text: "" }),
            ),
        }
        let evidence = read(&bytes(board));
        if i > 3 {
            assert_eq!(state(&evidence, &Policy::DEFAULT, at_ns), State::Transient, "{i}");
            assert_eq!(error_of(&evidence).to_string(), "E");
        }
    }
    // A failure by itself is over with the next success, and so are these after `failure_window`.
    slot.ok_at(3701 * SECOND);
    assert_eq!(state(&read(&bytes(board)), &Policy::DEFAULT, 3708 * SECOND), State::Transient);
    assert_eq!(state(&read(&bytes(board)), &Policy::DEFAULT, 3709 * SECOND), State::Passing);
}

#[test]
fn the_age_of_each_operation_in_flight_is_known_up_to_32() {
    let board = board();
    let slot = &board.slots[0];
    let cells: Vec<u32> = (0..40).map(|i| slot.begin_at((100 + i) * SECOND, 3)).collect();
    let evidence = read(&bytes(board));
    assert_eq!((evidence.in_flight, evidence.oldest_ns), (40, Some(100 * SECOND)));
    assert_eq!(evidence.youngest_ns, Some(131 * SECOND), "those beyond are counted without their age");
    // The oldest one hangs, and all others end.
    cells[1..].iter().for_each(|cell| slot.end(*cell));
    let evidence = read(&bytes(board));
    assert_eq!((evidence.in_flight, evidence.oldest_ns), (1, Some(100 * SECOND)));
}

#[test]
fn a_refresh_clears_the_failures_before_it_and_does_not_end_the_work() {
    let board = board();
    let slot = &board.slots[0];
    let cell = slot.begin_at(SECOND, 0);
    fail(board, 2, "E", "");
    slot.begin_refresh_at(3 * SECOND);
    let evidence = read(&bytes(board));
    assert_eq!((evidence.in_flight, evidence.work_in_flight()), (2, 1));
    assert_eq!((evidence.refresh_ns, evidence.oldest_ns), (Some(3 * SECOND), Some(SECOND)));
    slot.refreshed_at(4 * SECOND);
    slot.end_refresh();
    let evidence = read(&bytes(board));
    assert_eq!((evidence.failures, evidence.last_success_ns), (0, Some(stamp(4 * SECOND))));
    assert_eq!(evidence.last_end_ns, Some(2 * SECOND));
    assert_eq!((evidence.in_flight, evidence.oldest_ns), (1, Some(SECOND)));
    slot.end(cell);
    // A failure of a refresh does not end it either.
    end(board, 5, Ended::Refresh, "NoAnswer", "");
    let evidence = read(&bytes(board));
    assert_eq!((evidence.failures, evidence.last_end_ns), (1, Some(2 * SECOND)));
}

#[test]
fn a_failure_that_no_refresh_can_have_is_cleared_only_by_work() {
    let board = board();
    let slot = &board.slots[0];
    let by_work = Ended::Work { by_work: true };
    end(board, 1, by_work, "PoolTimeout", "");
    slot.refreshed_at(10 * SECOND);
    fail(board, 12, "E", "");
    slot.refreshed_at(14 * SECOND);
    let evidence = read(&bytes(board));
    assert_eq!((evidence.failures, evidence.failing_since_ns), (2, Some(stamp(SECOND))));
    assert_eq!(evidence.last_success_ns, Some(stamp(14 * SECOND)), "it is evidence all the same");
    slot.ok_at(20 * SECOND);
    assert_eq!(read(&bytes(board)).failures, 0);
    // From then on a refresh clears again.
    fail(board, 21, "E", "");
    slot.refreshed_at(22 * SECOND);
    assert_eq!(read(&bytes(board)).failures, 0);
}

#[test]
fn an_abandoned_operation_has_not_ended_and_fails_only_when_slow() {
    let board = board();
    let slot = &board.slots[0];
    slot.ok_at(100 * SECOND);
    let cell = slot.begin_at(101 * SECOND, 0);
    abandon(board, 110, 101, cell);
    let evidence = read(&bytes(board));
    assert_eq!((evidence.failures, evidence.last_end_ns), (0, Some(stamp(100 * SECOND))));
    assert_eq!(evidence.abandoned, Some(Abandoned { since_ns: 101 * SECOND, until_ns: 110 * SECOND }));
    let cell = slot.begin_at(111 * SECOND, 0);
    abandon(board, 121, 111, cell);
    let evidence = read(&bytes(board));
    assert_eq!((evidence.failures, evidence.last_end_ns), (1, Some(stamp(100 * SECOND))));
    assert_eq!(error_of(&evidence).to_string(), "Abandoned after 10 s");
    assert_eq!(evidence.abandoned, Some(Abandoned { since_ns: 101 * SECOND, until_ns: 121 * SECOND }));
    slot.ok_at(122 * SECOND);
    assert_eq!(read(&bytes(board)).abandoned, None, "an end ends the run");
}

#[test]
fn a_run_of_abandoned_operations_lasts_while_an_operation_waits() {
    let since = |board| read(&bytes(board)).abandoned.map(|run| run.since_ns / SECOND);
    let slot = |board: &'static Board| &board.slots[0];
    // Too late for the same run, and just not too late.
    for (next, expected) in [(28, 100), (29, 129)] {
        let board = board();
        abandon(board, 118, 100, slot(board).begin_at(100 * SECOND, 0));
        let begun = 100 + next;
        abandon(board, begun + 1, begun, slot(board).begin_at(begun * SECOND, 0));
        assert_eq!(since(board), Some(expected), "{next} s");
    }
    // Another one was in flight from soon after the first to the second.
    let board = board();
    abandon(board, 108, 100, slot(board).begin_at(100 * SECOND, 0));
    let long = slot(board).begin_at(109 * SECOND, 1);
    abandon(board, 152, 150, slot(board).begin_at(150 * SECOND, 0));
    assert_eq!(since(board), Some(100));
    abandon(board, 160, 109, long);
    assert_eq!(since(board), Some(100));
}

#[test]
fn an_abandoned_operation_has_waited_since_the_newest_end() {
    let board = board();
    let slot = &board.slots[0];
    let first = slot.begin_at(100 * SECOND, 0);
    let second = slot.begin_at(101 * SECOND, 1);
    fail(board, 103, "E", "");
    slot.end(second);
    let third = slot.begin_at(104 * SECOND, 1);
    abandon(board, 112, 104, third);
    assert_eq!(read(&bytes(board)).abandoned.unwrap().since_ns, 104 * SECOND);
    abandon(board, 113, 100, first);
    assert_eq!(read(&bytes(board)).abandoned.unwrap().since_ns, 103 * SECOND);
}

#[test]
fn an_indicator_that_found_no_room_is_named() {
    let board = board();
    assert_eq!(read_process(&bytes(board), true).refused_name, None);
    let registry = crate::board::registry::Registry::new();
    for i in 0..34 {
        registry.index_of(&format!("i{i}"), Policy::DEFAULT, 0);
    }
    registry.write(board, |entry| entry.policy);
    let process = read_process(&bytes(board), true);
    assert_eq!((process.indicators.len(), process.refused), (SLOTS, 2));
    assert_eq!(process.refused_name.as_deref(), Some("i32"));
}

#[test]
fn a_full_count_of_failures_stays_full() {
    let board = board();
    board.slots[0].ok_at(SECOND);
    fail(board, 2, "E", "");
    board.slots[0].outcome.store(stamp(SECOND) | (COUNT - 1), Relaxed);
    for _ in 0..3 {
        fail(board, 2, "E", "");
    }
    let evidence = read(&bytes(board));
    assert_eq!(u64::from(evidence.failures), COUNT);
    assert_eq!(evidence.last_success_ns, Some(stamp(SECOND)));
}

#[test]
fn a_process_killed_at_any_store_of_a_text_leaves_the_one_before() {
    let board = board();
    fail(board, 1, "First", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    let before = bytes(board);
    fail(board, 2, "Second", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
    let after = bytes(board);
    let text_words = BLOCK + TEXTS * 8..2 * BLOCK;
    // For any order of the words: any prefix, any suffix, any single word.
    for cut in text_words.clone().step_by(8) {
        for (start, end) in [(text_words.start, cut), (cut, text_words.end), (cut, cut + 8)] {
            let mut torn = before.clone();
            torn[start..end].copy_from_slice(&after[start..end]);
            let class = error_of(&read(&torn)).class;
            assert!(class == "First" || class == "Second", "{class:?} at {start}..{end}");
        }
    }
    assert_eq!(error_of(&read(&after)).class, "Second");
}

#[test]
fn the_newest_text_is_read_even_when_its_number_has_wrapped() {
    let board = board();
    let parts = |class| text::Parts { class, code: "", text: "" };
    board.slots[0].outcome.store(1, Relaxed);
    board.slots[0].texts[0].write(u32::MAX - 1, parts("Older"));
    for class in ["Old", "New", "Newest"] {
        fail(board, 7, class, "");
        assert_eq!(error_of(&read(&bytes(board))).class, class);
    }
}

#[test]
fn nothing_of_a_longer_text_stays_behind_in_a_reused_buffer() {
    let board = board();
    fail(board, 1, "E", &"canary".repeat(20));
    for i in 2..4 {
        fail(board, i, "E", "short");
    }
    assert!(!bytes(board).windows(6).any(|window| window == b"canary"));
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let board = board();
    fail(board, 1, &"ä".repeat(60), &"€".repeat(200));
    let error = error_of(&read(&bytes(board)));
    assert_eq!(error.class, "ä".repeat(32));
    assert_eq!(error.text, "€".repeat(53));
}

#[test]
fn a_file_that_is_no_board_of_this_build_is_refused_with_the_reason() {
    let good = bytes(board());
    let refused = |bytes: &[u8]| Header::of(bytes).err().map(|refused| refused.to_string());
    let with = |at: usize, value: u64| {
        let mut bytes = good.clone();
        bytes[at * 8..at * 8 + 8].copy_from_slice(&value.to_ne_bytes());
        refused(&bytes)
    };
    let says = |found: Option<String>, text: &str| {
        assert!(found.as_deref().is_some_and(|f| f.contains(text)), "{found:?}")
    };
    says(refused(&[]), "found 0 bytes, expected 33792");
    says(with(word::MAGIC, 7), "found magic 0x0000000000000007");
    says(with(word::MAGIC, MAGIC.swap_bytes()), "byte order");
    says(with(word::LAYOUT, 1), "found layout version 1, this build reads 2");
    says(with(word::SIZE, 4096), "found a stated size of 4096 bytes, expected 33792");
    says(with(word::SERVICE, 1), "does not match its checksum");
    says(with(word::ID, 1), "does not match its checksum");
    assert_eq!(with(word::USED, u64::MAX), None);
}

#[test]
fn phase_and_lock_decide_the_life_of_a_process() {
    let board = board();
    for (alive, phase, expected) in [
        (true, 0, Life::Alive),
        (true, 77, Life::Alive),
        (true, phase::DRAINING, Life::Draining),
        (true, phase::GOODBYE, Life::Stopped),
        (false, 0, Life::Dead),
        (false, phase::DRAINING, Life::Stopped),
        (false, phase::GOODBYE, Life::Stopped),
    ] {
        board.header[word::PHASE].store(phase, Relaxed);
        assert_eq!(read_process(&bytes(board), alive).life, expected, "{alive} {phase}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(
        changes in proptest::collection::vec((0..BLOCK * 3, any::<u8>()), 0..200),
        length in 0..BLOCK * 3,
    ) {
        let board = board();
        fail(board, 1, "E", "text");
        let mut copy = bytes(board)[..BLOCK * 3].to_vec();
        for (at, value) in changes {
            copy[at] = value;
        }
        copy.truncate(length);
        if let Some(process) = crate::fuzz_board(&copy) {
            let report = crate::judge("s", std::slice::from_ref(&process), SECOND, std::time::SystemTime::UNIX_EPOCH);
            prop_assert!(!report.message.chars().any(char::is_control));
            prop_assert!(!process.refused_name.unwrap_or_default().chars().any(char::is_control));
            for indicator in process.indicators {
                prop_assert!(!indicator.name.chars().any(char::is_control));
                prop_assert!(!error_of(&indicator.evidence).to_string().chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn any_words_of_a_slot_are_consistent_evidence(words in proptest::collection::vec(prop_oneof![Just(0), 1..9_u64, any::<u64>()], WORDS), now: u64) {
        let evidence = evidence_of(&words);
        prop_assert_eq!(evidence.failures == 0, evidence.failing_since_ns.is_none() && evidence.failures == 0);
        prop_assert!(evidence.oldest_ns <= evidence.youngest_ns);
        prop_assert!(evidence.work_in_flight() <= evidence.in_flight);
        state(&evidence, &Policy::DEFAULT, now);
    }

    #[test]
    fn a_forged_text_with_a_valid_checksum_is_still_cleaned(data in proptest::collection::vec(any::<u64>(), text::DATA), head: u64) {
        let mut words = vec![head, 0];
        words.extend(data);
        words[1] = words[2..].iter().fold(crate::board::mix(crate::board::SEED, head), |sum, w| crate::board::mix(sum, *w));
        let (error, torn) = text::newest([&words, &vec![0; words.len()]]);
        prop_assert!(!torn);
        prop_assert!(!error.unwrap().to_string().chars().any(char::is_control));
    }
}
