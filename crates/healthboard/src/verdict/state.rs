//! The state of one indicator of one process, and its status: the table of ARCHITECTURE.md.

use super::report::State;
use crate::config::{Impact, Policy};
use crate::read::{Evidence, KNOWN_AGES};
use crate::status::Status;
use std::time::Duration;

/// The time of a verdict, by the coarse monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Now, in nanoseconds.
    pub now_ns: u64,
    /// When the last pause of the host (a suspended machine, a frozen container) ended, in nanoseconds; 0 if there was
    /// none. Ages count from then at the earliest, since nothing could be recorded during the pause.
    pub resumed_ns: u64,
}

impl From<u64> for Moment {
    /// A moment on a host that was never paused.
    fn from(now_ns: u64) -> Moment {
        Moment { now_ns, resumed_ns: 0 }
    }
}

impl Moment {
    /// The time since `at_ns`. A time in the future counts as now.
    pub(super) fn age(self, at_ns: u64) -> Duration {
        Duration::from_nanos(self.now_ns.saturating_sub(at_ns))
    }

    /// The time since `at_ns`, or since the end of the last pause if that is later.
    pub(super) fn silence(self, at_ns: u64) -> Duration {
        self.age(at_ns.max(self.resumed_ns))
    }
}

/// The state of one indicator of one process.
///
/// - An outcome is fresh while `age <= ttl`. A failure that is no longer fresh is stale, not failing.
/// - Failing begins when the number of failures in a row has reached `failure_threshold` and the time from the first to
///   the newest of them has reached `failure_window`. Silence alone never makes a state worse than stale.
/// - Stuck and stalled begin *after* `stall_after`. Failing takes precedence over stuck: a hanging operation must not
///   improve the status of a failing indicator.
/// - A failure that returns within `failure_window` of the previous streak is intermittent. The indicator stays transient
///   until no failure was recorded for `failure_window`, however many successes come in between.
/// - A time in the future counts as now.
pub fn state(evidence: &Evidence, policy: &Policy, at: impl Into<Moment>) -> State {
    let at = at.into();
    let outcome = match evidence.newest_ns() {
        None => State::Unknown,
        Some(newest) if !policy.ttl.is_zero() && at.silence(newest) > policy.ttl => State::Stale,
        Some(_) if evidence.failures == 0 && !is_intermittent(evidence, policy, at) => State::Passing,
        Some(_) if is_failing(evidence, policy) => State::Failing,
        Some(_) => State::Transient,
    };
    match hang(evidence, policy, at) {
        Some(State::Stalled) => State::Stalled,
        Some(hang) if outcome != State::Failing => hang,
        _ => outcome,
    }
}

/// The status of a state, by the impact of the indicator.
///
/// `saturated` means that hanging operations fill a known capacity. Then the service serves no requests, and a degrading
/// impact counts as critical.
pub fn status(state: State, impact: Impact, saturated: bool) -> Status {
    match (state, impact) {
        (_, Impact::Informational) | (State::Unknown | State::Passing, _) => Status::Ok,
        (State::Failing | State::Stalled, Impact::Critical) => Status::Fault,
        (State::Stalled, Impact::Degrading) if saturated => Status::Fault,
        _ => Status::Degraded,
    }
}

/// Since when operations have been in flight, or abandoned, without any operation ending.
pub(super) fn waiting_since(evidence: &Evidence, policy: &Policy, at: Moment) -> Option<u64> {
    let slow_ns = u64::try_from(policy.slow_after.as_nanos()).unwrap_or(u64::MAX);
    // A caller that tries again soon after abandoning an operation still waits for the same thing.
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
    // The common case: nothing is in flight and nothing was abandoned.
    let idle = evidence.in_flight == 0 && evidence.oldest_ns.is_none() && evidence.abandoned.is_none();
    if idle || policy.stall_after.is_zero() {
        return None;
    }
    if evidence.capacity > 0 {
        // A single request of a server may take any time while there is capacity for others.
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

/// Whether failures come and go: at most `failure_window` lies between the two newest streaks, and the newest failure is
/// younger than that.
fn is_intermittent(evidence: &Evidence, policy: &Policy, at: Moment) -> bool {
    let (Some(earlier), Some(newest)) = (evidence.earlier_failure_ns, evidence.last_failure_ns) else {
        return false;
    };
    let between = Duration::from_nanos(newest.saturating_sub(earlier));
    between <= policy.failure_window && at.silence(newest) < policy.failure_window
}

/// Whether there are enough failures in a row, over a long enough time. `false` if the begin of the streak is unknown.
fn is_failing(evidence: &Evidence, policy: &Policy) -> bool {
    let (Some(since), Some(newest)) = (evidence.failing_since_ns, evidence.last_failure_ns) else {
        return false;
    };
    let lasted = Duration::from_nanos(newest.saturating_sub(since));
    evidence.failures >= policy.failure_threshold && lasted >= policy.failure_window
}
