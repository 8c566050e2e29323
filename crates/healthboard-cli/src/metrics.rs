//! `healthboard metrics`: what a scrape of an agent would get, once.

use crate::arguments::Metrics;
use crate::output::{UNKNOWN, hint, print, say};
use healthboard::format::{Exposition, metrics};
use std::io::{self, Write};
use std::path::Path;

/// Prints the metrics, or replaces a file by them; returns the exit code.
pub(crate) fn run(asked: &Metrics) -> u8 {
    let reports = asked.boards.reports(&mut hint);
    let text = metrics(&reports, None, Exposition::Text, asked.verbose);
    let Some(file) = &asked.output else {
        print(&text);
        return 0;
    };
    match replace(file, &text) {
        Ok(()) => 0,
        Err(error) => {
            say(&format!("error: cannot write `{}`: {error}", file.display()));
            UNKNOWN
        }
    }
}

/// Whole or not at all: node_exporter may read at any moment. It reads `*.prom` alone.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    // What a link leads to is replaced, and not the link.
    let file = &std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    if std::fs::metadata(file).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("found something that is no regular file, expected one, or none"));
    }
    let mut name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = file.with_file_name(name);
    let write = || {
        let mut new = std::fs::File::create_new(&temporary)?;
        new.write_all(text.as_bytes())?;
        std::fs::rename(&temporary, file)
    };
    write().inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })
}
