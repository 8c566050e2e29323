//! One indicator on the board: who writes which word, and what a reader may conclude from any mixture of them.
//!
//! # The words
//!
//! | word | written by | holds |
//! | --- | --- | --- |
//! | `outcome` | everybody | stamp of the newest success, and the failures since |
//! | `streak` | failure | stamp of the first of these failures, tagged with the success it follows |
//! | `last_failure` | failure | stamp of the newest failure |
//! | `last_end` | an end without outcome | its stamp |
//! | `lanes[i]` | begin and end | stamp of when the lane became busy, and its operations in flight |
//! | `texts[i]` | failure | class, code and text of a failure, with number and checksum |
//!
//! A *stamp* is the coarse monotonic clock in nanoseconds without its low 22 bits, 4.2 ms, which is about the clock's own
//! tick; a count lives in the low bits. So "newest success" and "failures since" are ONE word, and the newest outcome is a
//! failure exactly when the count is not zero. There is no order of two words to get wrong.
//!
//! # Orderings
//!
//! A reader of another process copies the slot with `pread`. Nothing says in which order the kernel copies words, so an
//! ordering in the writer could not help it. The slot is therefore made so that *any mixture of old and new words* is either
//! right or detected, which is what the loom models check with relaxed loads:
//!
//! - `outcome` alone decides passing or not, and how many failures.
//! - `streak` counts only if its tag names the success in `outcome`. A streak of an earlier time is thus never taken for the
//!   present one; the reader then knows how many failures there were, but not since when, and says *transient*, not
//!   *failing*.
//! - `last_failure`, `last_end` and the lanes may each be older than `outcome`; that makes an age larger by the duration of
//!   a few stores.
//! - A text counts only if its checksum matches, and the other buffer still holds the text before. A process that dies in
//!   mid-write leaves that one whole.
//!
//! So every access to these words is `Relaxed`, but for one pair: the writers' lock. Its `Acquire` on taking pairs with its
//! `Release` on letting go, so that the next failure sees the text, the number and the streak of the one before, and never
//! writes into the buffer that is newest. The lock is not on the board: another process could hold it for ever.

use super::sync::{AtomicU32, AtomicU64, Ordering, mutant};
use super::text::{self, Text};
use Ordering::{Acquire, Relaxed, Release};

/// The low bits of a stamp word, which count.
pub(crate) const COUNT: u64 = (1 << 22) - 1;

/// In-flight operations are counted in this many lanes, each with a cache line of its own, so that threads do not share one.
pub(crate) const LANES: usize = 4;

/// A word with a cache line of its own.
#[repr(C, align(64))]
pub(crate) struct Lane(pub(crate) AtomicU64);

/// The evidence of one indicator. `repr(C)`: this is the file format.
#[repr(C, align(64))]
pub(crate) struct Slot {
    pub(crate) outcome: AtomicU64,
    pub(crate) streak: AtomicU64,
    pub(crate) last_failure: AtomicU64,
    pub(crate) last_end: AtomicU64,
    pub(crate) lanes: [Lane; LANES],
    pub(crate) descriptor: [AtomicU64; super::descriptor::WORDS],
    pub(crate) texts: [Text; 2],
}

/// A time without the bits that count.
#[inline]
pub(crate) const fn stamp(now_ns: u64) -> u64 {
    now_ns & !COUNT
}

/// The part of a success's stamp that a streak carries in its low bits: changes with every stamp for five hours.
pub(crate) const fn tag(outcome: u64) -> u64 {
    (outcome >> 22) & COUNT
}

impl Slot {
    /// Records a success. Wait-free; one store, or none while the stamp is unchanged.
    #[inline]
    pub(crate) fn ok_at(&self, now_ns: u64) {
        let stamp = stamp(now_ns);
        // With a failure recorded since, the word differs from any stamp: the store is never skipped then.
        if self.outcome.load(Relaxed) != stamp {
            #[cfg(not(loom))]
            self.outcome.store(stamp, Relaxed);
            // Loom lets a failure's exchange and a plain store each come last; the language gives one order to both.
            #[cfg(loom)]
            self.outcome.swap(stamp, Relaxed);
        }
    }

    /// Records a failure. `lock` is this slot's, in the process's own memory. Other failures of this slot wait for the time
    /// of some stores; successes never do.
    pub(crate) fn fail_at(&self, now_ns: u64, lock: &AtomicU32, failure: Option<text::Parts<'_>>) {
        let _held = Held::take(lock);
        self.last_failure.store(now_ns, Relaxed);
        if let Some(parts) = failure {
            self.write_text(parts);
        }
        let mut outcome = self.outcome.load(Relaxed);
        loop {
            // Before the count shows it: a reader that mixes up the two is caught by the tag.
            if outcome & COUNT == 0 || mutant("streak-restarts") {
                let tag = if mutant("streak-without-tag") { 0 } else { tag(outcome) };
                self.streak.store(stamp(now_ns) | tag, Relaxed);
            }
            let next = if outcome & COUNT == COUNT { outcome } else { outcome + 1 };
            if mutant("blind-failure-store") {
                self.outcome.store(next, Relaxed);
                return;
            }
            match self.outcome.compare_exchange_weak(outcome, next, Relaxed, Relaxed) {
                Ok(_) => return,
                // A success came in between: the streak begins with this failure.
                Err(newer) => outcome = newer,
            }
        }
    }

    fn write_text(&self, parts: text::Parts<'_>) {
        let number = |i: usize| self.texts[i].number();
        let newest = usize::from(text::follows(number(1), number(0)));
        let target = if mutant("one-text-buffer") { newest } else { 1 - newest };
        self.texts[target].write(number(newest).wrapping_add(1), parts);
    }

    /// An operation begins; `lane` is below [`LANES`].
    #[inline]
    pub(crate) fn begin_at(&self, now_ns: u64, lane: usize) {
        let lane = &self.lanes[lane].0;
        let mut word = lane.load(Relaxed);
        loop {
            let next = if word & COUNT == 0 { stamp(now_ns) | 1 } else { word + 1 };
            match lane.compare_exchange_weak(word, next, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(newer) => word = newer,
            }
        }
    }

    /// An operation that began in this lane ends.
    #[inline]
    pub(crate) fn end(&self, lane: usize) {
        let lane = &self.lanes[lane].0;
        if mutant("end-in-two-steps") {
            lane.store(lane.load(Relaxed) - 1, Relaxed);
            return;
        }
        lane.fetch_sub(1, Relaxed);
    }

    /// An operation ends without an outcome: that too is a sign that operations do end.
    pub(crate) fn end_without_outcome_at(&self, now_ns: u64, lane: usize) {
        self.last_end.store(now_ns, Relaxed);
        self.end(lane);
    }
}

/// A lock for the time of some stores. Zero is free, so that wiped memory (a forked child's) is a free lock.
struct Held<'a>(&'a AtomicU32);

impl<'a> Held<'a> {
    fn take(lock: &'a AtomicU32) -> Held<'a> {
        let acquire = if mutant("lock-without-acquire") { Relaxed } else { Acquire };
        // Acquire pairs with the Release in `drop`: what the last holder wrote to the slot is seen.
        while lock.compare_exchange_weak(0, 1, acquire, Relaxed).is_err() {
            #[cfg(loom)]
            loom::thread::yield_now();
            #[cfg(not(loom))]
            std::thread::yield_now();
        }
        Held(lock)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let release = if mutant("lock-without-release") { Relaxed } else { Release };
        self.0.store(0, release);
    }
}
