//! Waiting until a cluster is ready.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Cluster;
use super::services::{Kind, kind};
use crate::probe::get;

/// How long a service may take to start. Two cores start nine services in less than a minute.
const START_TIMEOUT: Duration = Duration::from_secs(120);

impl Cluster {
    /// Waits until all started services are up, and those under `healthboard-run` are OK.
    ///
    /// # Errors
    ///
    /// If one is not up within two minutes, or ends. The error says where to look, and the folder is kept.
    pub fn ready(&mut self) -> Result<()> {
        for service in self.stage.services() {
            self.until_up(&service)?;
            if !self.bare.contains(&service) {
                self.until(&service, "OK", |answer| answer.status() == "OK")?;
            }
        }
        Ok(())
    }

    /// Waits until a service is up: it has reported to Nova, or answers its users.
    pub(crate) fn until_up(&mut self, service: &str) -> Result<()> {
        match kind(service) {
            Kind::Reporting(processes) => self.until_it_reports(service, processes),
            Kind::Listening => self.until_it_listens(service),
        }
    }

    /// Looks for Nova's own log lines, so that it works without health, too.
    fn until_it_reports(&mut self, service: &str, processes: usize) -> Result<()> {
        let path = self.folder().join(format!("{service}.log"));
        let up = self.stage.wait_for(START_TIMEOUT, || {
            let log = std::fs::read_to_string(&path).ok()?;
            let started =
                log.lines().filter(|line| line.contains(" Starting ") && line.contains(" node ")).count();
            (started >= processes).then_some(())
        })?;
        self.explain(up, service)?;
        if !self.bare.iter().any(|bare| bare == service) {
            self.until(service, "reporting its state", |answer| answer.state("service_report") == "passing")?;
        }
        Ok(())
    }

    fn until_it_listens(&mut self, service: &str) -> Result<()> {
        let uri = self.listens_at(service).with_context(|| format!("{service} has no address"))?;
        let up =
            self.stage.wait_for(START_TIMEOUT, || get(&uri, "/", Duration::from_secs(2)).ok().map(drop))?;
        self.explain(up, service)
    }

    fn explain(&mut self, up: Option<()>, service: &str) -> Result<()> {
        if up.is_none() {
            self.keep_folder();
        }
        up.with_context(|| {
            let shown = self.folder().display();
            format!("{service} is not up\nnext: tail {shown}/{service}.out {shown}/{service}.log")
        })
    }
}
