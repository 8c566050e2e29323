//! When a cluster is ready.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Cluster;
use super::services::{Kind, kind};
use crate::probe::get;

/// Two cores start nine services in less than a minute.
const PATIENCE: Duration = Duration::from_secs(120);

impl Cluster {
    /// Waits until all services that were started are at work, and those that listen say that they are OK.
    ///
    /// # Errors
    ///
    /// When one is not within two minutes, or ends. The error says where to look, and the folder stays.
    pub fn ready(&mut self) -> Result<()> {
        for service in self.stage.services() {
            match kind(&service) {
                Kind::Reporting(processes) => self.until_it_reports(&service, processes)?,
                Kind::Listening => self.until_it_listens(&service)?,
            }
            if !self.bare.contains(&service) {
                self.until(&service, "OK", |answer| answer.status() == "OK")?;
            }
        }
        Ok(())
    }

    /// Nova's own words tell it, so that it works without us, too.
    fn until_it_reports(&mut self, service: &str, processes: usize) -> Result<()> {
        let path = self.folder().join(format!("{service}.log"));
        let up = self.stage.wait_for(PATIENCE, || {
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
        let uri = self.listens_at(service).with_context(|| format!("{service} is not known"))?;
        let up = self.stage.wait_for(PATIENCE, || get(&uri, "/", Duration::from_secs(2)).ok().map(drop))?;
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
