//! The handle of one indicator.

use super::{IntoOutcome, Observe, Operation, Outcome};
use crate::board::slot::{Ended, Slot};
use crate::board::sync::{AtomicU32, Ordering::Relaxed};
use crate::board::text;
use crate::config::{ErrorDetail, MAX_INDICATOR_NAME, PROGRESS, Policy, indicator_name};
use crate::failure::Failure;
use crate::process::{DEFAULT, Handle, Service};
use crate::scrub;
use std::fmt;

/// A handle of one indicator of this process. It is two words in size, can be copied, and stays valid for the life of the
/// process and in forked children.
///
/// Recording never fails and never waits for another process. It does nothing while health is not started.
#[derive(Clone, Copy)]
pub struct Indicator {
    pub(super) service: &'static Service,
    pub(super) index: u32,
}

impl Indicator {
    /// The indicator of the default service with this name. The first call registers it with this policy; later calls
    /// ignore theirs. [`Settings::policy`](crate::Settings::policy) says which settings override the policy.
    ///
    /// A name consists of 1 to 64 bytes of letters, digits and `_.:-`. Other characters become `_` and a longer name is
    /// cut; if the service is started already, the log says so. A board has room for 31 indicators and `progress`.
    /// Further indicators are named in the log, the first of them also in the report, and their handles record nothing.
    pub fn register(name: &str, policy: Policy) -> Indicator {
        Indicator::register_for(&DEFAULT, name, policy)
    }

    fn register_for(service: &'static Service, name: &str, policy: Policy) -> Indicator {
        let good = indicator_name(name);
        let first = usize::from(good != PROGRESS);
        let (index, is_new) = service.anchor.registry.index_of(&good, policy, first);
        if is_new {
            service.publish_registered();
            if good != name {
                let found = scrub::cut(&scrub::printable(name), 80);
                let expected = format!("1 to {MAX_INDICATOR_NAME} letters, digits and `_.:-`");
                service
                    .say(true, format!("indicator `{found}` is recorded as `{good}`: expected {expected}"));
            }
        }
        Indicator { service, index: index as u32 }
    }

    /// Records that an operation succeeded.
    ///
    /// Costs one read of the coarse clock and at most one store. Wait-free, without a system call, lock or allocation, so
    /// it is safe in a signal handler and right after `fork`. The exception is the first use in a process: it makes the
    /// board, starts a thread and waits for both, at most two seconds.
    #[inline]
    pub fn record_ok(self) {
        self.service.with_slot(self.index as usize, |slot, _| slot.ok_at(self.service.anchor.now_ns()));
    }

    /// Records that an operation failed.
    ///
    /// Takes a lock of this process for a few stores, and allocates, so it must not be called in a signal handler.
    #[cold]
    pub fn record_fail(self, failure: &Failure) {
        let ended = Ended::Work { by_work: failure.by_work };
        self.service.with_slot(self.index as usize, |slot, page| {
            if let Some(lock) = page.locks.get(self.index as usize) {
                self.fail(slot, lock, ended, failure);
            }
        });
    }

    /// Records the outcome of an operation. The `Err` of a `Result` is a failure: see [`Failure::of`].
    ///
    /// ```
    /// # use healthboard::{Indicator, Policy};
    /// # let files = Indicator::register("files", Policy::DEFAULT);
    /// files.record(&std::fs::read("/etc/hostname"));
    /// ```
    pub fn record(self, outcome: &impl IntoOutcome) {
        match outcome.outcome() {
            Outcome::Success => self.record_ok(),
            Outcome::Failure(failure) => self.record_fail(&failure),
            Outcome::NoEvidence => {}
        }
    }

    /// Records success for `Ok`, and the outcome that `classify` returns for an error.
    ///
    /// ```
    /// # use healthboard::{Failure, Indicator, Outcome, Policy};
    /// # use std::io::{Error, ErrorKind};
    /// # let files = Indicator::register("files", Policy::DEFAULT);
    /// let found = std::fs::read("/etc/nothing");
    /// files.record_by(&found, |error: &Error| match error.kind() {
    ///     ErrorKind::NotFound => Outcome::Success,
    ///     _ => Outcome::Failure(Failure::of(error)),
    /// });
    /// ```
    pub fn record_by<T, E>(self, result: &Result<T, E>, classify: impl FnOnce(&E) -> Outcome) {
        self.record(&Outcome::by(result, classify));
    }

    /// Begins an operation, which ends with the returned guard.
    ///
    /// An operation in flight for longer than `stall_after` makes the indicator stuck. If no operation ends for that
    /// long, the indicator is stalled. Nothing else reveals a hang, which has no outcome. Costs one atomic exchange and
    /// one read of the clock.
    #[inline]
    pub fn begin(self) -> Operation {
        Operation::begin(self)
    }

    /// Begins a refresh: a small operation that the service runs only to test what the indicator stands for.
    ///
    /// It must test what the work needs, since its success clears the failures of the work, except those that are
    /// [`by_work`](Failure::by_work). Its end does not count as an end of the work's operations, so it hides no hang.
    /// If it has no answer after 5 s, the failure `NoAnswer` is recorded. A refresh that is dropped is no evidence.
    pub fn begin_refresh(self) -> Operation {
        Operation::begin_refresh(self)
    }

    /// Wraps a future and records its outcome. If the future is dropped between its first poll and its end, as by a timeout
    /// around it, it is an abandoned [operation](Operation). Put the timeout inside, so that it is an `Err`.
    ///
    /// ```
    /// # use healthboard::Indicator;
    /// # async fn fetch() -> std::io::Result<u8> { Ok(1) }
    /// # async fn example(files: Indicator) -> std::io::Result<u8> {
    /// files.observe(fetch()).await
    /// # }
    /// ```
    pub fn observe<F: Future>(self, future: F) -> Observe<F, fn(&F::Output) -> Outcome>
    where
        F::Output: IntoOutcome,
    {
        Observe::new(self, future, IntoOutcome::outcome)
    }

    /// Like [`observe`](Indicator::observe), with the outcome that `classify` returns for the output.
    pub fn observe_by<F: Future, C: FnOnce(&F::Output) -> Outcome>(
        self,
        future: F,
        classify: C,
    ) -> Observe<F, C> {
        Observe::new(self, future, classify)
    }

    /// Sets how many operations can be in flight in this process at once, such as the number of a server's worker
    /// threads.
    ///
    /// From then on a single operation may take any time. When the operations in flight fill the capacity and even the
    /// newest of them has been in flight for longer than `stall_after`, the service serves no requests: a `FAULT`, unless
    /// the indicator is informational. 0 means that the capacity is not known.
    pub fn set_capacity(self, operations: u32) {
        self.service.with_slot(self.index as usize, |slot, _| {
            slot.capacity.store(operations.into(), Relaxed);
        });
    }

    /// The effective policy; `None` while health is not started.
    pub(crate) fn policy(self) -> Option<Policy> {
        self.service.policy(self.index as usize)
    }

    /// The directory of the service's boards; `None` if this process has no board or keeps it in memory.
    pub(crate) fn directory(self) -> Option<std::path::PathBuf> {
        self.service.attached()?.directory().ok()
    }

    /// The id of this process's board.
    pub(crate) fn process_id(self) -> Option<u64> {
        Some(self.service.anchor.page()?.id())
    }

    pub(crate) fn name(self) -> Option<&'static str> {
        Some(&self.service.anchor.registry.entry(self.index as usize)?.name)
    }

    pub(crate) fn own_slot(self) -> Option<&'static Slot> {
        self.service.anchor.page()?.board()?.slots.get(self.index as usize)
    }

    pub(super) fn fail(self, slot: &Slot, lock: &AtomicU32, ended: Ended, failure: &Failure) {
        let now_ns = self.service.anchor.now_ns();
        let detail = self.service.error_detail();
        if detail == ErrorDetail::None {
            return slot.fail_at(now_ns, lock, ended, None);
        }
        let class = scrub::identifier(&failure.class, text::CLASS);
        let code = scrub::identifier(&failure.code, text::CODE);
        let text = match detail {
            ErrorDetail::Message => scrub::scrub(&failure.text, text::TEXT),
            _ => String::new(),
        };
        slot.fail_at(now_ns, lock, ended, Some(text::Parts { class: &class, code: &code, text: &text }));
    }
}

impl Handle {
    /// The indicator of this service with this name: see [`Indicator::register`].
    pub fn indicator(&self, name: &str, policy: Policy) -> Indicator {
        Indicator::register_for(self.service, name, policy)
    }
}

impl PartialEq for Indicator {
    fn eq(&self, other: &Indicator) -> bool {
        std::ptr::eq(self.service, other.service) && self.index == other.index
    }
}

impl Eq for Indicator {}

impl fmt::Debug for Indicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Indicator").field(&self.name().unwrap_or_default()).finish()
    }
}
