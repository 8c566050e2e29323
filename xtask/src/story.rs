//! The telling of a demo: every line is a command as typed and its real answer, and each is held to what was told.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use healthboard_e2e::{Answer, Stage};

use crate::interrupt;
use crate::terminal::{bad, clear_wait, duration, good, show_wait, strong, table};

/// A stage, and what has been seen on it so far.
pub(crate) struct Story {
    pub(crate) stage: Stage,
    acts: Vec<Act>,
    start: Instant,
}

struct Act {
    title: String,
    seen: Vec<String>,
    elapsed: Duration,
    as_told: bool,
}

impl Story {
    pub(crate) fn new(mut stage: Stage) -> Self {
        stage.on_wait(|elapsed| {
            show_wait(elapsed);
            interrupt::check()
        });
        Self { stage, acts: Vec::new(), start: Instant::now() }
    }

    /// Plays one act; the story goes on only if it goes as told.
    pub(crate) fn act(&mut self, title: &str, play: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        println!("\n{}", strong(&format!("{}. {title}", self.acts.len() + 1)));
        let start = Instant::now();
        self.acts.push(Act {
            title: title.to_owned(),
            seen: Vec::new(),
            elapsed: Duration::ZERO,
            as_told: false,
        });
        let outcome = play(self);
        clear_wait();
        if let Some(act) = self.acts.last_mut() {
            act.elapsed = start.elapsed();
            act.as_told = outcome.is_ok();
        }
        outcome
    }

    /// Runs one command. Its answer must contain all of `told`, in whatever order.
    pub(crate) fn run(&self, line: &str, told: &[&str]) -> Result<String> {
        println!("$ {line}");
        let said = self.stage.shell(line)?;
        println!("{}", said.text.trim_end());
        for expected in told {
            ensure!(said.text.contains(expected), "`{line}` should have answered with {expected:?}");
        }
        Ok(said.text)
    }

    /// Runs one command that has nothing to say.
    pub(crate) fn quietly(&self, line: &str) -> Result<()> {
        println!("$ {line}");
        let said = self.stage.shell(line)?;
        ensure!(said.code == Some(0), "`{line}` failed: {}", said.text.trim());
        Ok(())
    }

    /// Waits for an answer and notes how long it took since `since`.
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

    /// Says something that was seen, here and in the summary.
    pub(crate) fn note(&mut self, seen: impl Display) {
        println!("  {}", good(&format!("▸ {seen}")));
        if let Some(act) = self.acts.last_mut() {
            act.seen.push(seen.to_string());
        }
    }

    /// The closing table.
    pub(crate) fn summary(&self) {
        let rows = self.acts.iter().map(|act| {
            let result = if act.as_told { good("as told") } else { bad("FAILED") };
            [act.title.clone(), act.seen.join(", "), duration(act.elapsed), result]
        });
        println!("\n{}", table(["step", "seen", "time", "result"], rows));
        let as_told = self.acts.iter().filter(|act| act.as_told).count();
        println!("{as_told} steps as told, in {}", duration(self.start.elapsed()));
    }
}
