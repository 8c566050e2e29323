//! Starting workers one after the other.
//!
//! Every ten seconds from its start, a worker reads and then updates its row, in one transaction. SQLite does not allow two such
//! transactions at once: the second one fails without waiting, because the database is locked. Workers that start within the same
//! few milliseconds would collide again and again, and would rightly not be OK.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{CONDUCTOR, Stage};
use crate::processes::{Signal, children, send};

/// Much longer than such a transaction.
const START_DELAY: Duration = Duration::from_millis(300);

impl Stage {
    /// Stops each worker as soon as it exists, then lets them continue one after the other.
    pub(super) fn stagger(&mut self) -> Result<()> {
        let masters: Vec<u32> = self.daemons.iter().map(|daemon| daemon.pid()).collect();
        let expected: usize = self.daemons.iter().map(|daemon| workers_of(daemon.binary())).sum();
        let mut stopped = Vec::new();
        let all = self.wait_for(Duration::from_secs(60), || {
            for worker in masters.iter().flat_map(|master| children(*master)) {
                if !stopped.contains(&worker) && is_worker(worker) && send(worker, Signal::STOP).is_ok() {
                    stopped.push(worker);
                }
            }
            (stopped.len() == expected).then_some(())
        })?;
        all.context("not all workers started within a minute")?;
        for worker in stopped {
            send(worker, Signal::CONT)?;
            sleep(START_DELAY);
        }
        Ok(())
    }
}

/// The number of workers of a service, according to nova.conf.
pub(super) fn workers_of(binary: &str) -> usize {
    if binary == CONDUCTOR { 2 } else { 1 }
}

/// Whether the title of the process is that of a worker. A service has short-lived children, too.
fn is_worker(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|title| title.contains(" worker("))
}
