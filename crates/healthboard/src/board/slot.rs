//! One indicator on the board: which operation writes which word, and what a reader may conclude from any mixture of
//! them.
//!
//! # The words
//!
//! | word | written by | holds |
//! | --- | --- | --- |
//! | `outcome` | success, failure | stamp of the newest success of the work, and the failures since |
//! | `streak` | failure | stamp of the first of these failures, tagged with the successes it follows |
//! | `last_failure` | failure | time of the newest failure |
//! | `last_end` | failure of the work, end without evidence | its time: like a success, it shows that operations end |
//! | `refreshed` | success of a refresh | its stamp |
//! | `work_failure` | failure that no refresh can have | its time; only work clears it; 0 when a streak begins without one |
//! | `abandoned_since`, `abandoned_until` | abandoned operation | start and end of the present run of them |
//! | `refresh_begun` | begin and end of a refresh | time at which it began, or 0 |
//! | `capacity` | `set_capacity` | the most operations that can be in flight at once, or 0 |
//! | `begun[i]` | begin and end | time at which one operation in flight began, or 0 |
//! | `beyond` | begin and end | count of operations in flight without a `begun`, with a stamp of its last rise from 0 |
//! | `ineffective_refresh` | success of a refresh | its stamp, while there is a failure that only work clears |
//! | `earlier_failure` | first failure of a streak | time of the newest failure of the streak before, or 0 |
//! | `texts[i]` | failure | class, code and text of a failure, with number and checksum |
//!
//! A *stamp* is a time of the coarse monotonic clock in nanoseconds with its low 22 bits cleared. Its resolution is 4.2 ms,
//! about one tick of that clock. The low bits hold a count. So "newest success" and "failures since" are ONE word, and the
//! newest outcome of the work is a failure exactly when the count is not zero. The order of two stores does not matter.
//!
//! A success of a refresh has its own word for two reasons: it does not end the work's operations, and it does not clear a
//! failure that no refresh can have. The reader decides whether it came after the newest failure. A refresh that succeeds
//! without clearing anything has yet another word, because it must not change the tag of the current streak.
//!
//! # Orderings
//!
//! A reader in another process copies the slot with `pread`. The kernel copies words in no specified order, so an ordering
//! in the writer would not help the reader. The slot is therefore designed so that *any mixture of old and new words* is
//! either correct or detected. The loom models check this with relaxed loads:
//!
//! - `outcome` alone decides how many failures came after the work's newest success.
//! - `streak` counts only if its tag names the successes in `outcome` and `refreshed`. An earlier streak is thus never
//!   taken for the present one. If the tag does not match, the reader knows the number of failures, but not when they
//!   began, and says *transient*, not *failing*.
//! - `last_failure` older than the streak makes the streak look shorter, never longer.
//! - `earlier_failure` and `last_failure` of different moments make the time between two streaks look longer, or zero. A reader
//!   then sees an intermittent failure one copy later, or takes the first failure of a streak for one, which is transient anyway.
//! - `last_end` and `begun` may each be older than `outcome`. That makes an age larger by the duration of a few stores.
//! - `abandoned_since` counts only while it is not older than the newest end, and `abandoned_until` only prolongs it.
//! - A text counts only if its checksum matches. The other buffer still holds the previous text, and it stays intact even
//!   if the process dies during a write.
//!
//! So every access to these words is `Relaxed`. The only exception is the writers' lock. Its `Acquire` when taken pairs
//! with its `Release` when dropped, so that the next failure sees the text, the number and the streak of the previous one
//! and never overwrites the newest buffer. The lock is not on the board, where another process could hold it indefinitely.

use super::sync::{AtomicU32, AtomicU64, Ordering, mutant, unless};
use super::text::{self, Text};
use Ordering::{Acquire, Relaxed, Release};

/// The low bits of a stamp word, which hold a count.
pub(crate) const COUNT: u64 = (1 << 22) - 1;

/// The number of operations in flight whose begin a slot records.
#[cfg(not(loom))]
pub(crate) const BEGUN: usize = 32;
#[cfg(loom)]
pub(crate) const BEGUN: usize = 2;

/// Words in a cache line.
const LINE: usize = 8;

/// The evidence of one indicator. It is `repr(C)` because this is the file format.
#[repr(C, align(64))]
pub(crate) struct Slot {
    pub(crate) outcome: AtomicU64,
    pub(crate) streak: AtomicU64,
    pub(crate) last_failure: AtomicU64,
    pub(crate) last_end: AtomicU64,
    pub(crate) refreshed: AtomicU64,
    pub(crate) work_failure: AtomicU64,
    pub(crate) abandoned_since: AtomicU64,
    pub(crate) abandoned_until: AtomicU64,
    pub(crate) refresh_begun: AtomicU64,
    pub(crate) capacity: AtomicU64,
    pub(crate) beyond: AtomicU64,
    pub(crate) ineffective_refresh: AtomicU64,
    pub(crate) earlier_failure: AtomicU64,
    pub(crate) unused: [AtomicU64; 3],
    pub(crate) begun: [AtomicU64; BEGUN],
    pub(crate) descriptor: [AtomicU64; super::descriptor::WORDS],
    pub(crate) texts: [Text; 2],
}

/// The kind of operation that ended with a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// An operation of the work. `by_work`: no refresh can have this failure, so only work clears it.
    Work { by_work: bool },
    /// A refresh. It does not count as an end of the work's operations.
    Refresh,
    /// An operation of the work that its caller has abandoned. It has not ended.
    Abandoned,
}

/// The index of an operation in `begun`. An operation with an index of [`BEGUN`] or above is counted in `beyond`.
pub(crate) type Cell = u32;

/// A time without the bits of the count.
#[inline]
pub(crate) const fn stamp(now_ns: u64) -> u64 {
    now_ns & !COUNT
}

/// A digest of the newest successes, which a streak carries in its low bits.
pub(crate) fn tag(outcome: u64, refreshed: u64) -> u64 {
    let outcome = if mutant("tag-without-success") { 0 } else { outcome };
    let refreshed = if mutant("tag-without-refresh") { 0 } else { refreshed };
    (outcome >> 22).wrapping_add((refreshed >> 22).wrapping_mul(0x9e37_79b1)) & COUNT
}

/// Whether a refresh has cleared the failures that `outcome` counts.
///
/// It has not in three cases: the refresh is older than the newest failure; the refresh is not newer than the newest
/// success of the work, which is older than the failures; or only work clears one of the failures.
pub(crate) fn is_cleared(outcome: u64, last_failure: u64, refreshed: u64, work_failure: u64) -> bool {
    (refreshed >= stamp(last_failure) || mutant("refresh-clears-newer"))
        && refreshed > stamp(outcome)
        && (!needs_work(outcome, work_failure) || mutant("refresh-clears-work-failure"))
}

/// Whether there is a failure that only work clears. Its stamp may equal that of the success before it.
const fn needs_work(outcome: u64, work_failure: u64) -> bool {
    outcome & COUNT != 0 && work_failure != 0 && stamp(work_failure) >= stamp(outcome)
}

impl Slot {
    /// The words before the descriptor, in the order of the file.
    pub(crate) fn words(&self) -> impl Iterator<Item = &AtomicU64> {
        let times = [&self.outcome, &self.streak, &self.last_failure, &self.last_end, &self.refreshed];
        let more = [&self.work_failure, &self.abandoned_since, &self.abandoned_until, &self.refresh_begun];
        let counts = [&self.capacity, &self.beyond, &self.ineffective_refresh, &self.earlier_failure];
        times.into_iter().chain(more).chain(counts).chain(&self.unused).chain(&self.begun)
    }

    /// Records a success of the work. Wait-free; one store, or none while the stamp is unchanged.
    #[inline]
    pub(crate) fn ok_at(&self, now_ns: u64) {
        let stamp = stamp(now_ns);
        // After a failure the word holds a count, so it differs from every stamp and the store is not skipped.
        let outcome = self.outcome.load(Relaxed);
        let outcome = if mutant("success-compared-by-stamp") { outcome & !COUNT } else { outcome };
        if outcome != stamp {
            #[cfg(not(loom))]
            self.outcome.store(stamp, Relaxed);
            // The stores and exchanges of one word have a total order, in which an exchange directly follows the value
            // it has read. Loom models that only for exchanges.
            #[cfg(loom)]
            self.outcome.swap(stamp, Relaxed);
        }
    }

    /// Records a failure. `lock` is this slot's lock in the process's own memory. It is held for a few stores: concurrent
    /// failures of this slot wait for it, successes never do.
    pub(crate) fn fail_at(
        &self,
        now_ns: u64,
        lock: &AtomicU32,
        ended: Ended,
        failure: Option<text::Parts<'_>>,
    ) {
        let _held = Held::take(lock);
        self.fail_locked(now_ns, ended, failure);
    }

    fn fail_locked(&self, now_ns: u64, ended: Ended, failure: Option<text::Parts<'_>>) {
        let last_failure = self.last_failure.load(Relaxed);
        let work_failure = self.work_failure.load(Relaxed);
        self.last_failure.store(now_ns, Relaxed);
        if ended == Ended::Abandoned && mutant("abandoned-is-an-end") {
            self.last_end.store(now_ns, Relaxed);
        }
        if let Ended::Work { .. } = ended {
            self.last_end.store(now_ns, Relaxed);
        }
        let by_work = matches!(ended, Ended::Work { by_work: true });
        if by_work {
            self.work_failure.store(now_ns, Relaxed);
        }
        if let Some(parts) = failure {
            self.write_text(parts);
        }
        let refreshed = self.refreshed.load(Relaxed);
        let before = self.streak.load(Relaxed);
        let mut outcome = self.outcome.load(Relaxed);
        loop {
            let cleared = is_cleared(outcome, last_failure, refreshed, work_failure);
            // A refresh that succeeded while a failure was being recorded leaves a streak whose tag matches nothing.
            // Unless a new streak begins here, the indicator could never become failing.
            let orphaned = before & COUNT != tag(outcome, refreshed) && !mutant("orphaned-streak-stays");
            let begins = outcome & COUNT == 0 || cleared || orphaned;
            // A reader that sees only one of these stores and the count below detects the mixture by the tag.
            if begins || mutant("streak-restarts") {
                self.streak.store(stamp(now_ns) | tag(outcome, refreshed), Relaxed);
                self.earlier_failure.store(last_failure, Relaxed);
            }
            if outcome & COUNT == 0 && !by_work {
                self.work_failure.store(0, Relaxed);
            }
            let next = match outcome & COUNT {
                _ if begins => stamp(outcome) | 1,
                COUNT => outcome,
                _ => outcome + 1,
            };
            if mutant("failure-by-store") {
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

    /// Records that the caller of an operation has abandoned it. The operation has not ended, so `last_end` does not
    /// change. At an age of `slow_after_ns` or more it is also a failure, whose code contains the age. `with_text` says
    /// whether class and code are kept.
    ///
    /// Abandoned operations that follow each other within `slow_after_ns` form one run: a caller that retries after each
    /// timeout waits for the same thing all the time.
    pub(crate) fn abandon_at(
        &self,
        now_ns: u64,
        begun_ns: u64,
        slow_after_ns: u64,
        lock: &AtomicU32,
        with_text: bool,
    ) {
        let _held = Held::take(lock);
        let last_end = self.last_end.load(Relaxed).max(stamp(self.outcome.load(Relaxed)));
        let since = self.abandoned_since.load(Relaxed);
        let until = self.abandoned_until.load(Relaxed);
        let is_over = since < last_end && !mutant("abandoned-run-outlives-an-end");
        // An operation that was in flight within `slow_after_ns` of the last abandonment continues the run, whatever other
        // operations begin or end meanwhile.
        let next = self.begun.iter().map(|begun| begun.load(Relaxed)).filter(|begun| *begun != 0);
        let beyond = self.beyond.load(Relaxed);
        let next = next.chain((beyond & COUNT != 0).then_some(stamp(beyond))).fold(begun_ns, u64::min);
        let is_apart = next > until.saturating_add(slow_after_ns) && !mutant("abandoned-run-spans-a-gap");
        // An operation that began before the newest end counts as waiting since that end.
        let waits_from = if mutant("abandoned-since-its-begin") { begun_ns } else { begun_ns.max(last_end) };
        if since == 0 || is_over || is_apart || waits_from < since {
            self.abandoned_since.store(waits_from, Relaxed);
        }
        self.abandoned_until.store(now_ns, Relaxed);
        let age_ns = now_ns.saturating_sub(begun_ns);
        if age_ns >= slow_after_ns {
            let code = format!("after {} s", age_ns / 1_000_000_000);
            let parts = text::Parts { class: "Abandoned", code: &code, text: "" };
            self.fail_locked(now_ns, Ended::Abandoned, with_text.then_some(parts));
        }
    }

    fn write_text(&self, parts: text::Parts<'_>) {
        let number = |i: usize| self.texts[i].number();
        let newest = usize::from(text::follows(number(1), number(0)));
        let target = if mutant("one-text-buffer") { newest } else { 1 - newest };
        self.texts[target].write(number(newest).wrapping_add(1), parts);
    }

    /// Begins an operation at `now_ns`. `thread` is a small number per thread. Threads with different numbers start their
    /// search on different cache lines, as long as there are enough of them.
    ///
    /// Costs one exchange if the thread's own cell is free. Otherwise it tries the other cells in turn.
    #[inline]
    pub(crate) fn begin_at(&self, now_ns: u64, thread: usize) -> Cell {
        let first = (thread * LINE + thread / (BEGUN / LINE).max(1)) % BEGUN;
        for i in 0..BEGUN {
            let cell = (first + i) % BEGUN;
            let begun = &self.begun[cell];
            if mutant("begin-without-exchange") {
                if begun.load(Relaxed) == 0 {
                    begun.store(now_ns.max(1), Relaxed);
                    return cell as Cell;
                }
                continue;
            }
            if begun.load(Relaxed) == 0 && begun.compare_exchange(0, now_ns.max(1), Relaxed, Relaxed).is_ok()
            {
                return cell as Cell;
            }
        }
        self.count_beyond(!mutant("beyond-in-two-steps"), |beyond| match beyond & COUNT {
            0 => stamp(now_ns) | 1,
            COUNT => beyond,
            _ => beyond + 1,
        });
        BEGUN as Cell
    }

    /// Frees the cell of an operation that is no longer in flight.
    #[inline]
    pub(crate) fn end(&self, cell: Cell) {
        match self.begun.get(cell as usize) {
            Some(begun) => begun.store(0, Relaxed),
            // The count is 0 if the board was overwritten since the begin.
            None => self.count_beyond(!mutant("end-beyond-in-two-steps"), |beyond| match beyond & COUNT {
                0 => beyond,
                _ => beyond - 1,
            }),
        }
    }

    /// Changes the count of operations without a cell, and the time at which it last rose from zero. Both share one word, so
    /// a reader never sees the count of one period with the time of another.
    #[cold]
    fn count_beyond(&self, at_once: bool, next: impl Fn(u64) -> u64) {
        let mut beyond = self.beyond.load(Relaxed);
        if !at_once {
            return self.beyond.store(next(beyond), Relaxed);
        }
        while let Err(newer) = self.beyond.compare_exchange_weak(beyond, next(beyond), Relaxed, Relaxed) {
            beyond = newer;
        }
    }

    /// Begins a refresh at `now_ns`. A process has one at a time per indicator; a second one overwrites the begin of the
    /// first.
    pub(crate) fn begin_refresh_at(&self, now_ns: u64) {
        self.refresh_begun.store(now_ns.max(1), Relaxed);
    }

    /// Records that the refresh has succeeded.
    pub(crate) fn refreshed_at(&self, now_ns: u64) {
        let ineffective = needs_work(self.outcome.load(Relaxed), self.work_failure.load(Relaxed))
            && !mutant("ineffective-refresh-changes-the-tag");
        let word = if ineffective { &self.ineffective_refresh } else { &self.refreshed };
        word.store(stamp(now_ns), Relaxed);
        if mutant("refresh-is-an-end") {
            self.last_end.store(now_ns, Relaxed);
        }
    }

    /// Records that the refresh is no longer in flight.
    pub(crate) fn end_refresh(&self) {
        self.refresh_begun.store(0, Relaxed);
    }
}

/// A spin lock that is held for a few stores. Zero means free, so the wiped memory of a forked child is a free lock.
struct Held<'a>(&'a AtomicU32);

impl<'a> Held<'a> {
    fn take(lock: &'a AtomicU32) -> Held<'a> {
        // Acquire pairs with the Release in `drop`: this thread sees what the previous owner of the lock wrote to the slot.
        while lock.compare_exchange_weak(0, 1, unless("lock-without-acquire", Acquire), Relaxed).is_err()
            && !mutant("lock-without-exclusion")
        {
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
        self.0.store(0, unless("lock-without-release", Release));
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
