//! The probes of `deploy/kubernetes`, kept by a stand-in for kubelet on a small service.
//!
//! The manifests are read as they are: what is played here is what a user copies. In place of their container runs a service with an
//! embedded database, in which a hang, a missing database and a slow start are easily made.

mod kubelet;
mod manifest;
mod probe;
mod service;

use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use self::kubelet::{Kubelet, Seen};
use self::manifest::Container;
use self::service::Service;
use crate::setup::Setup;
use crate::stage::private_folder;

/// The manifests.
pub const MANIFESTS: [&str; 2] = ["deploy/kubernetes/nova-api.yaml", "deploy/kubernetes/nova-compute.yaml"];

/// What openstack-helm's chart makes, as its post-renderer changes it.
const RENDER: [&str; 3] = [
    "e2e/deploy/kubernetes/kustomize.py",
    "deploy/kubernetes/openstack-helm/kustomization.yaml",
    "e2e/deploy/kubernetes/openstack-helm.yaml",
];

/// The version of the API that the manifests are checked against.
const API: &str = "1.31";

/// How long everything takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As the manifests say that users copy, with a service that has our defaults.
    Shipped,
    /// Ten times faster.
    Quick,
}

/// What happened after something was done to the service.
#[derive(Debug)]
pub struct Step {
    /// What was done.
    pub what: &'static str,
    /// What kubelet did, and the reason that the probe gave.
    pub seen: String,
    /// How long that took.
    pub after: Duration,
    /// How often the container was restarted in all.
    pub restarts: usize,
}

/// Checks the manifests, and what openstack-helm's chart becomes, against the schema of Kubernetes' API, strictly.
///
/// # Errors
///
/// If one is wrong.
pub fn validate(setup: &Setup) -> Result<()> {
    let rendered = tempfile::NamedTempFile::with_suffix(".yaml")?;
    fs::write(&rendered, python(setup, &RENDER)?)?;
    for manifest in MANIFESTS.map(Path::new).into_iter().chain([rendered.path()]) {
        let words = ["-m", "kubernetes_validate", "--strict", "-k", API].map(Path::new);
        let said = python(setup, &[&words[..], &[manifest]].concat())?;
        ensure!(said.contains("passed"), "{}: {said}", manifest.display());
    }
    Ok(())
}

/// The chart of openstack-helm as its post-renderer changes it: a JSON document for each service.
///
/// # Errors
///
/// If a patch does not fit.
pub fn openstack_helm(setup: &Setup) -> Result<Vec<Value>> {
    let rendered = tempfile::NamedTempFile::new()?;
    fs::write(&rendered, python(setup, &RENDER)?)?;
    documents(setup, rendered.path())
}

/// Plays a slow start, a database that goes away and comes back, and a hang.
///
/// # Errors
///
/// If something does not happen in time, or happens that must not.
pub fn play(setup: &Setup, manifest: &str, pace: Pace) -> Result<Vec<Step>> {
    let container = Container::read(setup, manifest)?;
    let mut steps = Vec::new();
    on(&container, pace, |kubelet, service| {
        let ready = |seen: &Seen| matches!(seen, Seen::Ready);
        steps.push(until(kubelet, "a slow start", ready)?);
        service.take_database_away()?;
        steps.push(until(kubelet, "the database is away", |seen| matches!(seen, Seen::NotReady(_)))?);
        sleep(container.too_long() / pace.divisor());
        ensure!(kubelet.restarts() == 0, "a missing database restarted the service: {:?}", kubelet.seen());
        service.bring_database_back()?;
        steps.push(until(kubelet, "the database is back", ready)?);
        service.hang()?;
        steps.push(until(kubelet, "a hang", |seen| matches!(seen, Seen::Killed(_)))?);
        steps.push(until(kubelet, "after the restart", ready)?);
        Ok(())
    })?;
    Ok(steps)
}

/// Plays a slow start of a container without a startup probe.
///
/// # Errors
///
/// If it is not killed, so that [`play`] would prove nothing.
pub fn play_without_startup_probe(setup: &Setup, manifest: &str) -> Result<Step> {
    let mut container = Container::read(setup, manifest)?;
    container.startup = None;
    let killed = |seen: &Seen| matches!(seen, Seen::Killed(_));
    on(&container, Pace::Quick, |kubelet, _| until(kubelet, "a slow start", killed))
}

/// A table of what was played.
pub fn page(manifest: &str, steps: &[Step]) -> String {
    let mut text = format!("## {manifest}\n\n| | after | kubelet | restarts |\n| --- | --- | --- | --- |\n");
    for Step { what, seen, after, restarts } in steps {
        let seen = seen.lines().filter(|line| !line.starts_with("[+]")).collect::<Vec<_>>().join(" ");
        let _ = writeln!(text, "| {what} | {:.0} s | {seen} | {restarts} |", after.as_secs_f64());
    }
    text + "\n"
}

fn on<T>(
    container: &Container,
    pace: Pace,
    play: impl FnOnce(&mut Kubelet, &Service) -> Result<T>,
) -> Result<T> {
    let programs = Setup::build_static(&["healthboard-cli", "sqlite-service"])?;
    let folder = private_folder()?;
    let service = Service::new(container, &programs, folder.path(), pace)?;
    let mut kubelet = Kubelet::start(container, &service, pace.divisor())?;
    let played = play(&mut kubelet, &service);
    kubelet.stop();
    played
}

fn until(kubelet: &mut Kubelet, what: &'static str, wanted: fn(&Seen) -> bool) -> Result<Step> {
    let begin = Instant::now();
    let (at, seen) = kubelet.until(wanted).context(what)?;
    let after = at.saturating_duration_since(begin);
    Ok(Step { what, seen: seen.to_string(), after, restarts: kubelet.restarts() })
}

impl Pace {
    fn divisor(self) -> u32 {
        match self {
            Pace::Shipped => 1,
            Pace::Quick => 10,
        }
    }

    /// What differs from our defaults.
    fn environment(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Pace::Shipped => &[],
            // The service stamps `progress` once a second.
            Pace::Quick => &[("HEALTHBOARD_FAILURE_WINDOW", "1"), ("HEALTHBOARD_PROGRESS__TTL", "3")],
        }
    }
}

/// The text of a manifest as JSON documents: there is no YAML in this workspace.
///
/// # Errors
///
/// If it is no YAML.
pub fn documents(setup: &Setup, manifest: &Path) -> Result<Vec<Value>> {
    let line = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))";
    Ok(serde_json::from_str(&python(setup, &["-c".as_ref(), line.as_ref(), manifest])?)?)
}

/// What Python says, run in the workspace.
fn python(setup: &Setup, words: &[impl AsRef<OsStr>]) -> Result<String> {
    let output = Command::new(setup.program("python")).args(words).current_dir(setup.workspace()).output()?;
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}");
    Ok(said.into_owned())
}
