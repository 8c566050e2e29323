//! Workers that begin one after the other.
//!
//! Every ten seconds, counted from its start, a worker reads its row and then updates it, in one transaction. SQLite lets no
//! two transactions do so at once: it tells the second that the database is locked, without waiting. Workers that were
//! started within the same few milliseconds would meet like that for ever, and be right to say that they are not well.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{CONDUCTOR, Stage};
use crate::processes::{Signal, children, send};

/// Far longer than such a transaction.
const APART: Duration = Duration::from_millis(300);

impl Stage {
    /// Holds each worker as soon as it is there, then lets them begin one after the other.
    pub(super) fn stagger(&mut self) -> Result<()> {
        let masters: Vec<u32> = self.daemons.iter().map(|daemon| daemon.pid()).collect();
        let expected: usize = self.daemons.iter().map(|daemon| workers_of(daemon.binary())).sum();
        let mut held = Vec::new();
        let all = self.wait_for(Duration::from_secs(60), || {
            for worker in masters.iter().flat_map(|master| children(*master)) {
                if !held.contains(&worker) && is_worker(worker) && send(worker, Signal::STOP).is_ok() {
                    held.push(worker);
                }
            }
            (held.len() == expected).then_some(())
        })?;
        all.context("not all workers were there within a minute")?;
        for worker in held {
            send(worker, Signal::CONT)?;
            sleep(APART);
        }
        Ok(())
    }
}

/// How many workers nova.conf gives a service.
pub(super) fn workers_of(binary: &str) -> usize {
    if binary == CONDUCTOR { 2 } else { 1 }
}

/// Whether it is a worker by its title, and no short-lived child of another kind.
fn is_worker(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|title| title.contains(" worker("))
}
