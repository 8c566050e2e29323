//! systemd's watchdog, as described in sd_watchdog_enabled(3).

use super::manager::Manager;
use healthboard::Status;
use std::time::Duration;

/// The longest interval between two pets, even if the watchdog would wait longer.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);

/// The shortest interval between two pets. A shorter one would occupy a core.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// The watchdog of a service with `WatchdogSec=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watchdog {
    interval: Duration,
    petted_ns: Option<u64>,
}

impl Watchdog {
    /// `None` if there is no watchdog, or if it expects an unrelated process.
    ///
    /// `WATCHDOG_PID` may be the process itself or an ancestor: if this is a forked worker, systemd has started its
    /// master.
    ///
    /// # Errors
    ///
    /// A variable has a value that systemd does not set.
    pub(crate) fn from_env(
        variable: impl Fn(&str) -> Option<String>,
        pid: u32,
        is_ancestor: impl Fn(u32) -> bool,
    ) -> Result<Option<Watchdog>, String> {
        let Some(text) = variable("WATCHDOG_USEC") else { return Ok(None) };
        let refused = |name: &str, found: &str, expected: &str| {
            format!("{name} is `{found}`, expected {expected}; the watchdog is not petted")
        };
        let allows = number(&text).filter(|usec| *usec > 0);
        let allows = allows.ok_or_else(|| refused("WATCHDOG_USEC", &text, "microseconds, more than 0"))?;
        if let Some(text) = variable("WATCHDOG_PID") {
            let asked = number(&text).and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0);
            let asked = asked.ok_or_else(|| refused("WATCHDOG_PID", &text, "the number of a process"))?;
            if asked != pid && !is_ancestor(asked) {
                return Ok(None);
            }
        }
        // The largest number means that there is no limit.
        let half = Duration::from_micros(allows / 2);
        let interval = half.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL);
        Ok((allows != u64::MAX).then_some(Watchdog { interval, petted_ns: None }))
    }

    /// The longest time between two calls of [`pet`](Watchdog::pet): half of what systemd allows, at most a second.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Pets the watchdog unless all processes of the service hang. `progress` is the status of that indicator over all
    /// processes.
    ///
    /// May be called more often than the interval. If a message is lost, systemd acts on its own timeout.
    pub(crate) fn pet(&mut self, manager: &Manager, now_ns: u64, progress: Status) {
        if progress != Status::Fault && self.is_due(now_ns) {
            self.petted_ns = Some(now_ns);
            let _ = manager.tell("WATCHDOG=1");
        }
    }

    /// Whether half an interval has passed. A caller that calls once per interval may be a little early by the coarse clock,
    /// and must not wait for another whole interval.
    pub(crate) fn is_due(&self, now_ns: u64) -> bool {
        let since = self.petted_ns.map(|petted| Duration::from_nanos(now_ns.saturating_sub(petted)));
        since.is_none_or(|since| since >= self.interval / 2)
    }
}

/// Parses digits only, without a sign.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
#[path = "watchdog_tests.rs"]
mod tests;
