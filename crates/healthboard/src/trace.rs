//! When a process has to say where its threads stand: it does not progress, or its operations hang.
//!
//! The keeper asks whoever knows the threads, such as a language's interpreter, and puts the answer beside the board. Nothing is
//! asked and no file is there as long as all goes well.

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

/// Asks for the stacks of this process. `None`: not yet, to be asked again in a second.
///
/// The argument says whether the process is silent: nobody has stamped its progress for a while. If it is not, its threads run.
/// Called in the keeper's thread, so it must not wait. The thread's descriptors are not those of the process.
pub type Tracer = fn(bool) -> Option<Stacks>;

/// Stacks are asked for when this part of the time has passed after which a process is said to hang: the answer may take some
/// looks.
const PROGRESS_ASKED_AFTER: f64 = 0.5;

/// The same of an operation.
const OPERATION_ASKED_AFTER: f64 = 0.9;

/// Operations may hang one after the other. For their sake a process is not asked again sooner.
const PAUSE: Duration = Duration::from_secs(60);

static TRACER: OnceLock<Tracer> = OnceLock::new();

/// From now on this one is asked where the threads of the process stand. The first call counts.
pub fn trace_with(tracer: Tracer) {
    let _ = TRACER.set(tracer);
}

impl Keeper {
    /// To be called about once a second: finds out where this process hangs, if it does. Costs some loads if it does not.
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
                // An answer may have come too late for what was asked then.
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

    /// Since when this process is silent, and since when its newest operations hang that are worth asking for. `taken_ns` is when
    /// it was last asked.
    fn hangs_since(&self, now_ns: u64, taken_ns: u64) -> (Option<u64>, Option<u64>) {
        let used = usize::try_from(self.board.header[word::USED].load(Relaxed)).unwrap_or(usize::MAX);
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

/// When operations of this indicator have hung for so long that somebody should look.
fn operations_hang_since(evidence: &Evidence, policy: &Policy) -> Option<u64> {
    let begun_ns = match evidence.capacity {
        0 => evidence.longest_ns()?,
        capacity if evidence.work_in_flight() >= capacity => evidence.youngest_ns?,
        _ => return None,
    };
    after(begun_ns, policy.stall_after, OPERATION_ASKED_AFTER)
}

/// When this part of the time has passed; `None` where it is without an end.
fn after(since_ns: u64, time: Duration, part: f64) -> Option<u64> {
    (!time.is_zero()).then(|| since_ns.saturating_add(nanoseconds(time.mul_f64(part))))
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
