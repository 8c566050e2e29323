//! One real piece of work, from its beginning to its end.

use super::{Indicator, Outcome};
use crate::board::slot::{Cell, Ended, Slot};
use crate::board::sync::AtomicU32;
use crate::config::{ErrorDetail, Policy};
use crate::failure::Failure;
use std::cell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::panicking;

/// An operation in flight. It ends with [`ok`](Operation::ok), [`fail`](Operation::fail), [`end`](Operation::end) or
/// [`no_evidence`](Operation::no_evidence).
///
/// An operation that is dropped is *abandoned*: cancelled, or given up by its caller. Abandoned does not mean ended. At an
/// age below the policy's `slow_after` that is no evidence; from that age on it is a failure of the class `Abandoned`. Leaving
/// a function by `?` abandons it: use [`Indicator::record`] or [`observe`](Indicator::observe) where a result decides. An
/// operation that a panic drops is a failure of the class `panic`. A dropped refresh is no evidence.
///
/// An operation may end in another thread. It belongs to the process in which it began: its end in a forked child does
/// nothing.
#[must_use = "an operation that is dropped at once was never in flight"]
pub struct Operation {
    indicator: Indicator,
    begun_ns: u64,
    /// The id of this process's board at the begin; 0 if there was none.
    process_id: u64,
    cell: Cell,
    is_refresh: bool,
    /// Whether a panic that drops it is not its own: the thread was panicking when it began, or it is suspended.
    ignores_panic: bool,
}

impl Operation {
    #[inline]
    fn new(indicator: Indicator, is_refresh: bool) -> Operation {
        Operation { indicator, begun_ns: 0, process_id: 0, cell: 0, is_refresh, ignores_panic: panicking() }
    }

    /// Begins to run again in this thread.
    pub(super) fn resume(&mut self) {
        self.ignores_panic = panicking();
    }

    /// Waits. A panic that drops it meanwhile is somebody else's.
    pub(super) fn suspend(&mut self) {
        self.ignores_panic = true;
    }

    #[inline]
    pub(super) fn begin(indicator: Indicator) -> Operation {
        let mut operation = Operation::new(indicator, false);
        indicator.service.with_slot(indicator.index as usize, |slot, page| {
            operation.begun_ns = indicator.service.anchor.now_ns();
            operation.process_id = page.id();
            operation.cell = slot.begin_at(operation.begun_ns, thread());
        });
        operation
    }

    pub(super) fn begin_refresh(indicator: Indicator) -> Operation {
        let mut operation = Operation::new(indicator, true);
        indicator.service.with_slot(indicator.index as usize, |slot, page| {
            operation.begun_ns = indicator.service.anchor.now_ns();
            operation.process_id = page.id();
            slot.begin_refresh_at(operation.begun_ns);
        });
        operation
    }

    /// Ends it with a success.
    #[inline]
    pub fn ok(self) {
        if let Some((slot, _)) = self.slot() {
            let now_ns = self.indicator.service.anchor.now_ns();
            match self.is_refresh {
                false => slot.ok_at(now_ns),
                true => slot.refreshed_at(now_ns),
            }
            self.leave(slot);
        }
        std::mem::forget(self);
    }

    /// Ends it with a failure; see [`Indicator::record_fail`].
    #[cold]
    pub fn fail(self, failure: &Failure) {
        if let Some((slot, lock)) = self.slot() {
            let ended = match self.is_refresh {
                false => Ended::Work { by_work: failure.by_work },
                true => Ended::Refresh,
            };
            self.indicator.fail(slot, lock, ended, failure);
            self.leave(slot);
        }
        std::mem::forget(self);
    }

    /// Ends it without evidence of success or failure. For an operation of the work it still counts as an end: an
    /// indicator whose operations end is not stalled.
    pub fn no_evidence(self) {
        if let Some((slot, _)) = self.slot() {
            if !self.is_refresh {
                slot.last_end.store(self.indicator.service.anchor.now_ns(), Relaxed);
            }
            self.leave(slot);
        }
        std::mem::forget(self);
    }

    /// Ends it with this outcome.
    pub fn end(self, outcome: &Outcome) {
        match outcome {
            Outcome::Success => self.ok(),
            Outcome::Failure(failure) => self.fail(failure),
            Outcome::NoEvidence => self.no_evidence(),
        }
    }

    /// The slot on which it began, and its lock; `None` in a forked child, or if it began without a board.
    #[inline]
    fn slot(&self) -> Option<(&'static Slot, &'static AtomicU32)> {
        // A board's id is never 0.
        self.indicator.service.slot_of(self.indicator.index as usize, self.process_id)
    }

    #[inline]
    fn leave(&self, slot: &Slot) {
        match self.is_refresh {
            false => slot.end(self.cell),
            true => slot.end_refresh(),
        }
    }

    #[cold]
    fn abandon(&self, slot: &Slot, lock: &AtomicU32) {
        let service = self.indicator.service;
        let now_ns = service.anchor.now_ns();
        let policy = service.policy(self.indicator.index as usize).unwrap_or(Policy::DEFAULT);
        let slow_ns = u64::try_from(policy.slow_after.as_nanos()).unwrap_or(u64::MAX);
        let with_text = service.error_detail() != ErrorDetail::None;
        slot.abandon_at(now_ns, self.begun_ns, slow_ns, lock, with_text);
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let Some((slot, lock)) = self.slot() {
            if panicking() && !self.ignores_panic && !self.is_refresh {
                self.indicator.fail(slot, lock, Ended::Work { by_work: false }, &Failure::new("panic"));
            } else if !self.is_refresh {
                self.abandon(slot, lock);
            }
            self.leave(slot);
        }
    }
}

/// The number of this thread. Threads are numbered from 0 in the order of their first call.
#[inline]
fn thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static THREAD: cell::Cell<usize> = const { cell::Cell::new(usize::MAX) };
    }
    THREAD.with(|thread| {
        if thread.get() == usize::MAX {
            thread.set(NEXT.fetch_add(1, Relaxed));
        }
        thread.get()
    })
}
