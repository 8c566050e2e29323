//! A service that is told to end says so for as long as it takes.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::play::{name, settle};
use super::{Patience, Scene};
use crate::probe::get;
use crate::processes::{Signal, is_alive, send};

/// How often both paths are asked.
const GLANCE: Duration = Duration::from_millis(10);
/// Nova takes 1 to 15 s; the guard of a daemon would kill it after this.
const LIMIT: Duration = Duration::from_secs(60);

/// Far sooner than any balancer looks.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What a service said from SIGTERM to its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Drained {
    /// `threading` or `eventlet`.
    pub mode: String,
    /// What it is called.
    pub service: String,
    /// From the signal until `/readyz` said 503.
    pub said: Option<Duration>,
    /// From the signal until nobody answered any more.
    pub silent: Duration,
    /// From the signal until its master had gone; none if it had to be killed.
    pub gone: Option<Duration>,
    /// Whether `/readyz` said 503 to the end once it had begun.
    pub steady: bool,
    /// Whether `/livez` said 200 to the end.
    pub alive: bool,
}

impl Drained {
    /// Whether draining was said at once and to the end. Who ends within that time need not say it.
    pub fn is_as_wanted(&self) -> bool {
        self.said.unwrap_or(self.silent) <= AT_ONCE && self.steady && self.alive
    }
}

/// Ends a service as an operator does and listens to it meanwhile. Then it is started again.
///
/// # Errors
///
/// When it is not well before, or cannot be started again.
pub fn drain(scene: &mut Scene, service: &'static str, patience: Patience) -> Result<Drained> {
    settle(scene, patience)?;
    let (uri, master) = (scene.uri(service), scene.daemon(service)?.pid());
    let start = Instant::now();
    send(master, Signal::TERM)?;
    let mut drained = Drained {
        mode: name(scene.mode()).to_owned(),
        service: service.to_owned(),
        said: None,
        silent: Duration::ZERO,
        gone: None,
        steady: true,
        alive: true,
    };
    while drained.gone.is_none() && start.elapsed() < LIMIT {
        let code = |path| get(&uri, path, Duration::from_secs(1)).map(|(code, _)| code).ok();
        let (ready, alive) = (code("/readyz"), code("/livez"));
        let now = start.elapsed();
        match ready {
            Some(503) => drained.said = drained.said.or(Some(now)),
            Some(_) if drained.said.is_some() => drained.steady = false,
            _ => {}
        }
        drained.alive &= alive.is_none_or(|code| code == 200);
        if ready.is_some() || alive.is_some() {
            drained.silent = now;
        }
        drained.gone = (!is_alive(master)).then_some(now);
        sleep(GLANCE);
    }
    scene.renew(service)?;
    Ok(drained)
}
