//! Many hosts, watched by one real Prometheus with Alertmanager: what `cargo xtask fleet` measures.
//!
//! A host is an address of 127.0.0.0/8. What its agent would answer was answered by a real agent, of 20 services with boards of
//! their own, once while all was well and once while the database was broken.

mod hosts;
mod measure;
mod page;

use std::time::Duration;

use anyhow::Result;

pub(crate) use self::hosts::Services;
pub use self::page::page;
use crate::setup::Setup;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// The services of a host.
    pub services: usize,
    /// The time between two scrapes of a host.
    pub interval: Duration,
    /// How long is measured while all is well, after every host was scraped.
    pub window: Duration,
}

impl Extent {
    /// That of docs/fleet.md.
    pub fn full() -> Self {
        Self { services: 20, interval: Duration::from_secs(15), window: Duration::from_secs(120) }
    }
}

/// What was measured with one number of hosts.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The number of hosts.
    pub hosts: usize,
    /// The series of a host, and the bytes of its answer, while all is well.
    pub series: usize,
    /// See `series`.
    pub bytes: usize,
    /// The cores that Prometheus used.
    pub cores: f64,
    /// Its resident memory at the end, in MiB.
    pub memory: u64,
    /// The median and the 99th percentile of the scrapes' durations, in seconds.
    pub scrapes: [f64; 2],
    /// From the fault on all hosts to the first notification.
    pub alarm: Duration,
    /// Notifications until one named all hosts, and the hosts that it named.
    pub notifications: usize,
    /// See `notifications`.
    pub named: usize,
    /// From the mend to the notification that it is over.
    pub recovery: Duration,
}

/// Measures with each of these numbers of hosts, one after the other.
///
/// # Errors
///
/// If a program does not start or something expected does not happen; the error names its log.
pub fn run(
    setup: &Setup,
    counts: &[usize],
    extent: Extent,
    tick: fn(Duration) -> Result<()>,
) -> Result<Vec<Measured>> {
    counts.iter().map(|count| measure::measure(setup, *count, extent, tick)).collect()
}
