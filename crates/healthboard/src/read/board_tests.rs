use super::*;
use crate::board::create;
use crate::board::layout::Fixed;
use crate::board::slot::stamp;
use crate::board::sync::AtomicU32;
use crate::{Policy, State, state};
use proptest::prelude::*;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

fn board() -> &'static Board {
    let board = create::map(None).unwrap();
    let fixed =
        Fixed { service: "nova-compute", boot_id: [1, 2], pid: 42, parent: 0, started_ns: 5, ttl_ns: 300 };
    board.write_header(&fixed);
    let words = descriptor::encode("database", &Policy::DEFAULT);
    board.slots[0].descriptor.iter().zip(words).for_each(|(word, value)| word.store(value, Relaxed));
    board.header[word::USED].store(1, Relaxed);
    board
}

fn bytes(board: &Board) -> Vec<u8> {
    board.words().iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect()
}

fn fail(board: &Board, seconds: u64, class: &str, text: &str) {
    let parts = text::Parts { class, code: "2003", text };
    board.slots[0].fail_at(seconds * SECOND, &AtomicU32::new(0), Some(parts));
}

fn read(bytes: &[u8]) -> Evidence {
    process(&header(bytes).ok().unwrap(), bytes, true).unwrap().indicators.remove(0).evidence
}

#[test]
fn what_is_recorded_is_what_is_read() {
    let board = board();
    let copy = bytes(board);
    let header = header(&copy).ok().unwrap();
    assert_eq!((header.pid, header.started_ns, header.boot_id), (42, 5, [1, 2]));
    let observed = process(&header, &copy, true).unwrap().indicators.remove(0);
    assert_eq!((observed.name.as_str(), observed.policy), ("database", Policy::DEFAULT));
    assert_eq!(observed.evidence, Evidence::default());

    let slot = &board.slots[0];
    slot.ok_at(SECOND);
    fail(board, 2, "OperationalError", "gone");
    fail(board, 3, "OperationalError", "still gone");
    slot.begin_at(4 * SECOND, 2);
    let evidence = read(&bytes(board));
    assert_eq!(evidence.last_success_ns, Some(stamp(SECOND)));
    assert_eq!(evidence.last_failure_ns, Some(3 * SECOND));
    assert_eq!((evidence.failures, evidence.failing_since_ns), (2, Some(stamp(2 * SECOND))));
    assert_eq!((evidence.in_flight, evidence.waiting_since_ns), (1, Some(stamp(4 * SECOND))));
    assert_eq!(evidence.error.to_string(), "OperationalError 2003: still gone");

    slot.end_without_outcome_at(5 * SECOND, 2);
    slot.ok_at(5 * SECOND);
    let evidence = read(&bytes(board));
    assert_eq!((evidence.failures, evidence.in_flight, evidence.error.is_empty()), (0, 0, true));
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
    let policy = Policy { failure_window: Duration::from_secs(3), ..Policy::DEFAULT };
    let board = board();
    // Two failures, a success, and the same again: enough failures in a row, never for long enough.
    for second in 100..200 {
        match second % 3 {
            0 => board.slots[0].ok_at(second * SECOND),
            _ => fail(board, second, "E", ""),
        }
        let expected = if second % 3 == 0 { State::Passing } else { State::Transient };
        // At the end of the second: with the one between the failures, the window is not full yet.
        let found = state(&read(&bytes(board)), &policy, (second + 1) * SECOND);
        assert_eq!(found, expected, "{second}");
    }
    // One more instead of the success, and the window is full.
    fail(board, 200, "E", "");
    fail(board, 201, "E", "");
    assert_eq!(state(&read(&bytes(board)), &policy, 203 * SECOND), State::Failing);
}

#[test]
fn an_end_of_any_kind_shows_that_operations_end() {
    let board = board();
    let slot = &board.slots[0];
    slot.begin_at(SECOND, 0);
    slot.begin_at(SECOND, 1);
    slot.end_without_outcome_at(50 * SECOND, 1);
    assert_eq!(read(&bytes(board)).waiting_since_ns, Some(50 * SECOND));
    slot.ok_at(70 * SECOND);
    assert_eq!(read(&bytes(board)).waiting_since_ns, Some(stamp(70 * SECOND)));
}

#[test]
fn failures_stop_counting_where_the_count_is_full() {
    let board = board();
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
    // In whatever order the words arrive: any prefix, any suffix, any single word.
    for cut in text_words.clone().step_by(8) {
        for (start, end) in [(text_words.start, cut), (cut, text_words.end), (cut, cut + 8)] {
            let mut torn = before.clone();
            torn[start..end].copy_from_slice(&after[start..end]);
            let class = read(&torn).error.class;
            assert!(class == "First" || class == "Second", "{class:?} at {start}..{end}");
        }
    }
    assert_eq!(read(&after).error.class, "Second");
}

#[test]
fn the_newest_text_is_read_also_when_its_number_has_wrapped() {
    let board = board();
    let parts = |class| text::Parts { class, code: "", text: "" };
    board.slots[0].outcome.store(1, Relaxed);
    board.slots[0].texts[0].write(u32::MAX - 1, parts("Older"));
    for class in ["Old", "New", "Newest"] {
        fail(board, 7, class, "");
        assert_eq!(read(&bytes(board)).error.class, class);
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
fn text_that_does_not_fit_is_cut_between_characters() {
    let board = board();
    fail(board, 1, &"ä".repeat(60), &"€".repeat(200));
    let error = read(&bytes(board)).error;
    assert_eq!(error.class, "ä".repeat(32));
    assert_eq!(error.text, "€".repeat(64));
}

#[test]
fn what_is_no_board_of_this_build_is_refused_by_name() {
    let good = bytes(board());
    let with = |at: usize, value: u64| {
        let mut bytes = good.clone();
        bytes[at * 8..at * 8 + 8].copy_from_slice(&value.to_ne_bytes());
        header(&bytes).err().map(|refused| refused.to_string())
    };
    let says = |found: Option<String>, text: &str| {
        assert!(found.as_deref().is_some_and(|f| f.contains(text)), "{found:?}")
    };
    says(header(&[]).err().map(|r| r.to_string()), "found 0 bytes, expected 33792");
    says(with(word::MAGIC, 7), "found magic 0x0000000000000007");
    says(with(word::MAGIC, MAGIC.swap_bytes()), "byte order");
    says(with(word::LAYOUT, 2), "found layout version 2, this build reads 1");
    says(with(word::SIZE, 4096), "found a stated size of 4096 bytes, expected 33792");
    says(with(word::SERVICE, 1), "does not match its checksum");
    assert_eq!(with(word::USED, u64::MAX), None);
}

#[test]
fn who_left_in_good_order_is_not_reported() {
    let copy = bytes(board());
    let mut header = header(&copy).ok().unwrap();
    for (alive, phase, expected) in [
        (true, phase::RUNNING, Some(Life::Alive)),
        (true, phase::DRAINING, Some(Life::Draining)),
        (false, phase::RUNNING, Some(Life::Dead)),
        (false, phase::DRAINING, None),
        (true, phase::GOODBYE, None),
        (false, phase::GOODBYE, None),
        (true, 77, None),
    ] {
        header.phase = phase;
        assert_eq!(process(&header, &copy, alive).map(|p| p.life), expected, "{alive} {phase}");
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
        if let Ok(header) = header(&copy)
            && let Some(process) = process(&header, &copy, true)
        {
            for indicator in process.indicators {
                prop_assert!(!indicator.name.chars().any(char::is_control));
                prop_assert!(!indicator.evidence.error.to_string().chars().any(char::is_control));
            }
        }
    }

    #[test]
    fn a_forged_text_with_a_right_checksum_is_still_clean(data in proptest::collection::vec(any::<u64>(), text::DATA), head: u64) {
        let mut words = vec![head, 0];
        words.extend(data);
        words[1] = words[2..].iter().fold(crate::board::mix(crate::board::SEED, head), |sum, w| crate::board::mix(sum, *w));
        let (error, torn) = text::newest([&words, &vec![0; words.len()]]);
        prop_assert!(!torn);
        prop_assert!(!error.unwrap().to_string().chars().any(char::is_control));
    }
}
