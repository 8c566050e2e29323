//! What `docs/balancers.md` shows of the measurements.

use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

use super::Extent;
use super::played::Played;
use super::scenarios::Fault;
use crate::setup::Setup;

const COLUMNS: &str = "\
| balancer | requests | out after | in again after | GET lost | POST lost | why | of these savable | sent again | slowest answer |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
";

/// The versions of these are in the page.
const PACKAGES: &str = "nova oslo.middleware pyuwsgi";

/// With what it was measured, and a table for each fault, with a row for each balancer.
pub fn page(setup: &Setup, extent: &Extent, all: &[Played]) -> String {
    let mut text = head(setup, extent);
    for fault in Fault::ALL {
        let rows: Vec<&Played> = all.iter().filter(|played| played.fault == fault).collect();
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(text, "### {}\n", fault.title());
        text += COLUMNS;
        for row in rows {
            let _ = writeln!(text, "{}", self::row(row));
        }
        text.push('\n');
    }
    text
}

fn head(setup: &Setup, extent: &Extent) -> String {
    let of = |line: &str| {
        let output = Command::new("sh").args(["-c", line]).output().map(|output| output.stdout);
        String::from_utf8_lossy(&output.unwrap_or_default()).trim().to_owned()
    };
    let packages = format!(
        "{} -c 'import importlib.metadata as m; print(\", \".join(n + \" \" + m.version(n) for n in \"{PACKAGES}\".split()))'",
        setup.program("python").display()
    );
    format!(
        "Newest run: {}, {} cores, {} requests a second. {}, {}, {}, {}.\n\n",
        of("date -u +%F"),
        of("nproc"),
        extent.per_second,
        of(&packages),
        of("mariadbd --version | sed 's/.*Ver \\([^ ]*\\).*/MariaDB \\1/'"),
        of("haproxy -v | sed -n 's/^HAProxy version \\([^ ]*\\).*/HAProxy \\1/p'"),
        of("nginx -v 2>&1 | sed 's/.*nginx.\\(.*\\)/nginx \\1/'"),
    )
}

/// One row, also for the terminal.
pub(super) fn row(played: &Played) -> String {
    let savable =
        if played.is_right() { played.savable.to_string() } else { format!("**{}**", played.savable) };
    let reasons: Vec<String> =
        played.reasons.iter().map(|(reason, count)| format!("{count} x {reason}")).collect();
    let why = if reasons.is_empty() { String::from("–") } else { reasons.join(", ") };
    format!(
        "| {} | {} | {} | {} | {} | {} | {why} | {savable} | {} | {} |",
        played.balancer.title(),
        played.requests,
        seconds(played.out_after),
        seconds(played.in_after),
        played.lost_reads,
        played.lost_writes,
        played.retries.map_or_else(|| String::from("–"), |retries| retries.to_string()),
        seconds(Some(played.slowest)),
    )
}

fn seconds(time: Option<Duration>) -> String {
    time.map_or_else(|| String::from("–"), |time| format!("{:.1} s", time.as_secs_f64()))
}
