//! When a process should refresh an indicator, so that an idle service has fresh evidence.

use crate::board::clock;
use crate::config::{NO_ANSWER_AFTER_NS, Policy};
use crate::read::{Directory, Evidence};
use crate::record::Indicator;
use std::time::Duration;

/// How soon after a failure a refresh is due, by the number of failures in a row. A quick recovery is noticed early, and a
/// long outage does not cause many refreshes.
const AFTER_FAILURE: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(30)];

/// An operation of the work that has been in flight for this long puts the indicator in doubt.
const IN_DOUBT_AFTER: Duration = Duration::from_secs(5);

/// The shortest wait while another process refreshes, so that no caller spins.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

impl Indicator {
    /// How soon this process should [refresh](Indicator::begin_refresh) the indicator: zero when it is due.
    ///
    /// A refresh is due:
    ///
    /// - when no process of the service has a success younger than the policy's `refresh_interval`, and no other process is
    ///   refreshing the indicator;
    /// - after a failure of this process, 2, 5, 10 and from then on 30 s after the newest one, or after the interval if
    ///   that is less (but not less than 2 s), and no later than when one more failure would make the indicator failing;
    /// - while an operation of this process has been in flight for 5 s, 5 s after its newest outcome.
    ///
    /// It is never due while a refresh of this process is in flight. The interval and the times after a failure vary by
    /// 20 %, so that processes do not all refresh at once.
    ///
    /// `None` if there is nothing to refresh: health is not started, nothing was recorded in this process yet, or the
    /// interval is zero. Costs a few loads while nothing is due in this process. Otherwise it reads the boards of the
    /// service.
    pub fn refresh_due(self) -> Option<Duration> {
        let policy = self.policy()?;
        let evidence = self.evidence()?;
        let now_ns = clock::now_ns();
        let due = due_in(&evidence, &policy, now_ns, jitter(now_ns))?;
        if !due.is_zero() || evidence.failures > 0 || is_in_doubt(&evidence, now_ns) {
            return Some(due);
        }
        Some(self.covered_by_others(policy.refresh_interval, now_ns).unwrap_or(Duration::ZERO))
    }

    /// How long to wait because another process of the service has a recent success or is refreshing. `None` if there is no
    /// reason to wait.
    fn covered_by_others(self, interval: Duration, now_ns: u64) -> Option<Duration> {
        let directory = self.directory()?;
        let (name, own_id) = (self.name()?, self.process_id()?);
        let processes = Directory::new(directory).read().ok()?;
        let others = processes.iter().filter(|p| p.life.is_alive() && p.id != own_id);
        let evidence = others.flat_map(|p| &p.indicators).filter(|o| *o.name == *name).map(|o| &o.evidence);
        let mut longest = None;
        for evidence in evidence {
            // One that has no answer by now may hang for reasons of its process.
            let asks = evidence.refresh_ns.filter(|since| now_ns.saturating_sub(*since) < NO_ANSWER_AFTER_NS);
            let asks = asks.map(|_| SHORTEST_WAIT.max(interval / 10));
            let knows = evidence.last_success_ns.filter(|_| evidence.failures == 0);
            let age = |at_ns: u64| Duration::from_nanos(now_ns.saturating_sub(at_ns));
            let knows = knows.map(|at| interval.saturating_sub(age(at))).filter(|left| !left.is_zero());
            longest = longest.max(asks).max(knows);
        }
        longest
    }
}

/// When a refresh is due by the evidence of this process alone. `jitter` is from -1 to 1.
fn due_in(evidence: &Evidence, policy: &Policy, now_ns: u64, jitter: f64) -> Option<Duration> {
    let interval = policy.refresh_interval;
    if interval.is_zero() {
        return None;
    }
    let newest_ns = evidence.newest_ns()?;
    if evidence.refresh_ns.is_some() {
        return Some(interval);
    }
    let left = |since_ns: u64, after: Duration| {
        after.saturating_sub(Duration::from_nanos(now_ns.saturating_sub(since_ns)))
    };
    // With a very long interval the product overflows.
    let spread = |after: Duration| {
        Duration::try_from_secs_f64(after.as_secs_f64() * (1.0 + 0.2 * jitter)).unwrap_or(Duration::MAX)
    };
    let mut due = match evidence.failures {
        0 => left(newest_ns, spread(interval)),
        n => {
            let after = AFTER_FAILURE[(n as usize - 1).min(AFTER_FAILURE.len() - 1)];
            left(newest_ns, spread(after.min(interval.max(AFTER_FAILURE[0]))))
        }
    };
    if let Some(since_ns) = evidence.failing_since_ns
        && Duration::from_nanos(newest_ns.saturating_sub(since_ns)) < policy.failure_window
    {
        // From that moment on one more failure makes the indicator failing.
        due = due.min(left(since_ns, policy.failure_window));
    }
    if is_in_doubt(evidence, now_ns) {
        due = due.min(left(newest_ns, IN_DOUBT_AFTER));
    }
    Some(due)
}

fn is_in_doubt(evidence: &Evidence, now_ns: u64) -> bool {
    let age = |at_ns: u64| Duration::from_nanos(now_ns.saturating_sub(at_ns));
    evidence.oldest_ns.is_some_and(|oldest| age(oldest) >= IN_DOUBT_AFTER)
}

/// A number from -1 to 1 that differs between processes and from time to time.
fn jitter(now_ns: u64) -> f64 {
    let seed = (now_ns >> 33) ^ (u64::from(std::process::id()) << 20);
    let mixed = crate::board::mix(crate::board::SEED, seed);
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const NOW: u64 = 1000 * SECOND;

    fn ago(seconds: u64) -> Option<u64> {
        Some(NOW - seconds * SECOND)
    }

    fn due(evidence: &Evidence) -> Option<u64> {
        due_in(evidence, &Policy::DEFAULT, NOW, 0.0).map(|due| due.as_secs())
    }

    fn passing(seconds: u64) -> Evidence {
        Evidence { last_success_ns: ago(seconds), ..Evidence::default() }
    }

    fn failing(failures: u32, since: u64, newest: u64) -> Evidence {
        let (failing_since_ns, last_failure_ns) = (ago(since), ago(newest));
        Evidence { failures, failing_since_ns, last_failure_ns, ..Evidence::default() }
    }

    #[test]
    fn an_idle_indicator_is_due_after_the_interval_and_a_failing_one_earlier() {
        for (evidence, expected) in [
            (Evidence::default(), None),
            (passing(0), Some(10)),
            (passing(9), Some(1)),
            (passing(10), Some(0)),
            (failing(1, 0, 0), Some(2)),
            (failing(2, 2, 0), Some(5)),
            // Due when one more failure makes it failing, 10 s after the first.
            (failing(3, 7, 0), Some(3)),
            (failing(3, 10, 0), Some(10)),
            (failing(9, 60, 0), Some(10)),
            (failing(9, 60, 4), Some(6)),
        ] {
            assert_eq!(due(&evidence), expected, "{evidence:?}");
        }
        let never = Policy { refresh_interval: Duration::ZERO, ..Policy::DEFAULT };
        assert_eq!(due_in(&passing(99), &never, NOW, 0.0), None);
        let longest = Policy { refresh_interval: Duration::MAX, ..Policy::DEFAULT };
        for jitter in [-1.0, 0.0, 1.0] {
            assert!(due_in(&passing(99), &longest, NOW, jitter) > Some(Duration::from_secs(1 << 60)));
        }
        // A failing indicator is refreshed often, however long the interval.
        let rare = Policy { refresh_interval: Duration::from_secs(300), ..Policy::DEFAULT };
        assert_eq!(due_in(&failing(9, 60, 0), &rare, NOW, 0.0), Some(Duration::from_secs(30)));
    }

    #[test]
    fn an_operation_in_flight_puts_it_in_doubt_and_a_refresh_in_flight_is_enough() {
        let busy = |seconds| Evidence { in_flight: 1, oldest_ns: ago(seconds), ..passing(1) };
        assert_eq!((due(&busy(4)), due(&busy(5))), (Some(9), Some(4)));
        let asked = Evidence { refresh_ns: ago(3), oldest_ns: ago(3), ..passing(99) };
        assert_eq!(due(&asked), Some(10));
    }

    #[test]
    fn processes_do_not_all_ask_at_once() {
        let at = |jitter| due_in(&passing(0), &Policy::DEFAULT, NOW, jitter);
        assert_eq!((at(-1.0), at(1.0)), (Some(Duration::from_secs(8)), Some(Duration::from_secs(12))));
        assert!((0..1000).map(|i| jitter(i << 33)).all(|jitter| (-1.0..=1.0).contains(&jitter)));
    }
}
