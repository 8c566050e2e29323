//! Nothing is done to anybody: there are no alarms, and nothing in the logs that is not there without us.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::play::name;
use super::scene::{USES_METADATA, use_apis};
use super::{Patience, Scene, helpers};
use crate::cluster::{ALL, Cluster, Concurrency};
use crate::setup::Setup;
use crate::watch::{Change, Watch, Watched};

/// What was heard while nothing was done to anybody.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Quiet {
    /// `threading` or `eventlet`.
    pub mode: String,
    /// For how long.
    pub lasted: Duration,
    /// Whatever was not OK, and who said it.
    pub alarms: Vec<(String, Change)>,
    /// Lines of warnings and errors that were not in Nova's logs without us.
    pub new_lines: Vec<String>,
    /// The helper programs that were seen, and whether there was anything of ours in them.
    pub helpers: Vec<(String, bool)>,
    /// How long each probe took.
    pub micros: Vec<u32>,
}

/// How often helper programs are looked for: some live no longer.
const GLANCE: Duration = Duration::from_millis(100);

/// Listens to idle services for a while, beside the same services as Nova ships them.
///
/// # Errors
///
/// When something cannot be started or does not get ready.
pub fn quiet(setup: &Setup, mode: Concurrency, lasts: Duration, patience: Patience) -> Result<Quiet> {
    let mut bare = Cluster::new(setup, mode)?;
    bare.on_wait(patience.tick);
    bare.configure(USES_METADATA)?;
    for service in ALL {
        bare.start_bare(service, &[])?;
    }
    bare.ready()?;
    use_apis(&bare)?;
    let scene = Scene::new(setup, mode, "", patience.tick)?;
    // Whoever asks for `/healthcheck` keeps the API busy.
    let idle: Vec<Watched> =
        scene.watched().into_iter().map(|watched| Watched { oslo: None, ..watched }).collect();
    let watch = Watch::begin(&idle, scene.ports(), Duration::from_millis(100));
    let start = Instant::now();
    let mut found = BTreeSet::new();
    while start.elapsed() < lasts {
        for service in ALL {
            found.extend(helpers::look(scene.daemon(service)?));
        }
        (patience.tick)(start.elapsed())?;
        sleep(GLANCE);
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
        mode: name(mode).to_owned(),
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

/// Warnings and errors of a log, without all that differs from run to run.
fn complaints(log: &str) -> BTreeSet<String> {
    log.lines()
        .filter_map(|line| {
            let level =
                [" WARNING ", " ERROR ", " CRITICAL "].into_iter().find(|level| line.contains(level))?;
            Some(without_numbers(&line[line.find(level)?..]))
        })
        .collect()
}

/// Each word with a digit in it, such as a time or an id, becomes `#`.
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
    fn the_same_complaint_of_two_runs_is_one() {
        let log = "\
2026-11-22 15:00:01.123 4711 INFO nova.service [-] Starting conductor node (version 34.0.0)
2026-11-22 15:00:02.456 4711 WARNING nova.conf [None req-1a2b-3c - - - - -] took 12.5 s on port 39113
2026-11-22 16:10:02.001 99 WARNING nova.conf [None req-9f8e-77 - - - - -] took 3.5 s on port 40001";
        let complaints: Vec<_> = complaints(log).into_iter().collect();
        assert_eq!(complaints, ["WARNING nova.conf [None # - - - - -] took #.# s on port #"]);
    }
}
