//! The course of one fault: all services are OK, the fault, the repair, all services are OK again.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::finding::{Finding, Times};
use super::{Scenario, Site, Wanted};
use crate::probe::{ask, get};
use crate::watch::{Seen, Status, Watch};

/// How often a condition is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long the services are watched before a fault.
const OK_BEFORE_FAULT: Duration = Duration::from_secs(3);
/// How long services may take to be OK once nothing is broken any more.
const MAX_RECOVERY_TIME: Duration = Duration::from_secs(120);

/// The context of the error of a site that is not OK before a fault.
const NOT_OK: &str = "not OK before the fault";

/// How long a process may take to say where its threads are.
const MAX_VERBOSE_TIME: Duration = Duration::from_secs(5);

/// How long faults and observations last.
#[derive(Clone, Copy)]
pub struct Pacing {
    /// Whether a fault ends as soon as its goals are reached.
    pub ends_early: bool,
    /// How long services are watched after their recovery.
    pub watch_after: Duration,
    /// Called many times a second with the time waited so far. An error ends the wait.
    pub tick: fn(Duration) -> Result<()>,
}

/// The result of one fault in one mode.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The name of the scenario.
    pub scenario: String,
    /// The name of the site.
    pub mode: String,
    /// How long the fault lasted.
    pub lasted: Duration,
    /// The finding for each service; empty if the fault was impossible.
    pub findings: Vec<Finding>,
    /// Why the fault was impossible.
    pub impossible: Option<String>,
    /// What was not OK before the fault, so that it was played on a new site.
    #[serde(default)]
    pub started_anew: Option<String>,
}

/// Plays one fault on a site with running services.
///
/// # Errors
///
/// If the site is not OK before, or cannot be tidied afterwards. An impossible fault is an outcome, not an error.
pub fn play<S: Site>(site: &mut S, scenario: &Scenario<S>, pacing: Pacing) -> Result<Outcome> {
    (scenario.prepare)(site, &mut Vec::new()).context("cannot prepare the fault")?;
    settle(site, pacing).context(NOT_OK)?;
    let watch = Watch::begin(&site.watched(), site.ports(), scenario.interval);
    let mut pids = Vec::new();
    let wait_until = |condition: &dyn Fn(&[Seen]) -> bool, limit: Duration| -> Result<()> {
        let end = watch.now() + limit;
        while watch.now() < end && !watch.so_far(condition) {
            (pacing.tick)(watch.now())?;
            sleep(POLL_INTERVAL);
        }
        Ok(())
    };
    wait_until(&|_| watch.now() >= OK_BEFORE_FAULT, OK_BEFORE_FAULT * 2)?;

    let fault = watch.now();
    let injected = (scenario.inject)(site, &mut pids);
    follow(site, &watch);
    if injected.is_ok() {
        let min_duration = if pacing.ends_early { Duration::ZERO } else { scenario.min_duration };
        let seen_enough =
            |seen: &[Seen]| watch.now() >= fault + min_duration && scenario.has_all_alarms(seen, fault);
        wait_until(&seen_enough, scenario.max_duration())?;
    }
    let lasted = watch.now() - fault;
    let repaired = (scenario.repair)(site, &mut pids);
    follow(site, &watch);
    let repair = watch.now();
    if injected.is_ok() && repaired.is_ok() && scenario.recovers {
        let recovered =
            |seen: &[Seen]| all_ok_since(seen).is_some_and(|since| watch.now() >= since + scenario.recovery);
        wait_until(&recovered, MAX_RECOVERY_TIME)?;
    }
    let calm = watch.now() + pacing.watch_after;
    wait_until(&|_| watch.now() >= calm, pacing.watch_after * 2)?;

    let times = Times { fault, repair, end: watch.now() };
    let seen = watch.end();
    (scenario.tidy)(site, &mut pids).context("cannot tidy up after the fault")?;
    let outcome = Outcome {
        scenario: scenario.name.to_owned(),
        mode: site.name().to_owned(),
        lasted,
        findings: Vec::new(),
        impossible: None,
        started_anew: None,
    };
    Ok(match injected.and(repaired) {
        Ok(()) => {
            let finding = |seen| Finding::of(seen, times, scenario.recovery);
            Outcome { findings: seen.iter().map(finding).collect(), ..outcome }
        }
        Err(error) => Outcome { impossible: Some(format!("{error:#}")), ..outcome },
    })
}

/// What was not OK, if that is why a fault was not played.
pub fn not_ok_before(error: &anyhow::Error) -> Option<String> {
    let mut words = error.chain().map(ToString::to_string);
    words.next().filter(|first| first == NOT_OK)?;
    words.next().map(|why| why.lines().next().unwrap_or_default().to_owned())
}

impl<S> Scenario<S> {
    /// Whether every service has raised the alarms that the goals require before the repair.
    fn has_all_alarms(&self, seen: &[Seen], fault: Duration) -> bool {
        let reached = |service: &str, wanted: fn(Status) -> bool| {
            let timeline = seen.iter().find(|seen| seen.service == service).map(|seen| &seen.ours);
            timeline.is_none_or(|timeline| timeline.first(fault, wanted).is_some())
        };
        self.goals.iter().all(|goal| {
            let alarm = goal.alarm.is_none()
                || goal.services.iter().all(|service| reached(service, Status::is_alarm));
            let fault_status = goal.fault.is_none()
                || goal.services.iter().all(|service| reached(service, |status| status == Status::Fault));
            alarm && fault_status
        })
    }
}

impl Outcome {
    /// Whether every goal of `scenario` was met.
    pub fn meets_goals<S>(&self, scenario: &Scenario<S>) -> bool {
        self.impossible.is_none() && scenario.checks(&self.findings).iter().all(|check| check.met)
    }

    /// The worst check of this kind.
    pub fn worst<S>(&self, scenario: &Scenario<S>, wanted: Wanted) -> Option<super::Check> {
        let checks = scenario.checks(&self.findings).into_iter().filter(|check| check.wanted == wanted);
        // `None` means never, which is worse than any time.
        checks.max_by_key(|check| (!check.met, check.found.unwrap_or(Duration::MAX)))
    }
}

/// Since when all services have been OK; none if one of them is not.
fn all_ok_since(seen: &[Seen]) -> Option<Duration> {
    let since =
        |seen: &Seen| seen.ours.last().filter(|change| change.status == Status::Ok).map(|change| change.at);
    seen.iter().map(since).try_fold(Duration::ZERO, |latest, since| since.map(|since| latest.max(since)))
}

/// Waits until all services are OK, and those that report their state have done so once more: a report that was lost in
/// an earlier fault takes a minute to fail.
pub(super) fn settle(site: &impl Site, pacing: Pacing) -> Result<()> {
    let start = Instant::now();
    let reported =
        |uri: &str| ask(uri).map(|answer| answer.body["details"]["service_report"]["last_success"].clone());
    let before: Vec<_> =
        site.watched().iter().map(|watched| reported(&watched.uri).unwrap_or_default()).collect();
    loop {
        let problem = site.watched().into_iter().zip(&before).find_map(|(watched, before)| {
            let problem = match ask(&watched.uri) {
                Err(error) => format!("{error:#}"),
                Ok(answer) if answer.status() != "OK" => format!("{} {}", answer.status(), answer.message()),
                Ok(_) if before.is_null() => return None,
                Ok(_) if reported(&watched.uri).is_ok_and(|newest| newest != *before) => return None,
                Ok(_) => String::from("it does not report its state"),
            };
            Some(format!("{}: {problem}", watched.service))
        });
        match problem {
            None => return Ok(()),
            Some(problem) if start.elapsed() > MAX_RECOVERY_TIME => {
                let service = problem.split(':').next().unwrap_or_default();
                let all = site.watched();
                let uri = all.iter().find(|watched| watched.service == service).map(|watched| &watched.uri);
                let verbose = uri.map(|uri| get(uri, "/health?verbose", MAX_VERBOSE_TIME));
                bail!("{problem}\n{}", verbose.and_then(Result::ok).unwrap_or_default().1)
            }
            Some(_) => {}
        }
        (pacing.tick)(start.elapsed())?;
        sleep(POLL_INTERVAL);
    }
}

/// Watches the new process groups of restarted services.
fn follow(site: &impl Site, watch: &Watch) {
    for watched in site.watched() {
        watch.follow(&watched.service, watched.group);
    }
}
