//! The notes and their database. For health, this file has the attributes, the classification of errors, and the refresh.

use healthboard::{Failure, Indicator, Outcome, Policy, healthcheck};
use rusqlite::{Connection, Error, ErrorCode, OpenFlags, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a writer waits for another writer.
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

    #[healthcheck("database", classify = classify)]
    pub(crate) fn list(&self) -> Result<Vec<Note>> {
        let db = self.open()?;
        let mut query = db.prepare("SELECT id, text FROM notes ORDER BY id")?;
        query.query_map((), |row| Ok(Note { id: row.get(0)?, text: row.get(1)? }))?.collect()
    }

    #[healthcheck("database", classify = classify)]
    pub(crate) fn add(&self, text: &str) -> Result<Note> {
        let db = self.open()?;
        db.query_row("INSERT INTO notes (text) VALUES (?) RETURNING id, text", [text], |row| {
            Ok(Note { id: row.get(0)?, text: row.get(1)? })
        })
    }

    /// Checks what the work needs: the table can be read, and the database can be written to.
    fn probe(&self) -> Result<()> {
        let db = self.open()?;
        db.execute_batch("BEGIN IMMEDIATE; SELECT count(*) FROM notes; ROLLBACK")
    }

    /// Opens a new connection for each operation: an open one would not notice that the file was replaced.
    fn open(&self) -> Result<Connection> {
        let db = Connection::open_with_flags(&self.file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        db.busy_timeout(BUSY_TIMEOUT)?;
        Ok(db)
    }
}

/// What an error says about the database.
fn classify(error: &Error) -> Outcome {
    match error.sqlite_error_code() {
        // The database has checked the note and refused it, so it works.
        Some(ErrorCode::ConstraintViolation) => Outcome::Success,
        _ => Outcome::Failure(Failure::of(error)),
    }
}

/// Queries the database when no request does, so that an idle service still has fresh evidence.
pub(crate) async fn refresh(notes: Notes) {
    let database = Indicator::register("database", Policy::DEFAULT);
    loop {
        match database.refresh_due() {
            Some(Duration::ZERO) => {
                let (notes, refresh) = (notes.clone(), database.begin_refresh());
                // In a thread, because SQLite may block. A refresh without an answer in 5 s is recorded as a failure.
                let asked =
                    tokio::task::spawn_blocking(move || refresh.end(&Outcome::by(&notes.probe(), classify)));
                drop(asked.await);
            }
            due => tokio::time::sleep(due.unwrap_or(Duration::from_secs(1))).await,
        }
    }
}
