//! One step of a job: its commands write to a log, and the terminal shows the newest line.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, IsTerminal, Write, pipe, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// One step of a job: its commands write to a log, and the terminal shows the newest line.
#[derive(Debug)]
pub struct Step {
    name: String,
    path: PathBuf,
    log: File,
    start: Instant,
    shown: Instant,
}

impl Step {
    /// Prints the name of the step and creates its log in the folder `logs`.
    ///
    /// # Errors
    ///
    /// If the log cannot be written.
    pub fn begin(name: &str, logs: &Path) -> Result<Self> {
        let path = logs.join(format!("{}.log", name.replace(' ', "-")));
        let log = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        let start = Instant::now();
        eprintln!("{name}");
        Ok(Self { name: name.to_owned(), path, log, start, shown: start })
    }

    /// Runs one command of the step to its end.
    ///
    /// # Errors
    ///
    /// If it cannot be started or fails; the error names the log.
    pub fn run(&mut self, command: &mut Command) -> Result<()> {
        let program = command.get_program().display().to_string();
        let (output, writer) = pipe()?;
        // No colours in a log.
        command.env("TERM", "dumb").stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        // The command still holds writing ends of the pipe. The output ends only when these are closed.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            self.log.write_all(&line)?;
            self.log.write_all(b"\n")?;
            self.show(String::from_utf8_lossy(&line).trim());
        }
        let status = child.wait()?;
        ensure!(status.success(), "{} failed ({status})\nnext: less {}", self.name, self.path.display());
        Ok(())
    }

    /// Runs several commands of the step side by side, to the end of all. In the log each line begins with the name of the
    /// command that wrote it.
    ///
    /// # Errors
    ///
    /// When one cannot be started or fails; the error names the log.
    pub fn run_together(&mut self, commands: Vec<(&str, Command)>) -> Result<()> {
        let (lines, newest) = mpsc::channel();
        let mut children = Vec::new();
        for (name, mut command) in commands {
            let (output, writer) = pipe()?;
            command.env("TERM", "dumb").stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
            children.push((name, command.spawn().with_context(|| format!("cannot start {name}"))?));
            let (lines, name) = (lines.clone(), name.to_owned());
            thread::spawn(move || {
                for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                    let _ = lines.send(format!("{name}: {}", String::from_utf8_lossy(&line)));
                }
            });
        }
        drop(lines);
        for line in newest {
            writeln!(self.log, "{line}")?;
            self.show(&line);
        }
        for (name, mut child) in children {
            let status = child.wait()?;
            ensure!(status.success(), "{name} failed ({status})\nnext: less {}", self.path.display());
        }
        Ok(())
    }

    /// Ends the step and prints how long it took.
    pub fn end(self) -> Duration {
        let elapsed = self.start.elapsed();
        let clear = if stderr().is_terminal() { "\r\x1b[K" } else { "" };
        eprintln!("{clear}  {:3} s  done", elapsed.as_secs());
        elapsed
    }

    /// How long the step has taken so far.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The output of its commands so far.
    pub fn text(&self) -> String {
        fs::read(&self.path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// On a terminal each line replaces the previous one. Elsewhere one line in ten seconds is printed.
    fn show(&mut self, line: &str) {
        let elapsed = self.start.elapsed().as_secs();
        if stderr().is_terminal() {
            let short: String = line.chars().take(70).collect();
            eprint!("\r\x1b[K  {elapsed:3} s  {short}");
        } else if self.shown.elapsed() >= Duration::from_secs(10) {
            self.shown = Instant::now();
            eprintln!("  {elapsed:3} s  {line}");
        }
    }
}
