//! Our check beside those that containers have today: what each costs, and what each says while something is broken.
//!
//! One nova-conductor runs on real servers, in a namespace of pids, as in a container. The scripts of kolla and TripleO are those of
//! their packages. openstack-helm's probe is written anew (`e2e/deploy/probes/rpc_ping.py`), since it is in no package.

mod contained;
mod faults;
mod page;
mod probers;

use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use self::contained::Contained;
use self::faults::{ALL_FROZEN, FAULTS, Fault};
pub use self::page::page;
use self::probers::{Answer, Prober, probers, watch};
use crate::setup::Setup;
use crate::stage::CONDUCTOR;
use crate::watch::Status;

/// How long all probes say that all is well, before a fault.
const BEFORE: Duration = Duration::from_secs(3);

/// What one run of a probe takes.
#[derive(Debug)]
pub struct Cost {
    /// The probe.
    pub name: &'static str,
    /// CPU time of all its processes.
    pub cpu: Duration,
}

/// What the probes said of one fault.
#[derive(Debug)]
pub struct Truth {
    /// The fault, as in docs/faults.md.
    pub fault: &'static str,
    /// How long it lasted.
    pub lasted: Duration,
    /// What each said first that was not "well", and after how long.
    pub said: Vec<Said>,
}

/// What one probe said of one fault.
#[derive(Debug)]
pub struct Said {
    /// The probe.
    pub name: &'static str,
    /// When it first said DEGRADED. Only ours knows that.
    pub degraded: Option<Duration>,
    /// When it first failed.
    pub failed: Option<Duration>,
    /// Its newest message during the fault; none if it gave no answer.
    pub message: Option<String>,
}

/// Measures the costs, and plays all faults.
///
/// # Errors
///
/// If something cannot be started, or is not well again after a fault.
pub fn compare(setup: &Setup, tick: fn(&str)) -> Result<(Vec<Cost>, Vec<Truth>)> {
    play(setup, &FAULTS.iter().collect::<Vec<_>>(), false, tick)
}

/// The same with one measurement, one short fault, in which all workers are frozen, and without the probe that takes longer than it.
///
/// # Errors
///
/// As for [`compare`].
pub fn compare_quickly(setup: &Setup) -> Result<(Vec<Cost>, Vec<Truth>)> {
    let fault = FAULTS.iter().find(|fault| fault.title == ALL_FROZEN).context("no such fault")?;
    let quick = Fault { seconds: 15, ..*fault };
    play(setup, &[&quick], true, |_| ())
}

fn play(setup: &Setup, faults: &[&Fault], quick: bool, tick: fn(&str)) -> Result<(Vec<Cost>, Vec<Truth>)> {
    let healthboard = Setup::build_static(&["healthboard-cli", "sqlite-service"])?.join("healthboard");
    let mut contained = Contained::start(setup, CONDUCTOR)?;
    let uri = contained.cluster.uri(CONDUCTOR);
    let mut probers = probers(&setup.scripts(), setup.workspace(), &healthboard, &uri);
    probers.retain(|prober| !quick || !prober.name.starts_with("openstack-helm"));
    let rounds = if quick { 1 } else { 3 };
    let played = play_on(&mut contained, &probers, faults, rounds, tick);
    if played.is_err() {
        contained.cluster.keep_folder();
    }
    played
}

fn play_on(
    contained: &mut Contained,
    probers: &[Prober],
    faults: &[&Fault],
    rounds: u32,
    tick: fn(&str),
) -> Result<(Vec<Cost>, Vec<Truth>)> {
    let mut costs = Vec::new();
    for prober in probers {
        tick(prober.name);
        let cpu = contained.cost(&prober.words, rounds, prober.count)?;
        costs.push(Cost { name: prober.name, cpu });
    }
    let mut truths = Vec::new();
    for fault in faults {
        tick(fault.title);
        truths.push(one(contained, probers, fault).with_context(|| fault.title.to_owned())?);
    }
    Ok((costs, truths))
}

/// Plays one fault, and waits until the service is OK again.
fn one(contained: &mut Contained, probers: &[Prober], fault: &Fault) -> Result<Truth> {
    let workers = contained.workers()?;
    let beside = contained.beside()?;
    let cluster = &mut contained.cluster;
    let ((from, to), answers) = watch(&beside, probers, |begin| {
        sleep(BEFORE);
        let from = begin.elapsed();
        (fault.inject)(cluster, &workers)?;
        sleep(Duration::from_secs(fault.seconds));
        let to = begin.elapsed();
        (fault.repair)(cluster, &workers)?;
        Ok((from, to))
    })?;
    cluster.until(CONDUCTOR, "OK", |answer| answer.status() == "OK")?;
    let said = probers.iter().zip(&answers).map(|(prober, answers)| said(prober.name, answers, from, to));
    Ok(Truth { fault: fault.title, lasted: to - from, said: said.collect() })
}

fn said(name: &'static str, answers: &[Answer], from: Duration, to: Duration) -> Said {
    let during: Vec<_> = answers.iter().filter(|answer| from < answer.at && answer.at <= to).collect();
    let first = |wanted| during.iter().find(|answer| answer.status == wanted).map(|answer| answer.at - from);
    Said {
        name,
        degraded: first(Status::Degraded),
        failed: first(Status::Fault),
        message: during.last().map(|answer| answer.message.clone()),
    }
}
