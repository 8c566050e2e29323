//! The goals of a fault, and whether they were met.

use std::time::Duration;

use crate::faults::{Finding, Scenario};
use crate::watch::Status;

/// What a goal requires of a service during a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// DEGRADED or FAULT, counted from the fault.
    Alarm,
    /// FAULT, counted from the fault.
    Fault,
    /// OK again, counted from the repair.
    Ok,
    /// Each probe gets an answer in time.
    Answer,
    /// A message during the fault names this indicator.
    Named(&'static str),
    /// None of these statuses.
    Never(&'static [Status]),
    /// OK before the fault and after the recovery; for a service that the fault does not concern, OK throughout.
    NoFalseAlarm,
}

impl Wanted {
    /// The text for reports.
    pub fn text(self) -> &'static str {
        match self {
            Self::Alarm => "DEGRADED or worse within",
            Self::Fault => "FAULT within",
            Self::Ok => "OK again within",
            Self::Answer => "an answer within",
            Self::Named(_) => "a message that names the cause",
            Self::Never(_) => "no worse status than is right",
            Self::NoFalseAlarm => "no false alarm",
        }
    }
}

/// One goal, compared with the finding.
#[derive(Debug, Clone)]
pub struct Check {
    /// The name of the service.
    pub service: String,
    /// The requirement.
    pub wanted: Wanted,
    /// The time limit; zero if there is none.
    pub limit: Duration,
    /// The measured time; none if it never happened.
    pub found: Option<Duration>,
    /// Whether the goal was met.
    pub met: bool,
}

impl Check {
    /// What was wanted, and what was found.
    pub fn text(&self) -> String {
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        match self.wanted {
            Wanted::NoFalseAlarm => String::from("a false alarm, or no recovery"),
            Wanted::Named(indicator) => format!("no message names `{indicator}`"),
            Wanted::Never(statuses) => format!("it was one of {statuses:?}"),
            wanted => {
                let found = self.found.map_or_else(|| String::from("never"), seconds);
                format!("{} {}: {found}", wanted.text(), seconds(self.limit))
            }
        }
    }
}

impl<S> Scenario<S> {
    /// Compares the findings with the goals of this scenario.
    pub fn checks(&self, findings: &[Finding]) -> Vec<Check> {
        findings.iter().flat_map(|finding| self.checks_of(finding)).collect()
    }

    fn checks_of(&self, finding: &Finding) -> Vec<Check> {
        let service = finding.service.as_str();
        let mut checks = Vec::new();
        let mut check = |wanted, limit: Option<Duration>, found: Option<Duration>| {
            if let Some(limit) = limit {
                let met = found.is_some_and(|found| found <= limit);
                checks.push(Check { service: service.to_owned(), wanted, limit, found, met });
            }
        };
        for goal in self.goals.iter().filter(|goal| goal.services.contains(&service)) {
            check(Wanted::Alarm, goal.alarm, finding.alarm);
            check(Wanted::Fault, goal.fault, finding.fault);
            // Where no alarm is wanted, who saw nothing of the fault has nothing to recover from.
            let recovers = finding.noticed || goal.alarm.is_some() || goal.fault.is_some();
            check(Wanted::Ok, goal.ok.filter(|_| recovers), finding.ok);
            check(Wanted::Answer, goal.answer, Some(finding.longest_wait));
            if let Some(indicator) = goal.named {
                let named =
                    finding.during.iter().find(|change| change.note.contains(&format!("{indicator}: ")));
                check(Wanted::Named(indicator), Some(Duration::MAX), named.map(|change| change.at));
            }
            let is_worse = finding.during.iter().any(|change| goal.never.contains(&change.status));
            let limit = (!goal.never.is_empty()).then_some(Duration::ZERO);
            check(Wanted::Never(goal.never), limit, (!is_worse).then_some(Duration::ZERO));
        }
        let concerned = self.concerns.contains(&service);
        // Some effects last beyond the repair, such as a death that is reported for a while.
        let goes_on = concerned && !self.recovers;
        let after = !finding.after.is_empty() && !goes_on;
        let false_alarm = !finding.before.is_empty() || after || (finding.noticed && !concerned);
        checks.push(Check {
            service: service.to_owned(),
            wanted: Wanted::NoFalseAlarm,
            limit: Duration::ZERO,
            found: None,
            met: !false_alarm && (finding.last == Status::Ok || goes_on),
        });
        checks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Goal, Times};
    use crate::watch::Seen;

    const SERVICE: &str = "keystone";

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// The texts of the missed checks of a service that is DEGRADED, with this message, from 12 s to 43 s.
    fn missed(goal: Goal, message: &str) -> Vec<String> {
        missed_by(goal, &[(0, Status::Ok, ""), (12, Status::Degraded, message), (43, Status::Ok, "")])
    }

    fn missed_by(goal: Goal, statuses: &[(u64, Status, &str)]) -> Vec<String> {
        let mut seen = Seen { service: SERVICE.to_owned(), ..Seen::default() };
        for (at, status, note) in statuses {
            seen.ours.record(s(*at), *status, note);
        }
        let finding = Finding::of(&seen, Times { fault: s(10), repair: s(40), end: s(80) }, s(5));
        let scenario = Scenario::<()>::new("gone", "gone", |(), _| Ok(()), |(), _| Ok(()));
        let scenario = scenario.concerns(&[SERVICE]).goal(Goal { services: vec![SERVICE], ..goal });
        let checks = scenario.checks(&[finding]).into_iter();
        checks.filter(|check| !check.met).map(|check| check.text()).collect()
    }

    #[test]
    fn a_message_must_name_the_indicator_and_not_only_contain_its_name() {
        let goal = || Goal { named: Some("database"), ..Goal::default() };
        assert!(missed(goal(), "requests: 500; database: 2003").is_empty());
        assert_eq!(missed(goal(), "requests: no database"), ["no message names `database`"]);
    }

    #[test]
    fn who_noticed_nothing_need_not_recover_unless_an_alarm_was_wanted() {
        let within = |alarm| Goal { alarm, ok: Some(s(1)), ..Goal::default() };
        assert_eq!(missed(within(None), ""), ["OK again within 1.0 s: 3.0 s"]);
        let ok = [(0, Status::Ok, "")];
        assert!(missed_by(within(None), &ok).is_empty());
        let both = ["DEGRADED or worse within 5.0 s: never", "OK again within 1.0 s: never"];
        assert_eq!(missed_by(within(Some(s(5))), &ok), both);
    }

    #[test]
    fn a_status_that_must_never_be_is_a_miss() {
        let never = |never| Goal { never, ..Goal::default() };
        assert!(missed(never(&[Status::Fault]), "").is_empty());
        assert_eq!(missed(never(&[Status::Degraded]), ""), ["it was one of [Degraded]"]);
    }
}
