//! A child of this program that plays a role, and how to watch it.

use healthboard::{Directory, Evidence, Process, Report, judge, now_ns};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

/// A child of this program that plays a role: it prints a line when it has done something, and waits for a line to
/// continue.
pub(crate) struct Player {
    pub(crate) child: Child,
    output: BufReader<ChildStdout>,
    input: ChildStdin,
    pub(crate) runtime: TempDir,
}

impl Player {
    pub(crate) fn start(role: &str) -> Player {
        let runtime = tempfile::tempdir().unwrap();
        Player::start_in(role, runtime)
    }

    pub(crate) fn start_in(role: &str, runtime: TempDir) -> Player {
        Player::of(command(role, runtime.path()), runtime)
    }

    pub(crate) fn of(mut command: Command, runtime: TempDir) -> Player {
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let input = child.stdin.take().unwrap();
        Player { child, output, input, runtime }
    }

    /// The next line it prints; lines of the test harness are skipped.
    pub(crate) fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the role ended early");
            if let Some(said) = line.trim_end().rsplit_once("| ") {
                return said.1.to_owned();
            }
        }
    }

    pub(crate) fn go_on(&mut self) {
        writeln!(self.input).unwrap();
    }

    pub(crate) fn boards(&self) -> Directory {
        Directory::new(self.runtime.path().join("role"))
    }

    pub(crate) fn processes(&self) -> Vec<Process> {
        self.boards().read().unwrap()
    }

    /// The one process that has a board.
    pub(crate) fn process(&self) -> Process {
        let processes = self.processes();
        assert_eq!(processes.len(), 1, "{processes:?}");
        processes.into_iter().next().unwrap()
    }

    /// The service's report, made from the boards.
    pub(crate) fn report(&self) -> Report {
        judge("role", &self.processes(), now_ns(), SystemTime::now())
    }

    pub(crate) fn board_path(&self) -> PathBuf {
        let mut files =
            std::fs::read_dir(self.runtime.path().join("role")).unwrap().flatten().map(|e| e.path());
        files.find(|path| path.extension().is_some_and(|e| e == "board")).unwrap()
    }

    pub(crate) fn state(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap()
    }

    pub(crate) fn signal(&self, signal: i32) {
        // SAFETY: a child that we have not waited for yet, so the pid is its own.
        assert_eq!(unsafe { libc::kill(self.child.id().cast_signed(), signal) }, 0);
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn command(role: &str, runtime: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "role", "--nocapture", "--test-threads=1"]);
    command.env("ROLE", role).env("ROLE_RUNTIME", runtime).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A process's evidence for this indicator.
pub(crate) fn evidence(process: &Process, name: &str) -> Evidence {
    let found = process.indicators.iter().find(|indicator| &*indicator.name == name);
    found.unwrap_or_else(|| panic!("no {name} in {process:?}")).evidence.clone()
}

pub(crate) fn until_ended(child: &mut Child) -> ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(begin.elapsed() < Duration::from_secs(300), "it hangs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Fails unless this is root, since the test changes users or namespaces.
pub(crate) fn must_be_root() {
    assert!(rustix::process::geteuid().is_root(), "this test changes users and namespaces: run it as root");
}
