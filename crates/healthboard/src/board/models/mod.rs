//! The board under loom: every interleaving, and for every load every value the memory model allows.
//!
//! `cargo xtask test loom` runs the models as they are, which must pass. Then it switches on each mutant of the board
//! in turn: the model whose `Mutants:` line names it must fail, and all others must pass. So each model asserts one
//! property, which depends on the lines that its mutants change.

mod flight;
mod process;
mod refresh;
mod streak;
mod text;

use super::slot::{self, Ended, Slot};
use super::sync::{AtomicU32, AtomicU64, Ordering::Relaxed};
use super::text::{Parts, Text};
use crate::read::{Evidence, evidence_of};
use loom::sync::Arc;
use loom::thread;

/// The unit of time in these models: one whole stamp.
const T: u64 = slot::COUNT + 1;

/// A time span that is longer than any of these models takes.
const LONG: u64 = 100;

fn zeroes<const N: usize>() -> [AtomicU64; N] {
    std::array::from_fn(|_| AtomicU64::new(0))
}

impl Slot {
    fn new() -> Slot {
        let zero = || AtomicU64::new(0);
        Slot {
            outcome: zero(),
            streak: zero(),
            last_failure: zero(),
            last_end: zero(),
            refreshed: zero(),
            work_failure: zero(),
            abandoned_since: zero(),
            abandoned_until: zero(),
            refresh_begun: zero(),
            capacity: zero(),
            beyond: zero(),
            ineffective_refresh: zero(),
            earlier_failure: AtomicU64::new(0),
            unused: zeroes(),
            begun: zeroes(),
            descriptor: zeroes(),
            texts: [Text::new(), Text::new()],
        }
    }
}

/// A slot with its lock, in whole units of time.
struct World {
    slot: Slot,
    lock: AtomicU32,
}

impl World {
    /// A slot on which these outcomes have been recorded.
    fn after(record: impl Fn(&World)) -> World {
        let world = World::new();
        record(&world);
        world
    }

    fn new() -> World {
        World { slot: Slot::new(), lock: AtomicU32::new(0) }
    }

    fn ok(&self, at: u64) {
        self.slot.ok_at(at * T);
    }

    fn fail(&self, at: u64) {
        self.slot.fail_at(at * T, &self.lock, Ended::Work { by_work: false }, None);
    }

    fn fail_by_work(&self, at: u64) {
        self.slot.fail_at(at * T, &self.lock, Ended::Work { by_work: true }, None);
    }

    /// A failure whose class and text are the same, so that a torn one shows.
    fn fail_with(&self, at: u64, text: &str) {
        let parts = Parts { class: text, code: "", text };
        self.slot.fail_at(at * T, &self.lock, Ended::Work { by_work: false }, Some(parts));
    }

    fn refreshed(&self, at: u64) {
        self.slot.refreshed_at(at * T);
    }

    fn abandon(&self, begun: u64, at: u64, slow_after: u64) {
        self.slot.abandon_at(at * T, begun * T, slow_after * T, &self.lock, false);
    }

    /// The evidence that another process reads from its copy: nothing orders these loads.
    fn read(&self) -> Evidence {
        self.read_by(|word| word.load(Relaxed))
    }

    /// The evidence after both threads have ended. (After a join loom still lets a plain load see either of two stores
    /// that raced; a read-modify-write sees the last one.)
    fn read_last(&self) -> Evidence {
        self.read_by(|word| word.fetch_add(0, Relaxed))
    }

    fn read_by(&self, load: impl Fn(&AtomicU64) -> u64) -> Evidence {
        let slot = &self.slot;
        let texts = slot.texts.iter().flat_map(Text::words);
        let words: Vec<u64> = slot.words().chain(&slot.descriptor).chain(texts).map(load).collect();
        evidence_of(&words)
    }
}

/// Calls `make`, has two threads act on the result at the same time, and calls `check` when both have ended.
///
/// Runs twice, so that loom starts with each of the two threads once. Loom skips interleavings that it considers
/// equivalent, and it forgets a load if the other thread has loaded the same word since. What it misses with one thread
/// first it finds with the other thread first. A reader that runs second still sees every mixture of old and new words,
/// since its loads are relaxed.
fn race<S, R>(
    make: impl Fn() -> S + Copy + Send + Sync + 'static,
    one: impl Fn(&S) -> R + Copy + Send + Sync + 'static,
    other: impl Fn(&S) -> R + Copy + Send + Sync + 'static,
    check: impl Fn(&S, [R; 2]) + Copy + Send + Sync + 'static,
) where
    S: Send + Sync + 'static,
    R: Send + 'static,
{
    race_within(None, make, one, other, check);
}

/// Like [`race`], but with a bound on the number of preemptions. For models in which all interleavings take too long.
fn race_within<S, R>(
    preemptions: Option<usize>,
    make: impl Fn() -> S + Copy + Send + Sync + 'static,
    one: impl Fn(&S) -> R + Copy + Send + Sync + 'static,
    other: impl Fn(&S) -> R + Copy + Send + Sync + 'static,
    check: impl Fn(&S, [R; 2]) + Copy + Send + Sync + 'static,
) where
    S: Send + Sync + 'static,
    R: Send + 'static,
{
    for one_is_first in [true, false] {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = preemptions;
        builder.check(move || {
            let shared = Arc::new(make());
            let spawn_one = || {
                let shared = shared.clone();
                thread::spawn(move || one(&shared))
            };
            let spawn_other = || {
                let shared = shared.clone();
                thread::spawn(move || other(&shared))
            };
            let (one, other) = if one_is_first {
                let one = spawn_one();
                (one, spawn_other())
            } else {
                let other = spawn_other();
                (spawn_one(), other)
            };
            let ended = [one.join().unwrap(), other.join().unwrap()];
            check(&shared, ended);
        });
    }
}
