//! Stacks as text for people.

use crate::stacks::{Role, Stack};
use crate::verdict::{Report, Traced};
use std::fmt::Write as _;

/// The line of [`text`](super::text), followed by the stacks of processes that hang.
pub fn verbose_text(report: &Report) -> String {
    super::text(report) + &stacks_text(report)
}

/// The stacks of processes that hang or whose operations hang. Empty if there are none.
pub fn stacks_text(report: &Report) -> String {
    let mut text = String::new();
    for Traced { pid, stacks } in &report.stacks {
        for Stack { role, threads, frames } in &stacks.stacks {
            let plural = if *threads == 1 { "" } else { "s" };
            // Writing to a String does not fail.
            let _ = match role {
                Role::Main => writeln!(text, "process {pid}, main thread:"),
                Role::MainAtWork => writeln!(text, "process {pid}, main thread at work:"),
                Role::Work => writeln!(text, "process {pid}, {threads} thread{plural} at work:"),
                Role::Other => writeln!(text, "process {pid}, {threads} other thread{plural}:"),
            };
            frames.iter().for_each(|frame| text += &format!("  {frame}\n"));
        }
    }
    text
}
