//! Waiting on a stage: for a condition, never for a time.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::Stage;
use super::stagger::workers_of;
use crate::probe::{Answer, ask};
use crate::processes::{children, threads_in_kernel};

/// How often a condition is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The most lines of a log in an error.
const MAX_LINES: usize = 20;

impl Stage {
    /// Waits until all started services are OK, have reported to Nova, and are served by a worker.
    ///
    /// A worker that has not reported yet may still be starting, and would not survive a fault.
    ///
    /// # Errors
    ///
    /// As for [`Stage::until`].
    pub fn ready(&mut self) -> Result<()> {
        self.stagger()?;
        let services: Vec<String> = self.daemons.iter().map(|daemon| daemon.binary().to_owned()).collect();
        for binary in services {
            let master = self.daemon(&binary)?.pid();
            self.until(&binary, "OK, with all workers", |answer| {
                let workers = children(master);
                let by_a_worker = answer.serving().is_some_and(|pid| workers.contains(&pid));
                let reported = answer.state("service_report") == "passing";
                workers.len() == workers_of(&binary) && by_a_worker && reported && answer.status() == "OK"
            })?;
        }
        Ok(())
    }

    /// Probes a service until its answer is as `wanted`, for at most a minute.
    ///
    /// # Errors
    ///
    /// After a minute, or if a daemon of the stage has ended. The error has the last answer and says where to look. The
    /// folder is kept.
    pub fn until(
        &mut self,
        binary: &str,
        wanted: &str,
        is_wanted: impl Fn(&Answer) -> bool,
    ) -> Result<Answer> {
        let uri = self.uri(binary);
        let mut last = String::from("none");
        let found = self.wait_for(Duration::from_secs(60), || match ask(&uri) {
            Ok(answer) if is_wanted(&answer) => Some(answer),
            Ok(answer) => {
                last = format!("{} {}", answer.code, answer.body);
                None
            }
            Err(error) => {
                last = format!("{error:#}");
                None
            }
        })?;
        if found.is_none() {
            self.keep_folder();
        }
        found.with_context(|| {
            let log = self.folder().join(format!("{binary}.log"));
            format!(
                "{binary}: expected within a minute: {wanted}\nlast answer: {last}\n{}next: less {}",
                self.look_at(binary),
                log.display()
            )
        })
    }

    /// What could explain an unexpected answer: the newest lines of the log, and where the threads are.
    fn look_at(&self, binary: &str) -> String {
        let log = fs::read_to_string(self.folder().join(format!("{binary}.log"))).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let newest = lines[lines.len().saturating_sub(MAX_LINES)..].join("\n");
        let master = self.daemon(binary).map(|daemon| daemon.pid()).ok();
        let pids = master.into_iter().flat_map(|master| [vec![master], children(master)].concat());
        let threads: String =
            pids.map(|pid| format!("process {pid}:\n{}\n", threads_in_kernel(pid))).collect();
        format!("its log ends:\n{newest}\n{threads}")
    }

    /// Calls `look` until it finds something; `None` after `limit`.
    ///
    /// # Errors
    ///
    /// If a daemon of the stage has ended, or the function of [`Stage::on_wait`] fails.
    pub fn wait_for<T>(&mut self, limit: Duration, mut look: impl FnMut() -> Option<T>) -> Result<Option<T>> {
        let start = Instant::now();
        loop {
            if let Some(found) = look() {
                return Ok(Some(found));
            }
            if start.elapsed() > limit {
                return Ok(None);
            }
            self.check_alive().inspect_err(|_| self.keep_folder())?;
            (self.tick)(start.elapsed())?;
            sleep(POLL_INTERVAL);
        }
    }

    fn check_alive(&mut self) -> Result<()> {
        let folder = self.folder.path();
        for daemon in &mut self.daemons {
            if let Some(status) = daemon.try_wait()? {
                let (binary, shown) = (daemon.binary(), folder.display());
                bail!("{binary} has ended ({status})\nnext: tail {shown}/{binary}.out {shown}/{binary}.log");
            }
        }
        Ok(())
    }
}
