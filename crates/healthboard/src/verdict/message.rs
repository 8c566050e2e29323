//! Messages for people.

use super::places;
use super::report::{Detail, State};
use super::state::{Moment, waiting_since};
use crate::read::Observed;
use crate::stacks::Stacks;
use std::time::Duration;

/// Why the indicator is in this state, according to the evidence of the process that decides the status. `detail` covers
/// all processes.
pub(super) fn explain(
    observed: &Observed,
    stacks: Option<&Stacks>,
    state: State,
    detail: &Detail,
    at: Moment,
) -> String {
    let Observed { name, policy, evidence } = observed;
    let since = |at_ns: Option<u64>| span(at.age(at_ns.unwrap_or(at.now_ns)));
    let plural = |n: u32| if n == 1 { "" } else { "s" };
    match state {
        State::Stalled if evidence.capacity > 0 => {
            let (n, capacity, youngest) =
                (evidence.work_in_flight(), evidence.capacity, since(evidence.youngest_ns));
            let place = places::of_work(stacks, evidence).map_or(String::new(), |place| format!(", {place}"));
            let taken = match (capacity, n) {
                (1, 1) => "its only place taken by an operation that hangs".to_owned(),
                _ => format!("all {capacity} places taken by {n} operations that hang, the newest"),
            };
            format!("{name}: {taken} for {youngest}{place}")
        }
        State::Stalled => {
            let n = evidence.in_flight;
            let waiting = since(waiting_since(evidence, policy, at));
            match n {
                0 => format!("{name}: operations abandoned, none has ended for {waiting}"),
                n => format!("{name}: {n} operation{} in flight, none has ended for {waiting}", plural(n)),
            }
        }
        State::Stuck => {
            let (n, oldest) = (evidence.in_flight, since(evidence.longest_ns()));
            format!("{name}: an operation in flight for {oldest}, while others end ({n} in flight)")
        }
        State::Stale => {
            format!("{name}: no outcome for {}, ttl {}", since(evidence.newest_ns()), span(policy.ttl))
        }
        _ => {
            let error = evidence.error.as_ref().map_or_else(String::new, |error| format!("{error}, "));
            let good = match detail.success_age {
                Some(age) => format!("last success {} ago", span(age)),
                None => "no success yet".to_owned(),
            };
            match evidence.failures {
                0 => format!(
                    "{name}: {error}intermittent, last failure {} ago, {good}",
                    since(evidence.last_failure_ns)
                ),
                1 => format!("{name}: {error}1 failure {} ago, {good}", since(evidence.last_failure_ns)),
                n => {
                    // Up to the newest failure and not to now: a dead process has no further failures.
                    let newest = at.age(evidence.last_failure_ns.unwrap_or(at.now_ns));
                    let lasting = evidence
                        .failing_since_ns
                        .map_or(newest, |first_ns| at.age(first_ns).saturating_sub(newest));
                    let lasting = span(lasting);
                    format!("{name}: {error}{n} failures in {lasting}, {good}")
                }
            }
        }
    }
}

/// A duration for people, in whole units, rounded down: `119 s`, `2 min`, `2 h`, `2 d`.
pub fn span(duration: Duration) -> String {
    match duration.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}
