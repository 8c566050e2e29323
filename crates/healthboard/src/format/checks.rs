//! `/livez` and `/readyz`, in the format of Kubernetes' own components.

use crate::config::{Impact, PROGRESS};
use crate::scrub;
use crate::verdict::{Report, Status};
use std::fmt::Write as _;

/// One line of an answer: a name and, if it failed, the reason.
struct Check<'a> {
    name: &'a str,
    failed: Option<&'a str>,
    excluded: bool,
}

/// Whether the service progresses: `false` only if no process progresses, all have died, or none was started although the
/// service is expected to run. Dependencies do not count, and neither does an unknown state. Returns the result and the
/// body.
pub fn livez(report: &Report, verbose: bool) -> (bool, String) {
    let hung = report.details.get(PROGRESS).is_some_and(|progress| progress.status == Status::Fault);
    let failed = match (hung, is_dead(report)) {
        (true, _) => Some("no process progresses"),
        (_, true) => Some(DEAD),
        _ => None,
    };
    let progress = Check { name: PROGRESS, failed, excluded: false };
    answer("livez", report, &[progress], &[], verbose)
}

/// Whether to send work here: `false` on `FAULT`, while draining, and if the service has stopped. Informational indicators
/// and the checks named in `exclude` do not count. Returns the result and the body, which names the entries of `exclude`
/// that match no check.
pub fn readyz(report: &Report, exclude: &[&str], verbose: bool) -> (bool, String) {
    let details = report.details.iter().filter(|(_, detail)| detail.impact != Impact::Informational);
    let mut checks: Vec<Check<'_>> = details
        .map(|(name, detail)| Check {
            name,
            failed: (detail.status == Status::Fault).then_some(match detail.message.as_str() {
                "" => "no process progresses",
                message => message
                    .strip_prefix(name.as_str())
                    .and_then(|rest| rest.strip_prefix(": "))
                    .unwrap_or(message),
            }),
            excluded: false,
        })
        .collect();
    checks.push(Check { name: "processes", failed: is_dead(report).then_some(DEAD), excluded: false });
    let shutdown = match (report.draining, report.stopped) {
        (true, _) => Some("draining"),
        (false, true) => Some("stopped"),
        (false, false) => None,
    };
    checks.push(Check { name: "shutdown", failed: shutdown, excluded: false });
    for check in &mut checks {
        check.excluded = exclude.contains(&check.name);
    }
    let unknown: Vec<&str> =
        exclude.iter().copied().filter(|name| !checks.iter().any(|check| check.name == *name)).collect();
    answer("readyz", report, &checks, &unknown, verbose)
}

const DEAD: &str = "no process is alive";

/// Whether no process is alive and the service was not stopped: all processes have died, or none was ever started although
/// the service is expected to run.
fn is_dead(report: &Report) -> bool {
    report.processes.alive == 0 && (report.processes.dead > 0 || report.status == Status::Fault)
}

fn answer(
    endpoint: &str,
    report: &Report,
    checks: &[Check<'_>],
    unknown: &[&str],
    verbose: bool,
) -> (bool, String) {
    let passed = checks.iter().all(|check| check.excluded || check.failed.is_none());
    if passed && !verbose && unknown.is_empty() {
        return (true, "ok\n".to_owned());
    }
    let mut text = String::new();
    for Check { name, failed, excluded } in checks {
        let name = scrub::printable(name);
        // Writing to a String does not fail.
        let _ = match failed {
            _ if *excluded => writeln!(text, "[+]{name} excluded: ok"),
            None => writeln!(text, "[+]{name} ok"),
            Some(reason) => writeln!(text, "[-]{name} failed: {}", scrub::printable(reason)),
        };
    }
    for name in unknown {
        let _ = writeln!(text, "warn: nothing to exclude matches \"{}\"", scrub::scrub(name, 64));
    }
    let _ = writeln!(text, "{endpoint} check {}", if passed { "passed" } else { "failed" });
    if verbose {
        text += &super::stacks::stacks_text(report);
    }
    (passed, text)
}
