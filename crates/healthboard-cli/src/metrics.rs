//! `healthboard metrics`: prints once what a scrape of an agent would get.

use crate::arguments::Metrics;
use crate::output::{UNKNOWN, hint, print, say};
use healthboard::format::{Exposition, metrics};
use std::io::{self, Write};
use std::path::Path;

/// Prints the metrics, or writes them to a file. Returns the exit code.
pub(crate) fn run(asked: &Metrics) -> u8 {
    let (reports, host) = asked.boards.read(asked.expect.services());
    host.problems().iter().for_each(|problem| hint(problem));
    let text = metrics(&reports, None, Some(host.problems().len()), Exposition::Text, asked.verbose);
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

/// Replaces the file by a rename, since node_exporter may read it at any moment. The temporary name does not end in
/// `.prom`, so node_exporter does not read that file.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    // If the path is a link, its target is replaced rather than the link.
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
