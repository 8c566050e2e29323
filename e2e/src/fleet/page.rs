//! What was measured, as tables.

use super::{Extent, Measured};
use crate::deploy::seconds;

/// The hosts that are computed from the measurements.
const BEYOND: f64 = 10_000.0;

/// The generated section of docs/fleet.md.
pub fn page(extent: Extent, all: &[Measured]) -> String {
    let Some(first) = all.first() else { return String::new() };
    let mut text = format!(
        "Each host has {} services of 8 indicators and `progress`: {} series, {} KB. It is scraped every {} s; the window is {} s; CPU and \
         memory are Prometheus' own. The fault is a broken database on all hosts at once: all agents begin to answer FAULT, which they \
         do `failure_window` (10 s) after the first failure. In this test the rules' `for: 30s` is 2 s, and Alertmanager's `group_wait` \
         (30 s) and `group_interval` (5 min) are as long as the time between two scrapes. Notifications are counted until one names \
         all hosts.\n\n\
         | hosts | series | cores | memory | scrape p50 · p99 | alarm after | notifications | hosts in it | over after |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        extent.services,
        first.series,
        first.bytes / 1000,
        extent.interval.as_secs(),
        extent.window.as_secs(),
    );
    for measured in all {
        let [median, worst] = measured.scrapes.map(|scrape| scrape * 1000.0);
        text += &format!(
            "| {} | {} | {:.2} | {} MiB | {median:.1} · {worst:.1} ms | {} | {} | {} | {} |\n",
            measured.hosts,
            measured.hosts * measured.series,
            measured.cores,
            measured.memory,
            seconds(measured.alarm),
            measured.notifications,
            measured.named,
            seconds(measured.recovery),
        );
    }
    let line = |value: fn(&Measured) -> f64| {
        fitted(all.iter().map(move |measured| (measured.hosts as f64, value(measured))))
    };
    let cores = line(|measured| measured.cores);
    let memory = line(|measured| measured.memory as f64);
    text += &format!(
        "\nBy the lines through these points, one Prometheus of {BEYOND:.0} such hosts would take {:.1} cores and {:.1} GiB. Writing \
         and compacting blocks, which Prometheus does every two hours, takes more and is not measured.\n",
        cores(BEYOND),
        memory(BEYOND) / 1024.0
    );
    text
}

/// The line of least squares through these points.
fn fitted(points: impl Iterator<Item = (f64, f64)> + Clone) -> impl Fn(f64) -> f64 {
    let count = points.clone().count() as f64;
    let mean = |of: fn((f64, f64)) -> f64| points.clone().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.clone().map(|point| (point.0 - x).powi(2)).sum();
    let slope = if spread == 0.0 {
        0.0
    } else {
        points.map(|point| (point.0 - x) * (point.1 - y)).sum::<f64>() / spread
    };
    move |at| y + slope * (at - x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_through_its_points() {
        let line = fitted([(100.0, 3.0), (300.0, 7.0), (1000.0, 21.0)].into_iter());
        assert!((line(2000.0) - 41.0).abs() < 1e-9);
        assert!((fitted([(5.0, 2.0)].into_iter())(9.0) - 2.0).abs() < 1e-9);
    }
}
