//! Sessions that hold a lock, or wait for one.

use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{MariaDb, client};
use crate::servers::Disk;

/// The last statement of a session that holds a lock.
const HOLD: &str = "SELECT SLEEP(600)";
/// The sessions that hold locks, and first those that wait for them.
const SESSIONS: &str = "SELECT id FROM information_schema.processlist
    WHERE info = 'SELECT SLEEP(600)' OR info LIKE 'ALTER TABLE%' ORDER BY info";
/// More than a page of a file.
const LARGE: usize = 16_384;
/// Much longer than it takes to get a lock, or to wait for it.
const TIMEOUT: Duration = Duration::from_secs(10);

impl MariaDb {
    /// Takes the lock that backups take: writes wait until [`MariaDb::unlock`].
    ///
    /// # Errors
    ///
    /// If the client cannot be run, or the lock is not taken within ten seconds.
    pub fn lock_for_backup(&mut self) -> Result<()> {
        self.begin_session(&format!("FLUSH TABLES WITH READ LOCK; {HOLD}"))
    }

    /// Changes a table that an open transaction has read. The change waits for the end of the transaction, and all other statements
    /// for the change, until [`MariaDb::unlock`].
    ///
    /// # Errors
    ///
    /// As for [`MariaDb::lock_for_backup`].
    pub fn lock_by_change(&mut self, table: &str) -> Result<()> {
        self.begin_session(&format!("START TRANSACTION; SELECT COUNT(*) FROM {table}; {HOLD}"))?;
        self.begin_session(&format!("ALTER TABLE {table} COMMENT = 'changed'"))
    }

    /// Changes something that leaves too little space for the log of all changes. All who commit wait until there is space again.
    ///
    /// # Errors
    ///
    /// If the server does not say within ten seconds that it waits.
    pub(crate) fn overfill(&mut self, disk: &Disk) -> Result<()> {
        let waits = |server: &Self| server.log().matches("Waiting for someone to free space").count();
        let before = waits(self);
        disk.fill()?;
        // The last page of the log may have room for a few changes.
        let text = "x".repeat(LARGE);
        let change = format!("CREATE OR REPLACE VIEW mysql.large AS SELECT '{text}'");
        self.sessions.push(client(self.admin_port, &change).spawn().context("cannot run the client")?);
        let end = Instant::now() + TIMEOUT;
        while waits(self) == before {
            ensure!(Instant::now() < end, "MariaDB did not notice within 10 s that the disk is full");
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Frees the space, and returns when the change is done. The server looks once a minute.
    ///
    /// # Errors
    ///
    /// If there was space.
    pub(crate) fn free(&mut self, disk: &Disk) -> Result<()> {
        disk.empty()?;
        for mut session in self.sessions.drain(..) {
            session.wait()?;
        }
        Ok(())
    }

    /// Ends the sessions that hold locks or wait for them.
    ///
    /// # Errors
    ///
    /// If they cannot be ended.
    pub fn unlock(&mut self) -> Result<()> {
        // The server notices only when it would answer that the client is gone.
        for session in self.sessions()?.split_whitespace() {
            self.execute(&format!("KILL {session}"))?;
        }
        for mut session in self.sessions.drain(..) {
            session.wait()?;
        }
        Ok(())
    }

    /// Begins a session, and returns when its last statement runs.
    fn begin_session(&mut self, lines: &str) -> Result<()> {
        let mut session = client(self.admin_port, lines);
        session.stdout(Stdio::null()).stderr(Stdio::null());
        self.sessions.push(session.spawn().context("cannot run the client `mariadb`")?);
        let end = Instant::now() + TIMEOUT;
        while self.sessions()?.lines().count() < self.sessions.len() {
            ensure!(Instant::now() < end, "MariaDB did not come to the end of `{lines}` within 10 s");
            sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn sessions(&self) -> Result<String> {
        self.query(SESSIONS)
    }
}
