//! Decides when to record where the threads of a process stand: when it does not progress, or its operations hang.
//!
//! The keeper gets the stacks from a [`Tracer`], such as that of a language's interpreter, and writes them to a file beside
//! the board. While all goes well the tracer is not called and there is no file.

use crate::board::clock;
use crate::board::layout::word;
use crate::board::place::stacks_name;
use crate::board::sync::Ordering::Relaxed;
use crate::config::Policy;
use crate::process::Keeper;
use crate::read::{Evidence, own_evidence};
use crate::stacks::Stacks;
use std::sync::OnceLock;
use std::time::Duration;

/// Returns the stacks of this process. `None` means that they are not available yet: the tracer is called again in a second.
///
/// The argument says whether the process is silent, which means that it has not recorded progress for a while. If it is not
/// silent, its threads run. The tracer is called in the keeper's thread, so it must not wait, and it does not see the
/// process's descriptors.
pub type Tracer = fn(bool) -> Option<Stacks>;

/// The tracer is called when this fraction of the ttl of `progress` has passed without progress, since it may take several
/// attempts to get the stacks.
const PROGRESS_ASKED_AFTER: f64 = 0.5;

/// The same for operations, as a fraction of `stall_after`.
const OPERATION_ASKED_AFTER: f64 = 0.9;

/// Operations may hang one after the other. The shortest time between two traces for their sake.
const PAUSE: Duration = Duration::from_secs(60);

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// Sets the function that returns the stacks of this process. Only the first call has an effect.
pub fn trace_with(tracer: Tracer) {
    let _ = TRACER.set(tracer);
}

impl Keeper {
    /// Call this about once a second. Records where this process hangs, and removes the record once it no longer does. Costs
    /// some loads while nothing hangs.
    pub fn trace(&self) {
        let (Some(tracer), Some(place)) = (TRACER.get(), self.place()) else { return };
        let Some(board) = self.board_name() else { return };
        let name = stacks_name(&board);
        let taken_ns = self.stacks_taken_ns.get();
        let (progress, operations) = self.hangs_since(clock::now_ns(), taken_ns);
        match progress.max(operations) {
            None => {
                if self.has_stacks.take() {
                    place.remove(&name);
                }
            }
            Some(since_ns) if self.has_stacks.get() && taken_ns >= since_ns => {}
            Some(since_ns) => {
                // The stacks may be those of an earlier hang.
                let taken = tracer(progress.is_some()).filter(|stacks| stacks.taken_ns >= since_ns);
                if let Some(stacks) = taken
                    && place.write_whole(&name, &stacks.encode()).is_ok()
                {
                    self.stacks_taken_ns.set(stacks.taken_ns);
                    self.has_stacks.set(true);
                }
            }
        }
    }

    /// The times from which on stacks are wanted: for the silence of this process, and for the newest of its operations that
    /// hang. `taken_ns` is when stacks were last taken.
    fn hangs_since(&self, now_ns: u64, taken_ns: u64) -> (Option<u64>, Option<u64>) {
        // The board may have been overwritten.
        let used = usize::try_from(self.board.header[word::USED].load(Relaxed)).unwrap_or(usize::MAX);
        let used = used.min(self.board.slots.len());
        let evidence = |index: usize| self.board.slots.get(index).map(own_evidence).zip(self.policy(index));
        let hangs = |since_ns: &u64| *since_ns <= now_ns;
        let progress = evidence(0).and_then(|(evidence, policy)| {
            after(evidence.newest_ns()?, policy.ttl, PROGRESS_ASKED_AFTER).filter(hangs)
        });
        let operations = (1..used).filter_map(evidence);
        let operations =
            operations.filter_map(|(evidence, policy)| operations_hang_since(&evidence, &policy));
        let asked_lately = now_ns < taken_ns.saturating_add(nanoseconds(PAUSE));
        let operations = operations.filter(hangs).map(|since_ns| {
            if asked_lately && self.has_stacks.get() { since_ns.min(taken_ns) } else { since_ns }
        });
        (progress, operations.max())
    }
}

/// When the operations of this indicator will have hung for long enough to be traced. `None` if none can hang.
fn operations_hang_since(evidence: &Evidence, policy: &Policy) -> Option<u64> {
    let begun_ns = match evidence.capacity {
        0 => evidence.longest_ns()?,
        capacity if evidence.work_in_flight() >= capacity => evidence.youngest_ns?,
        _ => return None,
    };
    after(begun_ns, policy.stall_after, OPERATION_ASKED_AFTER)
}

/// The moment at which this fraction of `time` has passed since `since_ns`; `None` if the time is unlimited.
fn after(since_ns: u64, time: Duration, part: f64) -> Option<u64> {
    (!time.is_zero()).then(|| since_ns.saturating_add(nanoseconds(time.mul_f64(part))))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
