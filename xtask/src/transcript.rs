//! The transcript of a demo: commands as one would type them, with their real output, each checked against what is expected.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use healthboard_e2e::{Answer, Stage};

use crate::interrupt;
use crate::terminal::{bad, clear_wait, duration, good, show_wait, strong, table};

/// A stage, and the sections that have run on it so far.
pub(crate) struct Transcript {
    pub(crate) stage: Stage,
    sections: Vec<Section>,
    start: Instant,
}

struct Section {
    title: String,
    seen: Vec<String>,
    elapsed: Duration,
    passed: bool,
}

impl Transcript {
    pub(crate) fn new(mut stage: Stage) -> Self {
        stage.on_wait(|elapsed| {
            show_wait(elapsed);
            interrupt::check()
        });
        Self { stage, sections: Vec::new(), start: Instant::now() }
    }

    /// Plays one section; the story goes on only if it goes as expected.
    pub(crate) fn section(&mut self, title: &str, run: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        println!("\n{}", strong(&format!("{}. {title}", self.sections.len() + 1)));
        let start = Instant::now();
        self.sections.push(Section {
            title: title.to_owned(),
            seen: Vec::new(),
            elapsed: Duration::ZERO,
            passed: false,
        });
        let outcome = run(self);
        clear_wait();
        if let Some(section) = self.sections.last_mut() {
            section.elapsed = start.elapsed();
            section.passed = outcome.is_ok();
        }
        outcome
    }

    /// Runs one command. Its output must contain all of `expected`, in any order.
    pub(crate) fn run(&self, line: &str, expected: &[&str]) -> Result<String> {
        println!("$ {line}");
        let output = self.stage.shell(line)?;
        println!("{}", output.text.trim_end());
        for part in expected {
            ensure!(output.text.contains(part), "`{line}`: expected {part:?} in its output");
        }
        Ok(output.text)
    }

    /// Runs one command without showing its output.
    pub(crate) fn run_silent(&self, line: &str) -> Result<()> {
        println!("$ {line}");
        let output = self.stage.shell(line)?;
        ensure!(output.code == Some(0), "`{line}` failed: {}", output.text.trim());
        Ok(())
    }

    /// Waits for an answer, and notes the time since `since`.
    pub(crate) fn until(
        &mut self,
        binary: &str,
        wanted: &str,
        since: Instant,
        is_wanted: impl Fn(&Answer) -> bool,
    ) -> Result<Answer> {
        let answer = self.stage.until(binary, wanted, is_wanted)?;
        clear_wait();
        self.note(format!("{wanted} after {}", duration(since.elapsed())));
        Ok(answer)
    }

    /// Prints an observation, here and in the summary.
    pub(crate) fn note(&mut self, seen: impl Display) {
        println!("  {}", good(&format!("▸ {seen}")));
        if let Some(section) = self.sections.last_mut() {
            section.seen.push(seen.to_string());
        }
    }

    /// The closing table.
    pub(crate) fn summary(&self) {
        let rows = self.sections.iter().map(|section| {
            let result = if section.passed { good("passed") } else { bad("FAILED") };
            [section.title.clone(), section.seen.join(", "), duration(section.elapsed), result]
        });
        println!("\n{}", table(["step", "seen", "time", "result"], rows));
        let passed = self.sections.iter().filter(|section| section.passed).count();
        println!("{passed} steps passed in {}", duration(self.start.elapsed()));
    }
}
