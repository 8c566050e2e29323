//! A period without faults, idle or busy: there must be no alarms, and no additional lines in the logs.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::requests::{METADATA_PROXY_SECTION, User, use_apis};
use super::{Pacing, Scene, Site, helpers};
use crate::cluster::{ALL, Cluster, Concurrency};
use crate::servers::MariaDb;
use crate::setup::Setup;
use crate::watch::{Change, Watch, Watched};

/// What the services do meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Load {
    /// Nothing but their own periodic work.
    Idle,
    /// Requests to both APIs, RPC to the computes, and servers that are built.
    Busy,
}

impl Load {
    /// The name of a period with this load.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "busy",
        }
    }
}

/// What a server of databases has been asked in a period.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Asked {
    /// Statements a minute.
    pub statements: u64,
    /// Connections opened in the whole period.
    pub connections: u64,
    /// Connections that were open at the end.
    pub open: u64,
}

/// The result of a period without faults.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Period {
    /// What the services did.
    pub load: Load,
    /// `threading` or `eventlet`.
    pub mode: String,
    /// How long it was.
    pub lasted: Duration,
    /// How many servers were built.
    pub built: u32,
    /// Changes to a status other than OK, with the service.
    pub alarms: Vec<(String, Change)>,
    /// Warnings and errors that Nova does not log without us.
    pub new_lines: Vec<String>,
    /// The helper programs that were seen, and whether they inherited anything from us.
    pub helpers: Vec<(String, bool)>,
    /// What MariaDB was asked, with health and without.
    pub asked: [Asked; 2],
    /// How long each probe took.
    pub micros: Vec<u32>,
}

/// How often helper programs are looked for. Some live only this long.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// What a compute says that is ready before its conductor. On which side that happens is chance.
const EARLY: &str = "Timed out waiting for nova-conductor";
/// How often a user works with busy services. Four clusters share the machine: both modes, each with us and without.
const WORK_INTERVAL: Duration = Duration::from_secs(4);

/// Watches services for a while, beside the same services as Nova ships them, which get the same requests.
///
/// # Errors
///
/// If something cannot be started or does not become ready.
pub fn period(
    setup: &Setup,
    mode: Concurrency,
    load: Load,
    lasts: Duration,
    pacing: Pacing,
) -> Result<Period> {
    let mut bare = Cluster::new(setup, mode)?;
    bare.on_wait(pacing.tick);
    bare.configure(METADATA_PROXY_SECTION)?;
    for service in ALL {
        bare.start_bare(service, &[])?;
    }
    bare.ready()?;
    use_apis(&bare)?;
    let mut scene = Scene::new(setup, mode, "", pacing.tick)?;
    // Probes of `/healthcheck` would keep the API busy.
    let idle: Vec<Watched> =
        scene.watched().into_iter().map(|watched| Watched { oslo: None, ..watched }).collect();
    let watch = Watch::begin(&idle, scene.ports(), Duration::from_millis(100));
    let before = [counts(scene.mariadb())?, counts(bare.mariadb())?];
    let users = match load {
        Load::Idle => Vec::new(),
        Load::Busy => vec![User::new(&scene)?, User::new(&bare)?],
    };
    let start = Instant::now();
    let (mut worked, mut built) = (start, 0);
    let mut found = BTreeSet::new();
    while start.elapsed() < lasts {
        for service in ALL {
            found.extend(helpers::look(scene.daemon(service)?));
        }
        if load == Load::Busy && worked.elapsed() >= WORK_INTERVAL {
            worked = Instant::now();
            users.iter().try_for_each(User::work)?;
            built += 1;
        }
        (pacing.tick)(start.elapsed())?;
        sleep(POLL_INTERVAL);
    }
    let lasted = start.elapsed();
    let after = [counts(scene.mariadb())?, counts(bare.mariadb())?];
    let seen = watch.end();
    let alarms = seen.iter().flat_map(|seen| {
        let not_ok = seen.ours.not_ok(Duration::ZERO, Duration::MAX).cloned();
        not_ok.map(|change| (seen.service.clone(), change))
    });
    let new_lines = ALL.into_iter().flat_map(|service| {
        let (ours, theirs) = (complaints_of(&scene, service), complaints_of(&bare, service));
        ours.difference(&theirs).map(|line| format!("{service}: {line}")).collect::<Vec<_>>()
    });
    Ok(Period {
        load,
        mode: scene.name().to_owned(),
        lasted,
        built,
        alarms: alarms.collect(),
        new_lines: new_lines.collect(),
        helpers: found.into_iter().collect(),
        asked: std::array::from_fn(|i| difference(before[i], after[i], lasted)),
        micros: seen.iter().flat_map(|seen| seen.pace.micros().to_vec()).collect(),
    })
}

/// Statements, connections so far, and connections that are open, the client's own included.
fn counts(mariadb: &MariaDb) -> Result<[u64; 3]> {
    let rows = mariadb.query("SHOW GLOBAL STATUS")?;
    let of = |name: &str| {
        let value = rows.lines().find_map(|row| row.strip_prefix(name)?.trim().parse().ok());
        value.with_context(|| format!("MariaDB does not say its `{name}`"))
    };
    let statements = ["Com_select\t", "Com_update\t", "Com_insert\t", "Com_delete\t"].into_iter().map(of);
    Ok([statements.sum::<Result<u64>>()?, of("Connections\t")?, of("Threads_connected\t")?])
}

fn difference(before: [u64; 3], after: [u64; 3], lasted: Duration) -> Asked {
    Asked {
        statements: (after[0] - before[0]) * 60 / lasted.as_secs().max(1),
        connections: after[1] - before[1],
        open: after[2],
    }
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
            let text = &line[line.find(level)?..];
            (!text.contains(EARLY)).then(|| without_numbers(text))
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
