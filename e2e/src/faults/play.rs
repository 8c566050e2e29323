//! The course of one fault: all is well, the fault, the mend, all is well again.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::finding::{Finding, Times};
use super::{Scenario, Scene, Wanted};
use crate::cluster::Concurrency;
use crate::probe::ask;
use crate::watch::{Seen, Status, Watch};

/// How often a condition is looked at.
const GLANCE: Duration = Duration::from_millis(20);
/// How long all must be well before a fault.
const QUIET: Duration = Duration::from_secs(3);
/// For how long a service may take to be well without anything being wrong any more.
const LIMIT: Duration = Duration::from_secs(120);

/// How much time is taken.
#[derive(Clone, Copy)]
pub struct Patience {
    /// Whether a fault ends as soon as its goals are reached.
    pub brief: bool,
    /// How long services are watched after they have recovered.
    pub calm: Duration,
    /// Called many times a second with the time waited so far; its error ends the waiting.
    pub tick: fn(Duration) -> Result<()>,
}

/// What came of one fault in one mode.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The name of the scenario.
    pub scenario: String,
    /// `threading` or `eventlet`.
    pub mode: String,
    /// How long the fault lasted.
    pub lasted: Duration,
    /// What it did to each service; nothing if it could not be made.
    pub findings: Vec<Finding>,
    /// Why it could not be made.
    pub impossible: Option<String>,
}

/// Plays one fault on a cluster whose services are started.
///
/// # Errors
///
/// When the cluster is not well before, or cannot be put right after. A fault that cannot be made is no error but an outcome.
pub fn play(scene: &mut Scene, scenario: &Scenario, patience: Patience) -> Result<Outcome> {
    settle(scene, patience).context("not well before the fault")?;
    let watch = Watch::begin(&scene.watched(), scene.ports(), scenario.interval);
    let mut pids = Vec::new();
    let wait_until = |condition: &dyn Fn(&[Seen]) -> bool, limit: Duration| -> Result<()> {
        let end = watch.now() + limit;
        while watch.now() < end && !watch.so_far(condition) {
            (patience.tick)(watch.now())?;
            sleep(GLANCE);
        }
        Ok(())
    };
    wait_until(&|_| watch.now() >= QUIET, QUIET * 2)?;

    let fault = watch.now();
    let injected = (scenario.inject)(scene, &mut pids);
    follow(scene, &watch);
    if injected.is_ok() {
        let least = if patience.brief { Duration::ZERO } else { scenario.least };
        let seen_enough = |seen: &[Seen]| watch.now() >= fault + least && scenario.is_told(seen, fault);
        wait_until(&seen_enough, scenario.most())?;
    }
    let lasted = watch.now() - fault;
    let mended = (scenario.mend)(scene, &mut pids);
    follow(scene, &watch);
    let mend = watch.now();
    if injected.is_ok() && mended.is_ok() && scenario.recovers {
        wait_until(&all_ok, LIMIT)?;
    }
    let calm = watch.now() + patience.calm;
    wait_until(&|_| watch.now() >= calm, patience.calm * 2)?;

    let times = Times { fault, mend, end: watch.now() };
    let seen = watch.end();
    (scenario.tidy)(scene, &mut pids).context("cannot put the cluster right after the fault")?;
    let outcome = Outcome {
        scenario: scenario.name.to_owned(),
        mode: name(scene.mode()).to_owned(),
        lasted,
        findings: Vec::new(),
        impossible: None,
    };
    Ok(match injected.and(mended) {
        Ok(()) => Outcome { findings: seen.iter().map(|seen| Finding::of(seen, times)).collect(), ..outcome },
        Err(error) => Outcome { impossible: Some(format!("{error:#}")), ..outcome },
    })
}

impl Scenario {
    /// Whether all that is to be said between the fault and its mend has been said.
    fn is_told(&self, seen: &[Seen], fault: Duration) -> bool {
        let said = |service: &str, wanted: fn(Status) -> bool| {
            let timeline = seen.iter().find(|seen| seen.service == service).map(|seen| &seen.ours);
            timeline.is_none_or(|timeline| timeline.first(fault, wanted).is_some())
        };
        self.goals.iter().all(|goal| {
            let alarm = goal.alarm.is_none() || goal.of.iter().all(|of| said(of, Status::is_alarm));
            let told =
                goal.fault.is_none() || goal.of.iter().all(|of| said(of, |status| status == Status::Fault));
            alarm && told
        })
    }
}

impl Outcome {
    /// Whether every goal of `scenario` was reached.
    pub fn is_as_wanted(&self, scenario: &Scenario) -> bool {
        self.impossible.is_none() && scenario.checks(&self.findings).iter().all(|check| check.met)
    }

    /// The worst of `wanted`: what took longest, and which service it was.
    pub fn worst(&self, scenario: &Scenario, wanted: Wanted) -> Option<super::Check> {
        let checks = scenario.checks(&self.findings).into_iter().filter(|check| check.wanted == wanted);
        // Never is later than anything.
        checks.max_by_key(|check| (!check.met, check.found.unwrap_or(Duration::MAX)))
    }
}

fn all_ok(seen: &[Seen]) -> bool {
    seen.iter().all(|seen| seen.ours.last().is_some_and(|change| change.status == Status::Ok))
}

/// Waits until all is well, and whoever reports its state to Nova has done so once more: a report that was lost in the fault
/// before takes a minute to fail.
pub(super) fn settle(scene: &Scene, patience: Patience) -> Result<()> {
    let start = Instant::now();
    let reported =
        |uri: &str| ask(uri).map(|answer| answer.body["details"]["service_report"]["last_success"].clone());
    let before: Vec<_> =
        scene.watched().iter().map(|watched| reported(&watched.uri).unwrap_or_default()).collect();
    loop {
        let unwell = scene.watched().into_iter().zip(&before).find_map(|(watched, before)| {
            let unwell = match ask(&watched.uri) {
                Err(error) => format!("{error:#}"),
                Ok(answer) if answer.status() != "OK" => format!("{} {}", answer.status(), answer.message()),
                Ok(_) if before.is_null() => return None,
                Ok(_) if reported(&watched.uri).is_ok_and(|newest| newest != *before) => return None,
                Ok(_) => String::from("it does not report to Nova"),
            };
            Some(format!("{}: {unwell}", watched.service))
        });
        match unwell {
            None => return Ok(()),
            Some(unwell) if start.elapsed() > LIMIT => bail!("{unwell}"),
            Some(_) => {}
        }
        (patience.tick)(start.elapsed())?;
        sleep(GLANCE);
    }
}

/// Services may have been started anew.
fn follow(scene: &Scene, watch: &Watch) {
    for watched in scene.watched() {
        watch.follow(&watched.service, watched.group);
    }
}

/// What a mode is called in outcomes.
pub(super) fn name(mode: Concurrency) -> &'static str {
    match mode {
        Concurrency::Threading => "threading",
        Concurrency::Eventlet => "eventlet",
    }
}
