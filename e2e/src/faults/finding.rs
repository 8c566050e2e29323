//! What one fault did to one service, as its endpoint and the checks of today told it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::watch::{Change, Seen, Status, Timeline};

/// For so long a service must be OK again: connections that died unseen in the fault may still be found.
const LASTING: Duration = Duration::from_secs(5);

/// The times of one fault, by the clock of the watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// The fault began.
    pub fault: Duration,
    /// It was mended: the server answers again.
    pub mend: Duration,
    /// The watch ended.
    pub end: Duration,
}

/// What one fault did to one service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finding {
    /// What it is called.
    pub service: String,
    /// From the fault until its endpoint said DEGRADED or FAULT.
    pub alarm: Option<Duration>,
    /// From the fault until its endpoint said FAULT.
    pub fault: Option<Duration>,
    /// From the mend until its endpoint said OK again, and kept to it for five seconds; none if it never said anything else, or never came back.
    pub ok: Option<Duration>,
    /// The first message of the fault.
    pub message: String,
    /// What it said that was not OK before the fault.
    pub before: Vec<Change>,
    /// What it said that was not OK after it had been OK since the mend.
    pub after: Vec<Change>,
    /// Whether it said something that was not OK between the fault and its recovery.
    pub noticed: bool,
    /// What was said last.
    pub last: Status,
    /// From the fault until oslo.middleware's `/healthcheck` was not 200; none if it always was.
    pub oslo: Said,
    /// From the fault until `pgrep` found nothing.
    pub pgrep: Said,
    /// From the fault until `ss` found no connection to the broker.
    pub broker: Said,
    /// From the fault until `ss` found no connection to the database server.
    pub database: Said,
    /// How long there was no answer from our endpoint, at most.
    pub longest_wait: Duration,
    /// How long each probe took.
    pub micros: Vec<u32>,
}

/// What a check of today said during a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// It has nothing to say of this service: it was not well before the fault either.
    Nothing,
    /// All was well, from the fault to the mend.
    Well,
    /// It noticed, so long after the fault.
    Noticed(Duration),
}

impl Finding {
    /// Reads the timelines of one service.
    pub fn of(seen: &Seen, times: Times) -> Self {
        let ours = &seen.ours;
        let recovered = ours.well_again(times.mend, LASTING);
        let calm = times.mend + recovered.unwrap_or(Duration::MAX / 4);
        // Late is late, but what follows a recovery is another matter.
        let until_calm = |found: Option<Duration>| found.filter(|after| times.fault + *after < calm);
        let alarm = until_calm(ours.first(times.fault, Status::is_alarm));
        let fault = until_calm(ours.first(times.fault, |status| status == Status::Fault));
        let noticed = ours.not_ok(times.fault, calm).next();
        Self {
            service: seen.service.clone(),
            alarm,
            fault,
            ok: recovered.filter(|_| noticed.is_some()),
            message: noticed.map(|change| change.note.clone()).unwrap_or_default(),
            before: ours.not_ok(Duration::ZERO, times.fault).cloned().collect(),
            after: ours.not_ok(calm, times.end).cloned().collect(),
            noticed: noticed.is_some(),
            last: ours.last().map_or(Status::Silent, |change| change.status),
            oslo: Said::of(&seen.oslo, times),
            pgrep: Said::of(&seen.pgrep, times),
            broker: Said::of(&seen.broker, times),
            database: Said::of(&seen.database, times),
            longest_wait: seen.pace.longest_wait(),
            micros: seen.pace.micros().to_vec(),
        }
    }
}

impl Said {
    fn of(timeline: &Timeline, times: Times) -> Self {
        if timeline.at(times.fault) != Some(Status::Ok) {
            return Self::Nothing;
        }
        match timeline.first(times.fault, |status| status != Status::Ok) {
            Some(after) if times.fault + after < times.mend => Self::Noticed(after),
            _ => Self::Well,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const TIMES: Times =
        Times { fault: Duration::from_secs(10), mend: Duration::from_secs(40), end: Duration::from_secs(80) };

    fn finding(said: &[(u64, Status)]) -> Finding {
        let mut seen = Seen::default();
        for (at, status) in said {
            seen.ours.record(s(*at), *status, &format!("said at {at}"));
            seen.oslo.record(s(*at), *status, "");
        }
        Finding::of(&seen, TIMES)
    }

    #[test]
    fn an_outage_is_told_by_its_times() {
        let found =
            finding(&[(0, Status::Ok), (12, Status::Degraded), (22, Status::Fault), (43, Status::Ok)]);
        assert_eq!((found.alarm, found.fault, found.ok), (Some(s(2)), Some(s(12)), Some(s(3))));
        assert_eq!(found.message, "said at 12");
        assert!(found.before.is_empty() && found.after.is_empty());
        assert_eq!((found.oslo, found.pgrep), (Said::Noticed(s(2)), Said::Nothing));
    }

    #[test]
    fn a_service_that_is_not_concerned_has_no_times() {
        let found = finding(&[(0, Status::Ok)]);
        assert_eq!((found.alarm, found.fault, found.ok), (None, None, None));
        assert!(!found.noticed && found.before.is_empty() && found.after.is_empty());
        assert_eq!(found.oslo, Said::Well);
    }

    #[test]
    fn what_comes_before_the_fault_and_after_the_recovery_is_told_apart() {
        let found = finding(&[
            (0, Status::Ok),
            (5, Status::Degraded),
            (6, Status::Ok),
            (12, Status::Degraded),
            (43, Status::Ok),
            (50, Status::Fault),
            (51, Status::Ok),
        ]);
        let at = |changes: &[Change]| changes.iter().map(|change| change.at.as_secs()).collect::<Vec<_>>();
        assert_eq!((at(&found.before), at(&found.after)), (vec![5], vec![50]));
        assert_eq!((found.alarm, found.fault), (Some(s(2)), None));
    }

    #[test]
    fn a_fault_that_shows_only_after_the_mend_is_late() {
        let found =
            finding(&[(0, Status::Ok), (39, Status::Degraded), (41, Status::Fault), (45, Status::Ok)]);
        assert_eq!((found.alarm, found.fault, found.ok), (Some(s(29)), Some(s(31)), Some(s(5))));
        assert!(found.before.is_empty() && found.after.is_empty());
    }

    #[test]
    fn an_alarm_after_the_mend_of_what_was_ok_all_the_time_is_no_part_of_the_fault() {
        let found = finding(&[(0, Status::Ok), (45, Status::Degraded), (48, Status::Ok)]);
        assert_eq!((found.alarm, found.ok), (None, None));
        assert_eq!(found.after.len(), 1);
    }

    #[test]
    fn a_relapse_at_once_belongs_to_the_fault() {
        let found = finding(&[
            (0, Status::Ok),
            (12, Status::Degraded),
            (43, Status::Ok),
            (44, Status::Degraded),
            (46, Status::Ok),
        ]);
        assert_eq!((found.ok, found.after.len()), (Some(s(6)), 0));
    }

    #[test]
    fn what_never_comes_back_has_no_time_of_recovery() {
        let found = finding(&[(0, Status::Ok), (12, Status::Fault)]);
        assert_eq!((found.ok, found.last), (None, Status::Fault));
        assert!(found.noticed);
    }
}
