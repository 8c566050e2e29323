//! Output for the terminal. Colour only repeats what the words say, and is used only on a terminal.

use std::env;
use std::fs;
use std::io::{IsTerminal, stderr, stdout};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use comfy_table::{Table, presets};

/// A heading.
pub(crate) fn strong(text: &str) -> String {
    paint(text, "1")
}

/// A success.
pub(crate) fn good(text: &str) -> String {
    paint(text, "32")
}

/// A failure.
pub(crate) fn bad(text: &str) -> String {
    paint(text, "1;31")
}

fn paint(text: &str, code: &str) -> String {
    if stdout().is_terminal() && env::var_os("NO_COLOR").is_none() {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}

/// Shows the time waited so far, always on the same line of a terminal.
pub(crate) fn show_wait(elapsed: Duration) {
    if stderr().is_terminal() {
        eprint!("\r  … {} s", elapsed.as_secs());
    }
}

/// Clears the line of [`show_wait`].
pub(crate) fn clear_wait() {
    if stderr().is_terminal() {
        eprint!("\r\x1b[K");
    }
}

/// A plain table without frames.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN).set_header(head);
    for row in rows {
        table.add_row(row);
    }
    table
}

/// Seconds with one decimal, or milliseconds below one second.
pub(crate) fn duration(elapsed: Duration) -> String {
    if elapsed < Duration::from_secs(1) {
        format!("{} ms", elapsed.as_millis())
    } else {
        format!("{:.1} s", elapsed.as_secs_f64())
    }
}

/// Shows what was built: each file with its size, and where the first of them is.
pub(crate) fn show_files(what: &str, files: &[PathBuf]) -> Result<()> {
    let mut rows = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        rows.push([name, format!("{} kB", fs::metadata(file)?.len() / 1000)]);
    }
    let folder = files.first().and_then(|file| file.parent()).unwrap_or(Path::new("."));
    println!("\n{}\n\nin {}", table([what, "size"], rows), folder.display());
    Ok(())
}
