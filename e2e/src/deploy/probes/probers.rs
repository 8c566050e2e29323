//! The probes that are compared, and what each says over time.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::watch::Status;

/// How often each is asked. Deployments ask each 10 to 90 s.
const INTERVAL: Duration = Duration::from_secs(1);
/// The port of the broker.
const BROKER: &str = "5672";

pub(super) const KOLLA: &str = "kolla `healthcheck_port`";
pub(super) const TRIPLEO: &str = "TripleO `nova-conductor`";
pub(super) const HELM_READY: &str = "openstack-helm, readiness";
pub(super) const HELM_LIVE: &str = "openstack-helm, liveness";
pub(super) const CHECK: &str = "`healthboard check`";
pub(super) const READY: &str = "`healthboard check --ready`";
pub(super) const LIVE: &str = "`healthboard check --live`";

/// One answer of a probe.
pub(super) struct Answer {
    /// When, from the begin of the watch.
    pub(super) at: Duration,
    pub(super) status: Status,
    pub(super) message: String,
}

/// One probe of nova-conductor.
pub(super) struct Prober {
    pub(super) name: &'static str,
    pub(super) words: Vec<String>,
    /// How often it is run to measure its cost.
    pub(super) count: u32,
}

/// All of them: those of today, then ours.
pub(super) fn probers(scripts: &Path, sources: &Path, healthboard: &Path, uri: &str) -> Vec<Prober> {
    let kolla = scripts.join("kolla/docker/base/healthcheck_port").display().to_string();
    let tripleo = scripts.join("share/tripleo-common/healthcheck").display().to_string();
    let helm = sources.join("e2e/deploy/probes/rpc_ping.py").display().to_string();
    let ours = healthboard.display().to_string();
    let of =
        |name, count, line: &str| Prober { name, words: line.split(' ').map(str::to_owned).collect(), count };
    // Its chart has `timeoutSeconds: 70`.
    let helm = format!("timeout 70 python {helm} --config-file nova.conf --service-queue-name conductor");
    vec![
        of(KOLLA, 20, &format!("bash {kolla} nova-conductor {BROKER}")),
        of(TRIPLEO, 20, &format!("env HEALTHCHECK_SCRIPTS={tripleo} bash {tripleo}/nova-conductor {BROKER}")),
        of(HELM_READY, 1, &helm),
        of(HELM_LIVE, 1, &format!("{helm} --liveness-probe")),
        of(CHECK, 100, &format!("{ours} check {uri}")),
        of(READY, 100, &format!("{ours} check --ready {uri}")),
        of(LIVE, 100, &format!("{ours} check --live {uri}")),
    ]
}

/// Asks all of them, each by itself, while `play` runs.
pub(super) fn watch<T>(
    beside: &[String],
    probers: &[Prober],
    play: impl FnOnce(Instant) -> Result<T>,
) -> Result<(T, Vec<Vec<Answer>>)> {
    let (begin, stop) = (Instant::now(), AtomicBool::new(false));
    thread::scope(|scope| {
        let workers: Vec<_> = probers
            .iter()
            .map(|prober| {
                let stop = &stop;
                scope.spawn(move || -> Result<Vec<Answer>> {
                    let mut command = Command::new(&beside[0]);
                    command.args(&beside[1..]).args(&prober.words).stdin(Stdio::null());
                    let mut answers = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        let output = command.output()?;
                        let message = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                        let status = match output.status.code() {
                            Some(0) => Status::Ok,
                            Some(1) if prober.name == CHECK => Status::Degraded,
                            _ => Status::Fault,
                        };
                        answers.push(Answer { at: begin.elapsed(), status, message });
                        sleep(INTERVAL);
                    }
                    Ok(answers)
                })
            })
            .collect();
        let played = play(begin);
        // Relaxed: the flag carries no other data with it.
        stop.store(true, Ordering::Relaxed);
        let answers =
            workers.into_iter().map(|worker| worker.join().map_err(|_| anyhow!("a probe panicked"))?);
        let answers = answers.collect::<Result<Vec<_>>>()?;
        Ok((played?, answers))
    })
}
