//! One service as an operator starts it. It never outlives its owner.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::processes::children;

/// Waits for the end of its standard input, then ends the process group `$1`: with SIGTERM, also for frozen members, and with
/// SIGKILL after ten seconds. A line on standard input releases the group instead.
const GUARD: &str = r#"
read -r word && exit
kill -s TERM -- "-$1"
kill -s CONT -- "-$1"
for tenth in $(seq 100); do
    kill -s 0 -- "-$1" || exit
    sleep 0.1
done
kill -s KILL -- "-$1"
"#;

/// One service as an operator starts it: a process group of its own, whose leader is the master.
///
/// It ends when this value is dropped. A guard ends it, a small shell that reads from a pipe of ours: the pipe closes when the
/// value is dropped, and also when this process panics, is interrupted, or is killed with -9.
#[derive(Debug)]
pub struct Daemon {
    binary: String,
    child: Child,
    guard: Child,
}

impl Daemon {
    pub(crate) fn spawn(binary: &str, command: &mut Command) -> Result<Self> {
        let child = command.process_group(0).spawn().with_context(|| format!("cannot start {binary}"))?;
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard", &child.id().to_string()])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start the guard of a daemon")?;
        Ok(Self { binary: binary.to_owned(), child, guard })
    }

    /// The name of its program, such as `nova-conductor`.
    pub fn binary(&self) -> &str {
        &self.binary
    }

    /// The pid of the master.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The pids of the master's current workers.
    pub fn workers(&self) -> Vec<u32> {
        children(self.pid())
    }

    /// The exit status, if it has ended.
    ///
    /// # Errors
    ///
    /// If the kernel does not know this child.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot wait for {}", self.binary))
    }

    /// Lets it run after this value is dropped, and after this process ends.
    ///
    /// # Errors
    ///
    /// If the guard has ended already.
    pub fn release(&mut self) -> Result<()> {
        let mut word = self.guard.stdin.take().context("the guard was released before")?;
        writeln!(word, "release").context("cannot release the guard")?;
        self.guard.wait().context("cannot wait for the guard")?;
        Ok(())
    }

    /// Sends `signal` to all processes in its group.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process_group(Pid::from_child(&self.child), signal)
            .with_context(|| format!("cannot send {signal:?} to {}", self.binary))
    }

    /// Starts stopping it without waiting, so that several daemons can stop in parallel.
    pub(crate) fn begin_stop(&mut self) {
        drop(self.guard.stdin.take());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.begin_stop();
        // A released daemon has no guard: the wait below would never return.
        if matches!(self.guard.try_wait(), Ok(Some(_))) {
            return;
        }
        // The guard sees an empty group only after we have reaped its leader.
        let _ = self.child.wait();
        let _ = self.guard.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    use super::*;
    use crate::processes::{Signal, is_alive, send};

    /// A master that ignores no signal, with one worker.
    fn pair() -> Daemon {
        let daemon = Daemon::spawn("pair", Command::new("sh").args(["-c", "sleep 600 & wait"])).unwrap();
        eventually(|| !daemon.workers().is_empty());
        daemon
    }

    fn eventually(condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(10), "this took more than ten seconds");
            sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn dropping_a_daemon_ends_its_workers() {
        let daemon = pair();
        let (master, workers) = (daemon.pid(), daemon.workers());
        drop(daemon);
        assert!(!is_alive(master) && !is_alive(workers[0]));
    }

    #[test]
    fn dropping_a_daemon_ends_frozen_workers() {
        let daemon = pair();
        let worker = daemon.workers()[0];
        send(worker, Signal::STOP).unwrap();
        drop(daemon);
        assert!(!is_alive(worker));
    }

    #[test]
    fn a_released_daemon_keeps_running() {
        let mut daemon = pair();
        let (master, workers) = (daemon.pid(), daemon.workers());
        daemon.release().unwrap();
        drop(daemon);
        assert!(is_alive(master));
        for pid in [master, workers[0]] {
            send(pid, Signal::KILL).unwrap();
        }
    }

    /// Runs this test again in a child, which starts a daemon and is killed.
    #[test]
    fn a_daemon_ends_when_its_starter_is_killed() {
        const NAME: &str = "daemon::tests::a_daemon_ends_when_its_starter_is_killed";
        if env::var_os("HEALTHBOARD_E2E_STARTER").is_some() {
            let _daemon = pair();
            sleep(Duration::from_secs(600));
        }
        let mut starter = Command::new(env::current_exe().unwrap())
            .args(["--exact", NAME])
            .env("HEALTHBOARD_E2E_STARTER", "1")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // Two children: the daemon and its guard.
        eventually(|| children(starter.id()).len() == 2);
        let master = children(starter.id())[0];
        eventually(|| !children(master).is_empty());
        let worker = children(master)[0];
        starter.kill().unwrap();
        starter.wait().unwrap();
        eventually(|| !is_alive(master) && !is_alive(worker));
    }
}
