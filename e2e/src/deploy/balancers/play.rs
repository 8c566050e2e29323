//! Plays one scenario.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::haproxy::HaProxy;
use super::load::Load;
use super::pair::{Pair, Which};
use super::played::{Played, Times};
use super::scenarios::{Balancer, Fault, Scenario};
use super::{Extent, nginx};
use crate::processes::{Signal, send};

/// How long a balancer may take to take a server out or back in. The evidence of a server that gets no work is a refresh every ten
/// seconds.
const MAX_DELAY: Duration = Duration::from_secs(60);
/// What `deploy/haproxy/healthcheck.cfg` says an operator waits for, besides the longest request.
const DRAIN_TIME: Duration = Duration::from_secs(3);

/// Plays one scenario, and returns when both are well again.
pub(super) fn play(pair: &mut Pair, scenario: Scenario, extent: &Extent) -> Result<Played> {
    let (fault, balancer) = scenario;
    let text = pair.address(&balancer.text());
    if balancer == Balancer::Nginx {
        let address = pair.front();
        let mut nginx = nginx::start(pair.stage().folder(), &text, address)?;
        let played = under_load(pair, scenario, extent, &format!("tcp://{address}"), None)?;
        nginx.stop();
        return Ok(played);
    }
    let haproxy = HaProxy::start(pair.stage().folder(), &text)?;
    let uri = format!("tcp://{}", haproxy.address());
    let mut played = under_load(pair, (fault, balancer), extent, &uri, Some(&haproxy))?;
    played.retries = Some(haproxy.retries()?);
    haproxy.stop();
    Ok(played)
}

fn under_load(
    pair: &mut Pair,
    scenario: Scenario,
    extent: &Extent,
    uri: &str,
    haproxy: Option<&HaProxy>,
) -> Result<Played> {
    let start = Instant::now();
    let watch = haproxy.map(|haproxy| haproxy.watch(start));
    let requests = if scenario.0 == Fault::None { 1 } else { extent.requests };
    let load = Load::begin(uri.to_owned(), extent.per_second, requests, start);
    pair.pass(extent.before)?;
    let fault = start.elapsed();
    let frozen = begin(pair, scenario.0, extent)?;
    if scenario.0.lasts() {
        hold(pair, scenario.0, extent, haproxy)?;
    }
    end(pair, scenario.0, &frozen)?;
    let repair = start.elapsed();
    pair.until_ready()?;
    if let Some(haproxy) = haproxy {
        let is_in = || haproxy.out().is_ok_and(|out| out == [false, false]).then_some(());
        let is_in = pair.stage().wait_for(MAX_DELAY, is_in)?;
        ensure!(is_in.is_some(), "HAProxy has not taken all servers in again");
    }
    let asked = load.end()?;
    let seen = watch.map_or(Ok(Vec::new()), |watch| watch.end())?;
    Ok(Played::of(scenario, Times { fault, repair }, &asked, &seen))
}

/// Begins a fault, or plays a restart. Returns the pids that it froze.
fn begin(pair: &mut Pair, fault: Fault, extent: &Extent) -> Result<Vec<u32>> {
    match fault {
        Fault::None => {}
        Fault::DatabaseOfOne => pair.first.database().cut(),
        Fault::DatabaseOfBoth => pair.mariadb().kill()?,
        Fault::WorkersFrozen => {
            let workers = pair.workers(Which::First)?;
            ensure!(!workers.is_empty(), "nova-api has no workers");
            workers.iter().try_for_each(|pid| send(*pid, Signal::STOP))?;
            return Ok(workers);
        }
        Fault::Restart | Fault::RestartByFile => {
            for which in [Which::First, Which::Second] {
                if fault == Fault::RestartByFile {
                    fs::write(pair.api(which).disabled(), "").context("cannot disable a nova-api")?;
                    pair.pass(DRAIN_TIME)?;
                }
                pair.restart(which)?;
                // Until the balancer has it in again, with its whole weight.
                pair.pass(extent.between_restarts)?;
            }
        }
    }
    Ok(Vec::new())
}

/// Lets a fault last.
fn hold(pair: &mut Pair, fault: Fault, extent: &Extent, haproxy: Option<&HaProxy>) -> Result<()> {
    let wanted = if fault == Fault::DatabaseOfBoth { [true, true] } else { [true, false] };
    let is_out = || {
        let out = extent.ends_early && haproxy.and_then(|haproxy| haproxy.out().ok()) == Some(wanted);
        out.then_some(())
    };
    let noticed = pair.stage().wait_for(extent.fault, is_out)?;
    if noticed.is_some() {
        pair.pass(extent.before)?;
    }
    Ok(())
}

fn end(pair: &mut Pair, fault: Fault, frozen: &[u32]) -> Result<()> {
    match fault {
        Fault::DatabaseOfOne => pair.first.database().restore(),
        Fault::DatabaseOfBoth => pair.mariadb().start(),
        Fault::WorkersFrozen => frozen.iter().try_for_each(|pid| send(*pid, Signal::CONT)),
        Fault::None | Fault::Restart | Fault::RestartByFile => Ok(()),
    }
}
