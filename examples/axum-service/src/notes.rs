//! The notes and their database. All that health needs of this file are the attributes and what an error is worth.

use healthboard::{Failure, Indicator, Outcome, Policy, healthcheck};
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a writer waits for another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub(crate) struct Notes {
    file: Arc<Path>,
}

#[derive(Serialize)]
pub(crate) struct Note {
    id: i64,
    text: String,
}

impl Notes {
    pub(crate) fn create(file: PathBuf) -> Result<Notes> {
        Connection::open(&file)?.execute_batch(
            "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL CHECK (text <> ''))",
        )?;
        Ok(Notes { file: file.into() })
    }

    #[healthcheck("database", classify = worth)]
    pub(crate) fn list(&self) -> Result<Vec<Note>> {
        let db = self.open()?;
        let mut query = db.prepare("SELECT id, text FROM notes ORDER BY id")?;
        query.query_map((), |row| Ok(Note { id: row.get(0)?, text: row.get(1)? }))?.collect()
    }

    #[healthcheck("database", classify = worth)]
    pub(crate) fn add(&self, text: &str) -> Result<Note> {
        let db = self.open()?;
        db.query_row("INSERT INTO notes (text) VALUES (?) RETURNING id, text", [text], |row| {
            Ok(Note { id: row.get(0)?, text: row.get(1)? })
        })
    }

    /// Asks what the work needs: that the table answers, and that it could be written to.
    fn probe(&self) -> Result<()> {
        let db = self.open()?;
        db.execute_batch("BEGIN IMMEDIATE; SELECT count(*) FROM notes; ROLLBACK")
    }

    /// Anew for each operation: an open connection would not see that its file has been replaced.
    fn open(&self) -> Result<Connection> {
        let db = Connection::open_with_flags(&self.file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        Ok(db)
    }
}

/// What an error says about the database.
fn worth(error: &Error) -> Outcome {
    match error.sqlite_error_code() {
        // It has looked at the note and refused it, so it works.
        Some(ErrorCode::ConstraintViolation) => Outcome::Success,
        _ => Outcome::Failure(Failure::of(error)),
    }
}

/// Asks the database when no request does: an idle service is neither stale nor blind.
pub(crate) async fn refresh(notes: Notes) {
    let database = Indicator::register("database", Policy::DEFAULT);
    loop {
        match database.refresh_due() {
            Some(Duration::ZERO) => {
                let (notes, refresh) = (notes.clone(), database.begin_refresh());
                // In a thread: SQLite may have to wait. A refresh that has no answer in 5 s is a failure meanwhile.
                let asked =
                    tokio::task::spawn_blocking(move || refresh.end(&Outcome::by(&notes.probe(), worth)));
                drop(asked.await);
            }
            due => tokio::time::sleep(due.unwrap_or(Duration::from_secs(1))).await,
        }
    }
}
