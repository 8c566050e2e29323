//! Whether a service that gets SIGTERM drains until its end.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::play::settle;
use super::{Pacing, Scene, Site};
use crate::probe::get;
use crate::processes::{Signal, is_alive, send};

/// How often both paths are probed.
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Nova takes 1 to 15 s to end.
const MAX_SHUTDOWN_TIME: Duration = Duration::from_secs(60);

/// Much less than the interval at which load balancers probe.
const MAX_DRAIN_DELAY: Duration = Duration::from_secs(1);

/// The answers of a service from SIGTERM to its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Drained {
    /// `threading` or `eventlet`.
    pub mode: String,
    /// The name of the service.
    pub service: String,
    /// From the signal until `/readyz` said 503.
    pub draining_after: Option<Duration>,
    /// From the signal until the last answer.
    pub last_answer_after: Duration,
    /// From the signal until the master had ended; none if it had to be killed.
    pub ended_after: Option<Duration>,
    /// Whether `/readyz` kept saying 503 until the end.
    pub stayed_draining: bool,
    /// Whether `/livez` said 200 until the end.
    pub stayed_alive: bool,
}

impl Drained {
    /// Whether the service drained soon enough and until its end. It need not if it ends within that time.
    pub fn meets_goals(&self) -> bool {
        self.draining_after.unwrap_or(self.last_answer_after) <= MAX_DRAIN_DELAY
            && self.stayed_draining
            && self.stayed_alive
    }
}

/// Sends SIGTERM to a service, probes it until its end, and starts it again.
///
/// # Errors
///
/// If the service is not OK before, or cannot be started again.
pub fn drain(scene: &mut Scene, service: &'static str, pacing: Pacing) -> Result<Drained> {
    settle(scene, pacing)?;
    let (uri, master) = (scene.uri(service), scene.daemon(service)?.pid());
    let start = Instant::now();
    send(master, Signal::TERM)?;
    let mut drained = Drained {
        mode: scene.name().to_owned(),
        service: service.to_owned(),
        draining_after: None,
        last_answer_after: Duration::ZERO,
        ended_after: None,
        stayed_draining: true,
        stayed_alive: true,
    };
    while drained.ended_after.is_none() && start.elapsed() < MAX_SHUTDOWN_TIME {
        let code = |path| get(&uri, path, Duration::from_secs(1)).map(|(code, _)| code).ok();
        let (ready, alive) = (code("/readyz"), code("/livez"));
        let now = start.elapsed();
        match ready {
            Some(503) => drained.draining_after = drained.draining_after.or(Some(now)),
            Some(_) if drained.draining_after.is_some() => drained.stayed_draining = false,
            _ => {}
        }
        drained.stayed_alive &= alive.is_none_or(|code| code == 200);
        if ready.is_some() || alive.is_some() {
            drained.last_answer_after = now;
        }
        drained.ended_after = (!is_alive(master)).then_some(now);
        sleep(POLL_INTERVAL);
    }
    scene.renew(service)?;
    Ok(drained)
}
