//! Two real nova-apis behind real balancers, with the configurations in `deploy`.

mod haproxy;
mod load;
mod nginx;
mod operator;
mod page;
mod pair;
mod play;
mod played;
mod scenarios;

use std::time::Duration;

use anyhow::Result;

pub use self::nginx::codes_after_a_bug;
pub use self::operator::take_out_and_in;
pub use self::page::page;
use self::pair::Pair;
use self::play::play;
pub use self::played::Played;
pub use self::scenarios::{Balancer, Fault, Scenario, scenarios};
use crate::setup::Setup;

/// How much is played.
#[derive(Debug, Clone)]
pub struct Extent {
    /// The minimum number of requests in a scenario.
    pub requests: usize,
    /// How many are sent in a second.
    pub per_second: u32,
    /// How long all is well before a fault.
    pub before: Duration,
    /// How long a fault lasts.
    pub fault: Duration,
    /// Whether it ends when the balancer has noticed, and `before` has passed again.
    pub ends_early: bool,
    /// The time between the restarts of the two.
    pub between_restarts: Duration,
    /// More options of the nova-apis, as variables.
    pub options: Vec<(&'static str, String)>,
}

impl Extent {
    /// That of `docs/balancers.md`: 10,000 requests in each scenario.
    pub fn full() -> Self {
        Self {
            requests: 10_000,
            per_second: 100,
            before: Duration::from_secs(8),
            fault: Duration::from_secs(35),
            ends_early: false,
            between_restarts: Duration::from_secs(12),
            options: Vec::new(),
        }
    }
}

/// Plays `scenarios` on one pair of nova-apis, and prints a line for each.
///
/// `tick` is called many times a second. Its error ends everything.
///
/// # Errors
///
/// If something cannot be started or does not become well again; the error names its log.
pub fn play_all(
    setup: &Setup,
    scenarios: &[Scenario],
    extent: &Extent,
    tick: fn(Duration) -> Result<()>,
) -> Result<Vec<Played>> {
    let mut pair = Pair::start(setup, &extent.options, tick)?;
    let mut all = Vec::new();
    for scenario in scenarios {
        eprintln!("{}: {}", scenario.0.title(), scenario.1.title());
        let played = play(&mut pair, *scenario, extent).inspect_err(|_| pair.stage().keep_folder())?;
        eprintln!("  {}", page::row(&played));
        all.push(played);
    }
    Ok(all)
}
