//! Recording: what a service calls.

use crate::board::layout::{Board, SLOTS};
use crate::board::slot::LANES;
use crate::board::text;
use crate::{ErrorDetail, Policy, now_ns, process, scrub};
use std::cell::Cell;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering::*};
use std::time::Duration;

/// A handle on one indicator of this process. As cheap to copy as a number; valid for ever, also in forked children.
///
/// Recording never fails, never blocks on anybody outside this process, and does nothing while health is not
/// [started](crate::start).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Indicator {
    index: usize,
}

/// Everything that has been registered, by index. Only ever grows, without a lock, so that a fork at any moment finds it
/// whole. Index 0 is `progress`.
static REGISTERED: [AtomicPtr<Registered>; SLOTS] = [const { AtomicPtr::new(std::ptr::null_mut()) }; SLOTS];

/// Registrations that found no room.
static EXHAUSTED: AtomicUsize = AtomicUsize::new(0);

struct Registered {
    name: String,
    policy: Policy,
}

impl Indicator {
    /// The indicator with this name, made on first use with this policy, which the service's [settings](crate::Settings)
    /// override. A name is at most 40 bytes; what is longer is cut.
    ///
    /// A board has room for 31 indicators and `progress`. One more is counted, shown in the report as `exhausted`, and its
    /// handle records nothing.
    pub fn register(name: &str, policy: Policy) -> Indicator {
        let name = scrub::word(name, crate::board::descriptor::NAME);
        let first = usize::from(name != crate::PROGRESS);
        let mut made: *mut Registered = std::ptr::null_mut();
        let mut index = first;
        while index < SLOTS {
            // Acquire pairs with the Release of the exchange below: the name is whole.
            let found = REGISTERED[index].load(Acquire);
            // SAFETY: an entry that is not null came from Box::into_raw below and is never freed.
            if let Some(entry) = unsafe { found.as_ref() } {
                if entry.name == name {
                    break;
                }
                index += 1;
                continue;
            }
            if made.is_null() {
                made = Box::into_raw(Box::new(Registered { name: name.clone(), policy }));
            }
            // Where another thread was faster, this entry is looked at again.
            if REGISTERED[index].compare_exchange(std::ptr::null_mut(), made, SeqCst, Relaxed).is_ok() {
                process::describe();
                return Indicator { index };
            }
        }
        if !made.is_null() {
            // SAFETY: from Box::into_raw above, and never shared.
            drop(unsafe { Box::from_raw(made) });
        }
        if index == SLOTS {
            EXHAUSTED.fetch_add(1, Relaxed);
            process::describe();
        }
        Indicator { index }
    }

    /// Records that an operation succeeded.
    ///
    /// Wait-free, without a system call, lock or allocation: one look at the coarse clock and at most one store. Safe in a
    /// signal handler and right after `fork`, except for the first use in a process, which makes its board.
    #[inline]
    pub fn record_ok(self) {
        process::with_board(|board| {
            if let Some(slot) = board.slots.get(self.index) {
                slot.ok_at(now_ns());
            }
        });
    }

    /// Records that an operation failed.
    ///
    /// `class` says what kind of failure, `ConnectionRefusedError`; `code` is a number or word of the failing library or
    /// empty; `text` is for people: it is kept, without secrets, only with `error_detail = message`. Takes a lock of this
    /// process for the time of some stores; not for signal handlers.
    #[cold]
    pub fn record_fail(self, class: &str, code: &str, text: &str) {
        let Some(board) = process::board() else { return };
        let (Some(slot), Some(lock)) = (board.slots.get(self.index), process::lock(self.index)) else {
            return;
        };
        let (class, code, text) = match process::error_detail() {
            ErrorDetail::None => return slot.fail_at(now_ns(), lock, None),
            ErrorDetail::Class => {
                (scrub::word(class, text::CLASS), scrub::word(code, text::CODE), String::new())
            }
            ErrorDetail::Message => {
                (scrub::word(class, text::CLASS), scrub::word(code, text::CODE), scrub(text, text::TEXT))
            }
        };
        let parts = text::Parts { class: &class, code: &code, text: &text };
        slot.fail_at(now_ns(), lock, Some(parts));
    }

    /// How soon this process should refresh the indicator: run the smallest real operation on what it stands for, and record
    /// its outcome. That is when nothing was recorded for the policy's `refresh_interval`, or for 5 s after a failure if that is
    /// less; zero when that time has passed.
    ///
    /// `None` where there is nothing to refresh: health is not started, nothing was recorded in this process yet, or the
    /// interval is zero. For a loop of the service's own, in its own way of being concurrent: without it, an idle service
    /// goes stale, and one that a balancer has drained never learns that all is well again.
    pub fn refresh_due(self) -> Option<Duration> {
        // SAFETY: as in `register`.
        let entry = unsafe { REGISTERED.get(self.index)?.load(Acquire).as_ref()? };
        process::refresh_due(self.index, &entry.name, entry.policy)
    }

    /// Failures in this process since its newest success; zero also while nothing was recorded.
    pub fn failures(self) -> u32 {
        process::failures(self.index)
    }

    /// Says that an operation begins. While none of those in flight ends for longer than `stall_after`, the indicator is
    /// stalled: the only way to see a hang, which emits no event at its end.
    #[inline]
    pub fn begin(self) -> Operation {
        let lane = lane();
        let board = process::board();
        if let Some(slot) = board.and_then(|board| board.slots.get(self.index)) {
            slot.begin_at(now_ns(), lane);
        }
        Operation { indicator: self, board, lane: lane as u32 }
    }
}

/// An operation in flight. Ends with [`ok`](Operation::ok), [`fail`](Operation::fail), or, dropped, without evidence.
///
/// It may end in another thread. One that ends in a forked child counts there for its outcome, and stays in flight for the
/// parent, where it has not ended.
#[must_use = "an operation that is dropped at once was never in flight"]
pub struct Operation {
    indicator: Indicator,
    board: Option<&'static Board>,
    lane: u32,
}

impl Operation {
    /// It ended well.
    #[inline]
    pub fn ok(self) {
        self.indicator.record_ok();
        if let Some(slot) = self.slot() {
            slot.end(self.lane as usize);
        }
        std::mem::forget(self);
    }

    /// It failed; see [`Indicator::record_fail`].
    #[cold]
    pub fn fail(self, class: &str, code: &str, text: &str) {
        self.indicator.record_fail(class, code, text);
        if let Some(slot) = self.slot() {
            slot.end(self.lane as usize);
        }
        std::mem::forget(self);
    }

    /// The slot it began on, unless this process has another board by now.
    #[inline]
    fn slot(&self) -> Option<&'static crate::board::slot::Slot> {
        let board = self.board?;
        if !process::board().is_some_and(|now| std::ptr::eq(now, board)) {
            return None;
        }
        board.slots.get(self.indicator.index)
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if let Some(slot) = self.slot() {
            slot.end_without_outcome_at(now_ns(), self.lane as usize);
        }
    }
}

/// An [`Indicator`] for a `static`, registered on first use.
#[derive(Debug)]
pub struct LazyIndicator {
    name: &'static str,
    policy: Policy,
    /// The index and one; zero before the first use.
    registered: AtomicU32,
}

impl LazyIndicator {
    /// See [`Indicator::register`].
    pub const fn new(name: &'static str, policy: Policy) -> LazyIndicator {
        LazyIndicator { name, policy, registered: AtomicU32::new(0) }
    }

    /// The handle.
    #[inline]
    pub fn get(&self) -> Indicator {
        // Relaxed: the index alone is used, and it leads to atomics that are published by themselves.
        match self.registered.load(Relaxed) {
            0 => {
                let indicator = Indicator::register(self.name, self.policy);
                self.registered.store(indicator.index as u32 + 1, Relaxed);
                indicator
            }
            registered => Indicator { index: registered as usize - 1 },
        }
    }

    /// See [`Indicator::record_ok`].
    #[inline]
    pub fn record_ok(&self) {
        self.get().record_ok();
    }

    /// See [`Indicator::record_fail`].
    pub fn record_fail(&self, class: &str, code: &str, text: &str) {
        self.get().record_fail(class, code, text);
    }

    /// See [`Indicator::begin`].
    #[inline]
    pub fn begin(&self) -> Operation {
        self.get().begin()
    }
}

/// Writes what is registered on a board, in any thread, as often as one likes: everybody writes the same.
pub(crate) fn describe_on(board: &Board, settings: &crate::Settings) {
    use crate::board::{descriptor, layout::word};
    let mut used = 0;
    for (entry, slot) in REGISTERED.iter().zip(&board.slots) {
        // SAFETY: as in `register`.
        let Some(entry) = (unsafe { entry.load(SeqCst).as_ref() }) else { break };
        let policy = settings.policy(&entry.name, entry.policy);
        for (word, value) in slot.descriptor.iter().zip(descriptor::encode(&entry.name, &policy)) {
            word.store(value, Relaxed);
        }
        used += 1;
    }
    // Not for ordering: a descriptor that is not whole in a reader's copy fails its checksum.
    board.header[word::USED].fetch_max(used, Relaxed);
    board.header[word::EXHAUSTED].fetch_max(EXHAUSTED.load(Relaxed) as u64, Relaxed);
}

/// The lane of this thread.
#[inline]
fn lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static LANE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    LANE.with(|lane| {
        if lane.get() == usize::MAX {
            lane.set(NEXT.fetch_add(1, Relaxed) % LANES);
        }
        lane.get()
    })
}
