//! What the log is told about changes of the status.
//!
//! A change is said once, with its cause. A status that comes and goes is said to flap: then the log gets a sum from time to
//! time and a last line when the status has settled. What is worse than all before is said at once even then.

use healthboard::Status;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many changes within [`FLAPS_WITHIN`] are called flapping.
const FLAPS_FROM: usize = 3;

/// See [`FLAPS_FROM`].
const FLAPS_WITHIN: Duration = Duration::from_secs(600);

/// The time between two sums.
const SUM_EVERY: Duration = Duration::from_secs(1200);

/// A status that has not changed for so long has settled.
const SETTLED_AFTER: Duration = Duration::from_secs(300);

/// A line for the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Whether somebody should act.
    pub(crate) warning: bool,
    pub(crate) text: String,
}

/// Follows a status.
pub(crate) struct Changes {
    status: Status,
    /// When it changed, as far as that matters.
    changed: VecDeque<Instant>,
    flaps: Option<Flaps>,
}

/// A status that comes and goes.
struct Flaps {
    /// Since the last line about it.
    since: Instant,
    changes: u32,
    worst: Status,
}

impl Changes {
    /// A service begins `OK`; nothing needs to be said about that.
    pub(crate) fn new() -> Changes {
        Changes { status: Status::Ok, changed: VecDeque::new(), flaps: None }
    }

    /// Takes note of the status at this moment; `message` is its cause, empty when all is well. To be called about once a
    /// second. Returns what is to be said about it.
    pub(crate) fn observe(&mut self, now: Instant, status: Status, message: &str) -> Option<Line> {
        let has_changed = status != self.status;
        self.status = status;
        if has_changed {
            self.changed.push_back(now);
            while self.changed.len() > FLAPS_FROM {
                self.changed.pop_front();
            }
        }
        let last = self.changed.back().copied()?;
        let cause = if message.is_empty() { "all is well again" } else { message };
        let line = |about: String| Some(Line { warning: status > Status::Ok, text: about });
        if let Some(flaps) = &mut self.flaps {
            flaps.changes += u32::from(has_changed);
            let (changes, since) = (flaps.changes, now.saturating_duration_since(flaps.since));
            if now.saturating_duration_since(last) >= SETTLED_AFTER {
                self.flaps = None;
                return line(format!("settled: {}: {cause}", status.name()));
            }
            if status > flaps.worst {
                flaps.worst = status;
                return line(format!("{}: {cause}", status.name()));
            }
            if since >= SUM_EVERY {
                (flaps.since, flaps.changes) = (now, 0);
                return line(sum(changes, since, status, cause));
            }
            return None;
        }
        if !has_changed {
            return None;
        }
        let first = self.changed.front().copied().unwrap_or(now);
        let within = now.saturating_duration_since(first);
        if self.changed.len() == FLAPS_FROM && within <= FLAPS_WITHIN {
            self.flaps = Some(Flaps { since: now, changes: 0, worst: Status::Degraded.max(status) });
            return line(sum(FLAPS_FROM as u32, within, status, cause));
        }
        line(format!("{}: {cause}", status.name()))
    }
}

fn sum(changes: u32, within: Duration, status: Status, cause: &str) -> String {
    let minutes = (within.as_secs() / 60).max(1);
    format!("flaps: {changes} changes in {minutes} min; now {}: {cause}", status.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a status that is looked at once a second for so long.
    fn said(seconds: u64, status: impl Fn(u64) -> Status) -> Vec<(u64, String)> {
        let (mut changes, begin) = (Changes::new(), Instant::now());
        let mut said = Vec::new();
        for second in 0..seconds {
            let status = status(second);
            let message = if status == Status::Ok { "" } else { "database: OperationalError" };
            if let Some(line) = changes.observe(begin + Duration::from_secs(second), status, message) {
                assert_eq!(line.warning, status > Status::Ok, "{line:?}");
                said.push((second, line.text));
            }
        }
        said
    }

    fn texts(said: &[(u64, String)]) -> Vec<&str> {
        said.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn a_change_is_said_once_with_its_cause() {
        let said = said(7200, |s| match s {
            0..60 => Status::Ok,
            60..120 => Status::Degraded,
            120..4000 => Status::Fault,
            _ => Status::Ok,
        });
        assert_eq!(
            said,
            [
                (60, "DEGRADED: database: OperationalError".to_owned()),
                (120, "FAULT: database: OperationalError".to_owned()),
                (4000, "OK: all is well again".to_owned()),
            ]
        );
    }

    #[test]
    fn a_status_that_comes_and_goes_is_summed_up_and_its_end_is_said() {
        let day = 86_400;
        let flapping = |s: u64| if s < day && (s * 10 / 7) % 2 == 1 { Status::Degraded } else { Status::Ok };
        let said = said(day + 3600, flapping);
        for hour in 0..24 {
            let within = said.iter().filter(|(second, _)| second / 3600 == hour).count();
            assert!((1..=6).contains(&within), "{within} lines in hour {hour}");
        }
        let texts = texts(&said);
        assert_eq!(texts[..2], ["DEGRADED: database: OperationalError", "OK: all is well again"]);
        assert!(texts[2].starts_with("flaps: 3 changes in 1 min; now "), "{}", texts[2]);
        assert!(
            texts[3].starts_with("flaps: ") && texts[3].contains(" changes in 20 min; now "),
            "{}",
            texts[3]
        );
        assert_eq!(texts.last(), Some(&"settled: OK: all is well again"));
        assert_eq!(texts.iter().filter(|text| text.starts_with("settled")).count(), 1);
    }

    #[test]
    fn a_fault_amid_flapping_is_said_at_once() {
        let said = said(2000, |s| match s {
            0..100 if s % 2 == 1 => Status::Degraded,
            350.. => Status::Fault,
            _ => Status::Ok,
        });
        let at_once = said.iter().position(|(second, _)| *second == 350).unwrap();
        let last = ["FAULT: database: OperationalError", "settled: FAULT: database: OperationalError"];
        assert_eq!(texts(&said)[at_once..], last);
    }

    #[test]
    fn whatever_the_pattern_the_log_stays_readable_and_ends_with_the_truth() {
        let mut seed = 1_u64;
        let mut next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> 33
        };
        for _ in 0..200 {
            let (period, share) = (next() % 900 + 1, next() % 100);
            let pattern: Vec<u64> = (0..4 * 3600 / period + 1).map(|_| next() % 100).collect();
            let status = |s: u64| match pattern.get((s / period) as usize) {
                Some(choice) if *choice < share / 2 => Status::Fault,
                Some(choice) if *choice < share => Status::Degraded,
                Some(_) => Status::Ok,
                None => Status::Degraded,
            };
            let said = said(6 * 3600, status);
            for hour in 0..6 {
                let within = said.iter().filter(|(second, _)| second / 3600 == hour).count();
                assert!(within <= 24, "{within} lines in hour {hour}, period {period} s");
            }
            let last = said.iter().rev().find(|(_, text)| !text.is_empty()).unwrap();
            assert!(last.1.contains("DEGRADED: database"), "{last:?}, period {period} s");
        }
    }
}
