//! A service as in a container: in a namespace of pids, with the probes beside it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::cluster::{Cluster, Concurrency};
use crate::faults::block;
use crate::processes::children;
use crate::setup::Setup;

/// Its service, on real servers. Only that one runs.
pub(super) struct Contained {
    pub(super) cluster: Cluster,
    pub(super) service: &'static str,
    environment: PathBuf,
}

impl Contained {
    /// Starts the servers and the service, and waits until it is OK.
    pub(super) fn start(setup: &Setup, service: &'static str) -> Result<Self> {
        let mut cluster = Cluster::new(setup, Concurrency::Threading)?;
        let blocking = block::prepare(cluster.folder())?;
        cluster.start_contained(service, &[("PYTHONPATH", &blocking)])?;
        cluster.ready()?;
        Ok(Self { cluster, service, environment: setup.venv() })
    }

    /// The service's workers.
    pub(super) fn workers(&self) -> Result<Vec<u32>> {
        let master = children(self.first()?).first().copied().context("the service does not run")?;
        Ok(children(master))
    }

    /// What comes before a command that runs beside the service, in its folder.
    pub(super) fn beside(&self) -> Result<Vec<String>> {
        let (folder, environment) = (self.cluster.folder().display(), self.environment.display());
        let line = format!(
            "nsenter --target {} --pid --mount --wd={folder} env PATH={environment}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            self.first()?
        );
        Ok(line.split(' ').map(str::to_owned).collect())
    }

    /// The CPU time of one run of a command, the least of `rounds` of `count` runs each.
    pub(super) fn cost(&self, words: &[String], rounds: u32, count: u32) -> Result<Duration> {
        // It must pass, and once it is in memory, it costs less.
        self.run(words)?;
        let line =
            format!("TIMEFORMAT='%U %S'; time for i in $(seq {count}); do \"$@\" >/dev/null 2>&1; done");
        let timed: Vec<String> = ["bash", "-c", &line, "bash"].map(String::from).into_iter().collect();
        let mut least = Duration::MAX;
        for _ in 0..rounds {
            let text = self.run(&[&timed[..], words].concat())?;
            let times: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
            let [user, system] = times[..] else { bail!("bash printed no times: {text}") };
            least = least.min(Duration::from_secs_f64((user + system) / f64::from(count)));
        }
        Ok(least)
    }

    /// Runs a command beside the service, and returns its output.
    fn run(&self, words: &[String]) -> Result<String> {
        let all = [&self.beside()?, words].concat();
        let Output { status, stdout, stderr } =
            Command::new(&all[0]).args(&all[1..]).stdin(Stdio::null()).output()?;
        let text = String::from_utf8(stdout)? + &String::from_utf8(stderr)?;
        ensure!(status.success(), "{} failed ({status}): {text}", words.join(" "));
        Ok(text)
    }

    /// The first process of the namespace, seen from here.
    fn first(&self) -> Result<u32> {
        let outside = self.cluster.daemon(self.service)?.pid();
        children(outside).first().copied().context("the service does not run")
    }
}
