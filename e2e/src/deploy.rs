//! What acts on health, each as the real program: what `cargo xtask deploy` plays.

pub mod balancers;
mod cgroup;
pub mod containers;
pub mod kubernetes;
mod machine;
pub mod monitors;
pub mod operators;
pub mod packages;
pub mod pages;
pub mod probes;
pub mod systemd;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Waits until `look` has found something. Calls `tick` with the time waited so far; an error of it ends the wait.
pub(crate) fn until<T>(
    wanted: &str,
    within: Duration,
    tick: fn(Duration) -> Result<()>,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<(T, Duration)> {
    let begin = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok((found, begin.elapsed()));
        }
        if begin.elapsed() > within {
            bail!("expected within {} s: {wanted}", within.as_secs());
        }
        tick(begin.elapsed())?;
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Seconds with one decimal.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
