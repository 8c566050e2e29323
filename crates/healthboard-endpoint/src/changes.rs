//! Log lines about changes of the status.
//!
//! A change is logged once, with its cause. A status that gets worse again and again is flapping: then the log gets a summary
//! from time to time and a last line when the status has settled. A status worse than all before is still logged at once. An
//! outage alone, from OK by way of DEGRADED to FAULT and back, is not flapping, nor are two of them.

use healthboard::{History, Status};
use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

/// A status that gets worse this often within [`FLAPPING_WINDOW`] is flapping.
const FLAPPING_TIMES: usize = 5;

/// See [`FLAPPING_TIMES`].
const FLAPPING_WINDOW: Duration = Duration::from_secs(1200);

/// The time between two summaries.
const SUMMARY_INTERVAL: Duration = Duration::from_secs(1200);

/// A status that has not changed for this long has settled.
const SETTLED_AFTER: Duration = Duration::from_secs(300);

/// A line for the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Whether an operator should act.
    pub(crate) warning: bool,
    pub(crate) text: String,
    /// The status of the previous line.
    pub(crate) previous: Status,
}

/// Follows the status of a service and decides what is logged.
pub(crate) struct Changes {
    status: Status,
    /// The status of the newest line.
    logged: Status,
    /// When it last changed.
    changed: Option<Instant>,
    /// When it last got worse, at most [`FLAPPING_TIMES`] times.
    worsened: VecDeque<Instant>,
    flaps: Option<Flaps>,
}

/// A flapping status.
struct Flaps {
    /// When the last summary was logged, or the flapping began.
    since: Instant,
    times: u32,
    worst: Status,
}

impl Changes {
    /// A service begins `OK`, which is not logged.
    pub(crate) fn new() -> Changes {
        let (status, logged) = (Status::Ok, Status::Ok);
        Changes { status, logged, changed: None, worsened: VecDeque::new(), flaps: None }
    }

    /// Continues where earlier holders have stopped to log. `now` and `time` are the same moment.
    pub(crate) fn after(history: &History, now: Instant, time: SystemTime) -> Changes {
        let mut changes = Changes::new();
        let unlogged = usize::try_from(history.count.saturating_sub(history.logged)).unwrap_or(usize::MAX);
        for change in history.service.iter().take(history.service.len().saturating_sub(unlogged)) {
            let age = time.duration_since(change.time()).unwrap_or_default();
            let at = now.checked_sub(age).unwrap_or(now);
            // It may have settled before.
            changes.observe(at, changes.status, "");
            changes.observe(at, change.status, "");
        }
        // The last holder has looked then, or a little later: a line is rather logged twice than never.
        changes.observe(now.checked_sub(Duration::from_secs(1)).unwrap_or(now), changes.status, "");
        changes
    }

    /// Call this about once a second with the status at `now`; `message` is its cause, empty for `OK`. Returns the line
    /// to log, if any.
    pub(crate) fn observe(&mut self, now: Instant, status: Status, message: &str) -> Option<Line> {
        let (has_changed, is_worse) = (status != self.status, status > self.status);
        self.status = status;
        if has_changed {
            self.changed = Some(now);
        }
        if is_worse {
            self.worsened.push_back(now);
            while self.worsened.len() > FLAPPING_TIMES {
                self.worsened.pop_front();
            }
        }
        let last = self.changed?;
        let cause = if message.is_empty() { "recovered" } else { message };
        let logged = &mut self.logged;
        let mut line = |text: String| {
            Some(Line { warning: status > Status::Ok, text, previous: std::mem::replace(logged, status) })
        };
        if let Some(flaps) = &mut self.flaps {
            flaps.times += u32::from(is_worse);
            let (times, since) = (flaps.times, now.saturating_duration_since(flaps.since));
            if now.saturating_duration_since(last) >= SETTLED_AFTER {
                self.flaps = None;
                self.worsened.clear();
                return line(format!("settled: {}: {cause}", status.name()));
            }
            if status > flaps.worst {
                flaps.worst = status;
                return line(format!("{}: {cause}", status.name()));
            }
            if since >= SUMMARY_INTERVAL {
                (flaps.since, flaps.times) = (now, 0);
                return line(summary(times, since, status, cause));
            }
            return None;
        }
        if !has_changed {
            return None;
        }
        let first = self.worsened.front().copied().unwrap_or(now);
        let within = now.saturating_duration_since(first);
        if is_worse && self.worsened.len() == FLAPPING_TIMES && within <= FLAPPING_WINDOW {
            self.flaps = Some(Flaps { since: now, times: 0, worst: status });
            return line(summary(FLAPPING_TIMES as u32, within, status, cause));
        }
        line(format!("{}: {cause}", status.name()))
    }
}

fn summary(times: u32, within: Duration, status: Status, cause: &str) -> String {
    let minutes = (within.as_secs() / 60).max(1);
    format!("flaps: worse {times} times in {minutes} min; now {}: {cause}", status.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report;
    use std::sync::Arc;

    /// The lines for a status that is observed once a second.
    fn said(seconds: u64, status: impl Fn(u64) -> Status) -> Vec<(u64, String)> {
        said_by_holders_of(seconds, seconds, status)
    }

    /// The same, if each holder dies after so many seconds.
    fn said_by_holders_of(life: u64, seconds: u64, status: impl Fn(u64) -> Status) -> Vec<(u64, String)> {
        let (mut changes, begin) = (Changes::new(), Instant::now());
        let (mut history, mut report) = (Arc::default(), report(Status::Ok));
        let mut said = Vec::new();
        for second in 0..seconds {
            let (time, status) = (SystemTime::UNIX_EPOCH + Duration::from_secs(second), status(second));
            if second % life == life - 1 {
                changes = Changes::after(&history, begin + Duration::from_secs(second), time);
            }
            (report.time, report.status) = (time, status);
            History::observe(&mut history, &report);
            let history = Arc::make_mut(&mut history);
            history.logged = history.count;
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
    fn a_change_is_logged_once_with_its_cause() {
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
                (4000, "OK: recovered".to_owned()),
            ]
        );
    }

    #[test]
    fn a_flapping_status_is_summarised_and_its_end_is_logged() {
        let day = 86_400;
        let flapping = |s: u64| if s < day && (s * 10 / 7) % 2 == 1 { Status::Degraded } else { Status::Ok };
        let said = said(day + 3600, flapping);
        for hour in 0..24 {
            let within = said.iter().filter(|(second, _)| second / 3600 == hour).count();
            assert!((1..=12).contains(&within), "{within} lines in hour {hour}");
        }
        let texts = texts(&said);
        assert_eq!(texts[..2], ["DEGRADED: database: OperationalError", "OK: recovered"]);
        assert_eq!(texts[8], "flaps: worse 5 times in 1 min; now DEGRADED: database: OperationalError");
        assert!(
            texts[9].starts_with("flaps: worse ") && texts[9].contains(" times in 20 min; now "),
            "{}",
            texts[9]
        );
        assert_eq!(texts.last(), Some(&"settled: OK: recovered"));
        assert_eq!(texts.iter().filter(|text| text.starts_with("settled")).count(), 1);
    }

    #[test]
    fn each_step_of_two_outages_is_logged() {
        let outage = |s: u64| match s {
            0..10 => Status::Degraded,
            10..30 => Status::Fault,
            30..40 => Status::Degraded,
            _ => Status::Ok,
        };
        let said = said(1000, |s| if s < 10 { Status::Ok } else { outage((s - 10) % 120 + 400 * (s / 250)) });
        let statuses: Vec<&str> = said.iter().filter_map(|(_, text)| text.split(':').next()).collect();
        assert_eq!(statuses, ["DEGRADED", "FAULT", "DEGRADED", "OK", "DEGRADED", "FAULT", "DEGRADED", "OK"]);
    }

    #[test]
    fn a_fault_during_flapping_is_logged_at_once() {
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
    fn for_any_pattern_the_log_stays_short_and_ends_with_the_last_status() {
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

    #[test]
    fn a_change_that_no_holder_could_log_is_logged_by_the_next() {
        let mut history = Arc::default();
        History::observe(&mut history, &report(Status::Degraded));
        Arc::make_mut(&mut history).logged = 1;
        History::observe(&mut history, &report(Status::Fault));
        let mut changes = Changes::after(&history, Instant::now(), SystemTime::now());
        let line = changes.observe(Instant::now(), Status::Fault, "database: gone").unwrap();
        assert_eq!((line.previous, &*line.text), (Status::Degraded, "FAULT: database: gone"));
    }

    #[test]
    fn the_log_is_the_same_however_often_the_holder_dies() {
        let outage = |s: u64| match s {
            0..100 => Status::Ok,
            100..120 => Status::Degraded,
            120..4000 => Status::Fault,
            _ => Status::Ok,
        };
        let flapping = |s: u64| if s < 1800 && s % 120 > 60 { Status::Degraded } else { Status::Ok };
        for life in [1, 5, 61, 700] {
            assert_eq!(said_by_holders_of(life, 5000, outage), said(5000, outage), "{life} s");
            assert_eq!(said_by_holders_of(life, 5000, flapping), said(5000, flapping), "{life} s");
            // The history is too short for all changes of an hour.
            let quick = said_by_holders_of(life, 7200, |s| flapping(s * 10 % 1800));
            assert!(quick.len() <= 20, "{life} s: {quick:?}");
        }
    }
}
