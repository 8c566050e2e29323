//! The state of one indicator of one process, and what it means: the table of ARCHITECTURE.md, line by line.

use super::report::State;
use crate::config::{Impact, Policy};
use crate::read::{Evidence, KNOWN_AGES};
use crate::status::Status;
use std::time::Duration;

/// When a verdict is given, by the coarse monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Now, in nanoseconds.
    pub now_ns: u64,
    /// When the host last came back from a pause, a suspended machine or a frozen container, in nanoseconds; 0 if it never
    /// did. Silence begins no earlier: nobody could record anything.
    pub resumed_ns: u64,
}

impl From<u64> for Moment {
    /// On a host that was never paused.
    fn from(now_ns: u64) -> Moment {
        Moment { now_ns, resumed_ns: 0 }
    }
}

impl Moment {
    /// How long ago that was. A time in the future counts as now.
    pub(super) fn age(self, at_ns: u64) -> Duration {
        Duration::from_nanos(self.now_ns.saturating_sub(at_ns))
    }

    /// For how long nothing has been heard since then.
    pub(super) fn silence(self, at_ns: u64) -> Duration {
        self.age(at_ns.max(self.resumed_ns))
    }
}

/// The state of one indicator of one process.
///
/// An outcome is fresh while `age <= ttl`. Failing begins at `failures == failure_threshold` and, from the first of them to the
/// newest, at `failure_window`: silence alone makes nothing worse. Stuck and stalled begin *after* `stall_after`. A failure
/// that is no longer fresh is stale, not failing. An operation that hangs makes no failing indicator better. A time in the
/// future counts as now.
pub fn state(evidence: &Evidence, policy: &Policy, at: impl Into<Moment>) -> State {
    let at = at.into();
    let outcome = match evidence.newest_ns() {
        None => State::Unknown,
        Some(newest) if !policy.ttl.is_zero() && at.silence(newest) > policy.ttl => State::Stale,
        Some(_) if evidence.failures == 0 => State::Passing,
        Some(_) if is_failing(evidence, policy) => State::Failing,
        Some(_) => State::Transient,
    };
    match hang(evidence, policy, at) {
        Some(State::Stalled) => State::Stalled,
        Some(hang) if outcome != State::Failing => hang,
        _ => outcome,
    }
}

/// What a state means for a service that depends on the indicator this much.
///
/// `saturated`: every place of a known capacity is taken by an operation that hangs, so the service serves nobody, however
/// little it depends on what the indicator stands for.
pub fn status(state: State, impact: Impact, saturated: bool) -> Status {
    match (state, impact) {
        (_, Impact::Informational) | (State::Unknown | State::Passing, _) => Status::Ok,
        (State::Failing | State::Stalled, Impact::Critical) => Status::Fault,
        (State::Stalled, Impact::Degrading) if saturated => Status::Fault,
        _ => Status::Degraded,
    }
}

/// Since when operations have been in flight, or abandoned, without any of them ending.
pub(super) fn waiting_since(evidence: &Evidence, policy: &Policy, at: Moment) -> Option<u64> {
    let slow_ns = u64::try_from(policy.slow_after.as_nanos()).unwrap_or(u64::MAX);
    // Who tries again soon after giving up still waits for the same thing.
    let goes_on = |until_ns: u64| {
        let next_ns =
            [evidence.oldest_ns, evidence.beyond_ns].into_iter().flatten().min().unwrap_or(at.now_ns);
        next_ns <= until_ns.saturating_add(slow_ns)
    };
    let run = evidence.abandoned.filter(|run| goes_on(run.until_ns)).map(|run| run.since_ns);
    let since_ns = [evidence.longest_ns(), evidence.beyond_ns, run].into_iter().flatten().min()?;
    Some(since_ns).max(evidence.last_end_ns)
}

fn hang(evidence: &Evidence, policy: &Policy, at: Moment) -> Option<State> {
    let over = |since_ns: Option<u64>| since_ns.is_some_and(|since| at.silence(since) > policy.stall_after);
    // Nothing is in flight and nothing was abandoned, as most of the time.
    let idle = evidence.in_flight == 0 && evidence.oldest_ns.is_none() && evidence.abandoned.is_none();
    if idle || policy.stall_after.is_zero() {
        return None;
    }
    if evidence.capacity > 0 {
        // Of a server's requests one may take as long as it likes, as long as there is room for others.
        let taken = evidence.work_in_flight() >= evidence.capacity;
        let known = evidence.capacity as usize <= KNOWN_AGES;
        let hangs = over(evidence.youngest_ns) && (known || over(waiting_since(evidence, policy, at)));
        return (taken && hangs).then_some(State::Stalled);
    }
    if over(waiting_since(evidence, policy, at)) {
        Some(State::Stalled)
    } else if over(evidence.longest_ns()) {
        Some(State::Stuck)
    } else {
        None
    }
}

/// Failures enough, and from the first of the present streak to the newest for long enough. Where it is not known when the
/// streak began it is not.
fn is_failing(evidence: &Evidence, policy: &Policy) -> bool {
    let (Some(since), Some(newest)) = (evidence.failing_since_ns, evidence.last_failure_ns) else {
        return false;
    };
    let lasted = Duration::from_nanos(newest.saturating_sub(since));
    evidence.failures >= policy.failure_threshold && lasted >= policy.failure_window
}
