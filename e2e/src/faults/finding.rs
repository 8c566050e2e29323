//! What one fault did to one service, according to its endpoint and to the checks that deployments use today.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::page::seconds;
use crate::watch::{Change, Seen, Status, Timeline};

/// The times of one fault, measured from the start of the watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// The fault began.
    pub fault: Duration,
    /// The fault was repaired: the server answers again.
    pub repair: Duration,
    /// The watch ended.
    pub end: Duration,
}

/// What one fault did to one service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Finding {
    /// The name of the service.
    pub service: String,
    /// From the fault until the endpoint said DEGRADED or FAULT.
    pub alarm: Option<Duration>,
    /// From the fault until the endpoint said FAULT.
    pub fault: Option<Duration>,
    /// From the repair until the endpoint said OK again and stayed OK for as long as the scenario wants; none if it was always OK,
    /// or never recovered.
    pub ok: Option<Duration>,
    /// The first message during the fault.
    pub message: String,
    /// Changes to a status other than OK between the fault and the recovery.
    #[serde(default)]
    pub during: Vec<Change>,
    /// Changes to a status other than OK before the fault.
    pub before: Vec<Change>,
    /// Changes to a status other than OK after the recovery.
    pub after: Vec<Change>,
    /// Whether the status was other than OK between the fault and the recovery.
    pub noticed: bool,
    /// The last status.
    pub last: Status,
    /// When oslo.middleware's `/healthcheck` was not 200.
    pub oslo: CheckResult,
    /// When `pgrep` found no process.
    pub pgrep: CheckResult,
    /// When `ss` found no connection to the broker.
    pub broker: CheckResult,
    /// When `ss` found no connection to the database server.
    pub database: CheckResult,
    /// The longest time without an answer from our endpoint.
    pub longest_wait: Duration,
    /// How long each probe took.
    pub micros: Vec<u32>,
}

/// What a check that deployments use today found during a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckResult {
    /// The check does not apply to this service: it failed before the fault, too.
    NotApplicable,
    /// The check succeeded from the fault to the repair.
    Ok,
    /// The check failed this long after the fault.
    Noticed(Duration),
}

impl Finding {
    /// Evaluates the timelines of one service. Who is OK for as long as `recovery` has recovered.
    pub fn of(seen: &Seen, times: Times, recovery: Duration) -> Self {
        let ours = &seen.ours;
        let recovered = ours.recovered_after(times.repair, recovery);
        let calm = times.repair + recovered.unwrap_or(Duration::MAX / 4);
        // A late alarm counts, but not one after the recovery.
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
            during: ours.not_ok(times.fault, calm).cloned().collect(),
            before: ours.not_ok(Duration::ZERO, times.fault).cloned().collect(),
            after: ours.not_ok(calm, times.end).cloned().collect(),
            noticed: noticed.is_some(),
            last: ours.last().map_or(Status::Silent, |change| change.status),
            oslo: CheckResult::of(&seen.oslo, times),
            pgrep: CheckResult::of(&seen.pgrep, times),
            broker: CheckResult::of(&seen.broker, times),
            database: CheckResult::of(&seen.database, times),
            longest_wait: seen.pace.longest_wait(),
            micros: seen.pace.micros().to_vec(),
        }
    }
}

impl fmt::Display for CheckResult {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotApplicable => formatter.write_str("–"),
            Self::Ok => formatter.write_str("ok"),
            Self::Noticed(after) => write!(formatter, "noticed after {}", seconds(*after)),
        }
    }
}

impl CheckResult {
    fn of(timeline: &Timeline, times: Times) -> Self {
        if timeline.at(times.fault) != Some(Status::Ok) {
            return Self::NotApplicable;
        }
        match timeline.first(times.fault, |status| status != Status::Ok) {
            Some(after) if times.fault + after < times.repair => Self::Noticed(after),
            _ => Self::Ok,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const TIMES: Times = Times {
        fault: Duration::from_secs(10),
        repair: Duration::from_secs(40),
        end: Duration::from_secs(80),
    };

    fn finding(statuses: &[(u64, Status)]) -> Finding {
        let mut seen = Seen::default();
        for (at, status) in statuses {
            seen.ours.record(s(*at), *status, &format!("said at {at}"));
            seen.oslo.record(s(*at), *status, "");
        }
        Finding::of(&seen, TIMES, s(5))
    }

    #[test]
    fn an_outage_has_its_times() {
        let found =
            finding(&[(0, Status::Ok), (12, Status::Degraded), (22, Status::Fault), (43, Status::Ok)]);
        assert_eq!((found.alarm, found.fault, found.ok), (Some(s(2)), Some(s(12)), Some(s(3))));
        assert_eq!(found.message, "said at 12");
        assert!(found.before.is_empty() && found.after.is_empty());
        assert_eq!((found.oslo, found.pgrep), (CheckResult::Noticed(s(2)), CheckResult::NotApplicable));
    }

    #[test]
    fn a_service_that_stays_ok_has_no_times() {
        let found = finding(&[(0, Status::Ok)]);
        assert_eq!((found.alarm, found.fault, found.ok), (None, None, None));
        assert!(!found.noticed && found.before.is_empty() && found.after.is_empty());
        assert_eq!(found.oslo, CheckResult::Ok);
    }

    #[test]
    fn alarms_before_the_fault_and_after_the_recovery_are_kept_apart() {
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
    fn a_fault_that_shows_only_after_the_repair_is_late() {
        let found =
            finding(&[(0, Status::Ok), (39, Status::Degraded), (41, Status::Fault), (45, Status::Ok)]);
        assert_eq!((found.alarm, found.fault, found.ok), (Some(s(29)), Some(s(31)), Some(s(5))));
        assert!(found.before.is_empty() && found.after.is_empty());
    }

    #[test]
    fn an_alarm_after_the_repair_does_not_belong_to_the_fault_if_the_service_was_ok_throughout() {
        let found = finding(&[(0, Status::Ok), (45, Status::Degraded), (48, Status::Ok)]);
        assert_eq!((found.alarm, found.ok), (None, None));
        assert_eq!(found.after.len(), 1);
    }

    #[test]
    fn a_relapse_within_the_recovery_period_belongs_to_the_fault() {
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
    fn a_service_that_never_recovers_has_no_recovery_time() {
        let found = finding(&[(0, Status::Ok), (12, Status::Fault)]);
        assert_eq!((found.ok, found.last), (None, Status::Fault));
        assert!(found.noticed);
    }
}
