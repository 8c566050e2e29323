//! A quiet period without faults: there must be no alarms, and no additional lines in the logs.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::scene::{METADATA_PROXY_SECTION, use_apis};
use super::{Pacing, Scene, Site, helpers};
use crate::cluster::{ALL, Cluster, Concurrency};
use crate::setup::Setup;
use crate::watch::{Change, Watch, Watched};

/// The result of a quiet period.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Quiet {
    /// `threading` or `eventlet`.
    pub mode: String,
    /// How long the period was.
    pub lasted: Duration,
    /// Changes to a status other than OK, with the service.
    pub alarms: Vec<(String, Change)>,
    /// Warnings and errors that Nova does not log without us.
    pub new_lines: Vec<String>,
    /// The helper programs that were seen, and whether they inherited anything from us.
    pub helpers: Vec<(String, bool)>,
    /// How long each probe took.
    pub micros: Vec<u32>,
}

/// How often helper programs are looked for. Some live only this long.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Watches idle services for a while, beside the same services as Nova ships them.
///
/// # Errors
///
/// If something cannot be started or does not become ready.
pub fn quiet(setup: &Setup, mode: Concurrency, lasts: Duration, pacing: Pacing) -> Result<Quiet> {
    let mut bare = Cluster::new(setup, mode)?;
    bare.on_wait(pacing.tick);
    bare.configure(METADATA_PROXY_SECTION)?;
    for service in ALL {
        bare.start_bare(service, &[])?;
    }
    bare.ready()?;
    use_apis(&bare)?;
    let scene = Scene::new(setup, mode, "", pacing.tick)?;
    // Probes of `/healthcheck` would keep the API busy.
    let idle: Vec<Watched> =
        scene.watched().into_iter().map(|watched| Watched { oslo: None, ..watched }).collect();
    let watch = Watch::begin(&idle, scene.ports(), Duration::from_millis(100));
    let start = Instant::now();
    let mut found = BTreeSet::new();
    while start.elapsed() < lasts {
        for service in ALL {
            found.extend(helpers::look(scene.daemon(service)?));
        }
        (pacing.tick)(start.elapsed())?;
        sleep(POLL_INTERVAL);
    }
    let seen = watch.end();
    let alarms = seen.iter().flat_map(|seen| {
        let not_ok = seen.ours.not_ok(Duration::ZERO, Duration::MAX).cloned();
        not_ok.map(|change| (seen.service.clone(), change))
    });
    let new_lines = ALL.into_iter().flat_map(|service| {
        let (ours, theirs) = (complaints_of(&scene, service), complaints_of(&bare, service));
        ours.difference(&theirs).map(|line| format!("{service}: {line}")).collect::<Vec<_>>()
    });
    Ok(Quiet {
        mode: scene.name().to_owned(),
        lasted: start.elapsed(),
        alarms: alarms.collect(),
        new_lines: new_lines.collect(),
        helpers: found.into_iter().collect(),
        micros: seen.iter().flat_map(|seen| seen.pace.micros().to_vec()).collect(),
    })
}

fn complaints_of(cluster: &Cluster, service: &str) -> BTreeSet<String> {
    complaints(&cluster.log(service).replace(&cluster.folder().display().to_string(), ""))
}

/// The warnings and errors of a log, without anything that differs from run to run.
fn complaints(log: &str) -> BTreeSet<String> {
    log.lines()
        .filter_map(|line| {
            let level =
                [" WARNING ", " ERROR ", " CRITICAL "].into_iter().find(|level| line.contains(level))?;
            Some(without_numbers(&line[line.find(level)?..]))
        })
        .collect()
}

/// Replaces each word with a digit, such as a time or an id, by `#`.
fn without_numbers(line: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    line.split_inclusive(|c| !is_word(c))
        .map(|piece| {
            let word = piece.trim_end_matches(|c| !is_word(c));
            if word.contains(|c: char| c.is_ascii_digit()) {
                format!("#{}", &piece[word.len()..])
            } else {
                piece.to_owned()
            }
        })
        .collect::<String>()
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_complaints_of_two_runs_are_one() {
        let log = "\
2026-11-22 15:00:01.123 4711 INFO nova.service [-] Starting conductor node (version 34.0.0)
2026-11-22 15:00:02.456 4711 WARNING nova.conf [None req-1a2b-3c - - - - -] took 12.5 s on port 39113
2026-11-22 16:10:02.001 99 WARNING nova.conf [None req-9f8e-77 - - - - -] took 3.5 s on port 40001";
        let complaints: Vec<_> = complaints(log).into_iter().collect();
        assert_eq!(complaints, ["WARNING nova.conf [None # - - - - -] took #.# s on port #"]);
    }
}
