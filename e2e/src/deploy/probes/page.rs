//! The comparison, for docs/probes.md.

use std::fmt::Write;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};

use super::probers::{CHECK, HELM_LIVE, HELM_READY, KOLLA, LIVE, READY, TRIPLEO};
use super::{Cost, Said, Truth};

/// Probes of a day, at one each 30 s.
const DAY: f64 = 2880.0;

/// A table of costs, and one of what was said of each fault.
///
/// # Errors
///
/// If the machine cannot be described.
pub fn page(costs: &[Cost], truths: &[Truth]) -> Result<String> {
    let mut text = head()? + "| probe | CPU | CPU a day, at one each 30 s |\n| --- | --- | --- |\n";
    for Cost { name, cpu } in costs {
        let (ms, day) = (cpu.as_secs_f64() * 1e3, cpu.as_secs_f64() * DAY);
        let _ = writeln!(text, "| {name} | {ms:.1} ms | {day:.0} s |");
    }
    text += "\n| fault, for | kolla | TripleO | openstack-helm: ready | live | `check` | `--ready` | `--live` |\n";
    text += "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for truth in truths {
        let of = |name| truth.said.iter().find(|said| said.name == name);
        let _ = write!(text, "| {}, {:.0} s |", truth.fault, truth.lasted.as_secs_f64());
        for name in [KOLLA, TRIPLEO, HELM_READY, HELM_LIVE, CHECK, READY, LIVE] {
            let _ = write!(text, " {} |", of(name).map_or_else(String::new, cell));
        }
        text.push('\n');
    }
    text.push('\n');
    for truth in truths {
        let ours = truth.said.iter().find(|said| said.name == CHECK);
        let message = ours.and_then(|said| said.message.as_deref()).unwrap_or_default();
        let _ = writeln!(text, "- {}: `{}`", truth.fault, message.trim_start_matches("nova-conductor "));
    }
    Ok(text + "\n")
}

/// When and on what it was measured.
fn head() -> Result<String> {
    let line = "date -u +%F; nproc; cut -d ' ' -f 1 /proc/loadavg";
    let output = Command::new("sh").args(["-c", line]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let [date, cores, load] = text.lines().collect::<Vec<_>>()[..] else { bail!("found `{text}`") };
    Ok(format!("Newest run: {date}, {cores} cores, with a load of {load} at its end.\n\n"))
}

fn cell(said: &Said) -> String {
    let degraded = said.degraded.map(|after| format!("DEGRADED {}", seconds(after)));
    let failed = said.failed.map(|after| match said.name {
        CHECK => format!("FAULT {}", seconds(after)),
        _ => format!("fails {}", seconds(after)),
    });
    let words: Vec<String> = degraded.into_iter().chain(failed).collect();
    match (words.is_empty(), &said.message) {
        (false, _) => words.join(", "),
        (true, Some(_)) => String::from("passes"),
        (true, None) => String::from("no answer"),
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.0} s", time.as_secs_f64())
}
