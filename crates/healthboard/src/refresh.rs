//! When a service should ask by itself, so that an idle one is neither called sick nor blind.

use crate::board::clock;
use crate::read::{Directory, Evidence};
use crate::record::Indicator;
use std::time::Duration;

/// How soon after a failure a refresh is due, by the failures in a row: a thing that comes back is noticed early, and one that
/// stays away is not asked all the time.
const AFTER_FAILURE: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(5), Duration::from_secs(10), Duration::from_secs(30)];

/// An operation of the work that is in flight for so long puts the indicator in doubt.
const IN_DOUBT_AFTER: Duration = Duration::from_secs(5);

/// Nobody is told to wait for less, so that nobody spins.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

impl Indicator {
    /// How soon this process should [refresh](Indicator::begin_refresh) the indicator: zero when it is due.
    ///
    /// It is due when no process of the service has recorded an outcome for the policy's `refresh_interval`, and no other one is
    /// refreshing it; when this process's newest outcome is a failure, 2, 5, 10 and from then on 30 s after it; when an operation
    /// of this process has been in flight for 5 s. Never while a refresh of this process is in flight. The times vary by 20 %, so that processes do
    /// not ask at once.
    ///
    /// `None` where there is nothing to refresh: health is not started, nothing was recorded in this process yet, or the
    /// interval is zero. When nothing is due in this process it costs some loads; else it reads the boards of the service.
    pub fn refresh_due(self) -> Option<Duration> {
        let policy = self.policy()?;
        let evidence = self.evidence()?;
        let now_ns = clock::now_ns();
        let due = due_in(&evidence, policy.refresh_interval, now_ns, jitter(now_ns))?;
        if !due.is_zero() || evidence.failures > 0 || is_in_doubt(&evidence, now_ns) {
            return Some(due);
        }
        Some(self.others_ask(policy.refresh_interval, now_ns).unwrap_or(Duration::ZERO))
    }

    /// For how long another process of the service still answers for the indicator.
    fn others_ask(self, interval: Duration, now_ns: u64) -> Option<Duration> {
        let directory = self.directory()?;
        let (name, own_id) = (self.name()?, self.process_id()?);
        let processes = Directory::new(directory).read().ok()?;
        let others = processes.iter().filter(|p| p.life.is_alive() && p.id != own_id);
        let evidence = others.flat_map(|p| &p.indicators).filter(|o| *o.name == *name).map(|o| &o.evidence);
        let mut longest = None;
        for evidence in evidence {
            let asks = evidence.refresh_ns.map(|_| SHORTEST_WAIT.max(interval / 10));
            let knows = evidence.last_success_ns.filter(|_| evidence.failures == 0);
            let age = |at_ns: u64| Duration::from_nanos(now_ns.saturating_sub(at_ns));
            let knows = knows.map(|at| interval.saturating_sub(age(at))).filter(|left| !left.is_zero());
            longest = longest.max(asks).max(knows);
        }
        longest
    }
}

/// By the evidence of this process alone. `jitter` is from -1 to 1.
fn due_in(evidence: &Evidence, interval: Duration, now_ns: u64, jitter: f64) -> Option<Duration> {
    if interval.is_zero() {
        return None;
    }
    let newest_ns = evidence.newest_ns()?;
    if evidence.refresh_ns.is_some() {
        return Some(interval);
    }
    let after = match evidence.failures {
        0 => interval,
        n => AFTER_FAILURE[(n as usize - 1).min(AFTER_FAILURE.len() - 1)].min(interval.max(AFTER_FAILURE[0])),
    };
    let after = after.mul_f64(1.0 + 0.2 * jitter);
    let after = if is_in_doubt(evidence, now_ns) { after.min(IN_DOUBT_AFTER) } else { after };
    Some(after.saturating_sub(Duration::from_nanos(now_ns.saturating_sub(newest_ns))))
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
