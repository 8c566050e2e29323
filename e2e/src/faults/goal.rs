//! What is to be reached, and whether it was.

use std::time::Duration;

use crate::faults::{Finding, Scenario};
use crate::watch::Status;

/// One thing that is wanted of a service during a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// DEGRADED or FAULT, counted from the fault.
    Alarm,
    /// FAULT, counted from the fault.
    Fault,
    /// OK again, counted from the mend.
    Ok,
    /// No probe waits longer for an answer.
    Answer,
    /// Nothing but OK from a service that has nothing to do with it, nor before the fault, nor after the recovery.
    NoFalseAlarm,
}

impl Wanted {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Self::Alarm => "DEGRADED or worse within",
            Self::Fault => "FAULT within",
            Self::Ok => "OK again within",
            Self::Answer => "an answer within",
            Self::NoFalseAlarm => "no false alarm",
        }
    }
}

/// One goal held against what was found.
#[derive(Debug, Clone)]
pub struct Check {
    /// Of which service.
    pub service: String,
    /// What was wanted.
    pub wanted: Wanted,
    /// Within which time; zero for what has none.
    pub limit: Duration,
    /// What was found; nothing if it never came.
    pub found: Option<Duration>,
    /// Whether that is as wanted.
    pub met: bool,
}

impl Scenario {
    /// Holds every goal of this scenario against the findings.
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
        for goal in self.goals.iter().filter(|goal| goal.of.contains(&service)) {
            check(Wanted::Alarm, goal.alarm, finding.alarm);
            check(Wanted::Fault, goal.fault, finding.fault);
            check(Wanted::Ok, goal.ok, finding.ok);
            check(Wanted::Answer, goal.answer, Some(finding.longest_wait));
        }
        let concerned = self.concerns.contains(&service);
        // What does not recover by itself, such as a death that is told for a while, goes on after the mend.
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
