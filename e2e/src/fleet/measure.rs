//! One number of hosts.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::hosts::{Answers, Hosts};
use super::{Extent, Measured};
use crate::deploy::monitors::{Prometheus, Webhook};
use crate::deploy::until;
use crate::setup::Setup;

/// How long every host may take to be scraped, and a notification to come.
const LIMIT: Duration = Duration::from_secs(300);

/// Clock ticks in a second, of the times in /proc.
const TICKS: f64 = 100.0;

pub(super) fn measure(
    setup: &Setup,
    count: usize,
    extent: Extent,
    tick: fn(Duration) -> Result<()>,
) -> Result<Measured> {
    let folder = tempfile::tempdir()?;
    let answers = Answers::of_agent(setup, folder.path(), extent.services)?;
    let (series, bytes) = answers.size();
    let hosts = Hosts::start(answers)?;
    let addresses: Vec<_> = (0..count).map(|number| hosts.address(number)).collect();
    ensure!(addresses.iter().collect::<BTreeSet<_>>().len() == count, "two hosts have one address");
    let webhook = Webhook::start()?;
    let prometheus = Prometheus::start(setup, folder.path(), &addresses, &webhook.url(), extent.interval)?;
    let up =
        || Ok((prometheus.query("count(up{job=\"healthboard\"} == 1)")? == [count as f64]).then_some(()));
    until("every host scraped", LIMIT, tick, up)?;

    let pid = prometheus.pid().context("Prometheus has ended")?;
    let (began, cpu) = (Instant::now(), cpu_seconds(pid)?);
    until("the end of the window", extent.window + Duration::from_secs(1), tick, || {
        Ok((began.elapsed() >= extent.window).then_some(()))
    })?;
    let cores = (cpu_seconds(pid)? - cpu) / began.elapsed().as_secs_f64();
    let quantile = |share: f64| -> Result<f64> {
        let all = prometheus
            .query(&format!("quantile({share}, scrape_duration_seconds{{job=\"healthboard\"}})"))?;
        all.first().copied().context("no scrape has a duration")
    };
    let scrapes = [quantile(0.5)?, quantile(0.99)?];

    let fault = Instant::now();
    hosts.set_ill(true);
    until("a notification", LIMIT, tick, || Ok(webhook.received("firing").pop()))?;
    let alarm = fault.elapsed();
    let all = |notification: &serde_json::Value| notification["alerts"].as_array().map_or(0, Vec::len);
    until("every host in one notification", LIMIT, tick, || {
        Ok(webhook.received("firing").iter().any(|notification| all(notification) == count).then_some(()))
    })?;
    let firing = webhook.received("firing");
    let named = firing.iter().map(all).max().unwrap_or(0);
    let memory = resident(pid)?;
    let mend = Instant::now();
    hosts.set_ill(false);
    until("the end of the alert", LIMIT, tick, || Ok(webhook.received("resolved").pop()))?;
    Ok(Measured {
        hosts: count,
        series,
        bytes,
        cores,
        memory,
        scrapes,
        alarm,
        notifications: firing.len(),
        named,
        recovery: mend.elapsed(),
    })
}

/// The CPU time of a process.
fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after = stat.rsplit_once(')').context("no name in stat")?.1;
    let field =
        |index: usize| after.split_whitespace().nth(index).and_then(|ticks| ticks.parse::<f64>().ok());
    // utime and stime are the fields 14 and 15; the name is the second.
    Ok((field(11).context("no utime")? + field(12).context("no stime")?) / TICKS)
}

/// The resident memory of a process, in MiB.
fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kib / 1024)
}
