//! The slot under loom: every interleaving, and for every load every value the memory model allows.
//!
//! `cargo xtask test loom` runs the models, and then each of them against the mutants named beside it, which must die.

use super::read::{LANE, TEXTS, WORDS, evidence};
use super::slot::{LANES, Lane, Slot};
use super::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};
use super::text::{Parts, Text};
use super::{descriptor, slot};
use crate::Evidence;
use loom::sync::Arc;
use loom::thread;

/// The unit of time in these models: whole stamps.
const T: u64 = slot::COUNT + 1;

struct World {
    slot: Slot,
    lock: AtomicU32,
}

impl World {
    fn new() -> World {
        let zero = || AtomicU64::new(0);
        let slot = Slot {
            outcome: zero(),
            streak: zero(),
            last_failure: zero(),
            last_end: zero(),
            lanes: std::array::from_fn::<_, LANES, _>(|_| Lane(zero())),
            descriptor: std::array::from_fn::<_, { descriptor::WORDS }, _>(|_| zero()),
            texts: [Text::new(), Text::new()],
        };
        World { slot, lock: AtomicU32::new(0) }
    }

    fn ok(&self, at: u64) {
        self.slot.ok_at(at * T);
    }

    fn fail(&self, at: u64) {
        self.slot.fail_at(at * T, &self.lock, None);
    }

    fn fail_with(&self, at: u64, class: &str) {
        self.slot.fail_at(at * T, &self.lock, Some(Parts { class, code: "", text: "" }));
    }

    /// What another process makes of its copy: nothing orders these loads.
    fn read(&self) -> Evidence {
        self.read_by(|word| word.load(Relaxed))
    }

    /// What is there in the end. (After a join loom still lets a plain load see either of two stores that raced; a
    /// read-modify-write sees the last one.)
    fn read_last(&self) -> Evidence {
        self.read_by(|word| word.fetch_add(0, Relaxed))
    }

    fn read_by(&self, load: impl Fn(&AtomicU64) -> u64) -> Evidence {
        let mut words = [0; WORDS];
        let slot = &self.slot;
        for (i, word) in
            [&slot.outcome, &slot.streak, &slot.last_failure, &slot.last_end].into_iter().enumerate()
        {
            words[i] = load(word);
        }
        for (i, lane) in slot.lanes.iter().enumerate() {
            words[(i + 1) * LANE] = load(&lane.0);
        }
        for (i, word) in slot.texts.iter().flat_map(Text::words).enumerate() {
            words[TEXTS + i] = load(word);
        }
        evidence(&words)
    }
}

/// Mutants: `streak-without-tag`.
#[test]
fn a_reader_never_takes_an_old_streak_for_the_present_one() {
    loom::model(|| {
        let world = World::new();
        world.fail(1);
        world.ok(2);
        let world = Arc::new(world);
        let writer = {
            let world = world.clone();
            thread::spawn(move || {
                world.fail(3);
                world.fail(4);
            })
        };
        let seen = world.read();
        assert!(seen.failures == 0 || seen.failing_since_ns.is_none_or(|since| since == 3 * T));
        writer.join().unwrap();
        let end = world.read_last();
        assert_eq!((end.failures, end.failing_since_ns), (2, Some(3 * T)));
    });
}

/// Mutants: `blind-failure-store`.
#[test]
fn a_success_is_never_lost_to_a_failure_at_the_same_time() {
    loom::model(|| {
        let world = World::new();
        world.ok(1);
        let world = Arc::new(world);
        let other = {
            let world = world.clone();
            thread::spawn(move || world.ok(3))
        };
        world.fail(2);
        other.join().unwrap();
        let end = world.read_last();
        assert_eq!(end.last_success_ns, Some(3 * T));
        assert!(end.failures == 0 || end.failing_since_ns == Some(2 * T));
    });
}

/// Mutants: `streak-restarts`.
#[test]
fn a_success_in_the_tick_of_a_failure_ends_the_streak() {
    loom::model(|| {
        let world = World::new();
        world.ok(1);
        world.fail(1);
        world.fail(2);
        assert_eq!((world.read().failures, world.read().failing_since_ns), (2, Some(T)));
        world.ok(1);
        assert_eq!((world.read().failures, world.read().last_success_ns), (0, Some(T)));
    });
}

/// Mutants: `lock-without-acquire`, `lock-without-release`.
#[test]
fn two_failures_at_once_are_both_counted_and_both_texts_whole() {
    loom::model(|| {
        let world = Arc::new(World::new());
        let other = {
            let world = world.clone();
            thread::spawn(move || world.fail_with(1, "a"))
        };
        world.fail_with(1, "b");
        other.join().unwrap();
        assert_eq!(world.read_last().failures, 2);
        let numbers = [world.slot.texts[0].number(), world.slot.texts[1].number()];
        assert!(numbers == [1, 2] || numbers == [2, 1], "{numbers:?}");
    });
}

/// Mutants: `one-text-buffer`.
#[test]
fn while_a_text_is_written_the_one_before_is_read() {
    loom::model(|| {
        let world = World::new();
        world.fail_with(1, "a");
        let world = Arc::new(world);
        let writer = {
            let world = world.clone();
            thread::spawn(move || world.fail_with(2, "b"))
        };
        let seen = world.read().error.class;
        assert!(seen == "a" || seen == "b", "{seen:?}");
        writer.join().unwrap();
        assert_eq!(world.read_last().error.class, "b");
    });
}

/// Mutants: `end-in-two-steps`.
#[test]
fn operations_of_two_threads_in_one_lane_all_end() {
    loom::model(|| {
        let world = Arc::new(World::new());
        let other = {
            let world = world.clone();
            thread::spawn(move || {
                world.slot.begin_at(T, 0);
                world.slot.end(0);
            })
        };
        world.slot.begin_at(T, 0);
        assert!((1..=2).contains(&world.read().in_flight));
        world.slot.end(0);
        other.join().unwrap();
        assert_eq!(world.read_last().in_flight, 0);
    });
}
