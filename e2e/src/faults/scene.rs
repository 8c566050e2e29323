//! A cluster with all services running, and what the faults need in addition.

use std::collections::BTreeMap;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result};

use super::requests::{METADATA_PROXY_SECTION, OPERATOR, use_apis};
use super::stuck::{StuckRequests, call_conductor};
use super::{Site, block};
use crate::cluster::{ALL, API, Backends, Cluster, Concurrency, METADATA, NAMES};
use crate::servers::Disk;
use crate::setup::Setup;
use crate::stage::CONDUCTOR;
use crate::watch::{Ports, Watched};

/// A cluster with all services started under `healthboard-run`, the runtime folder on a small disk of its own, and a way to
/// block each service's main thread.
pub struct Scene {
    // Dropped in this order: services write their boards until they end.
    cluster: Cluster,
    disk: Disk,
    environment: BTreeMap<&'static str, String>,
    ports: Ports,
    mode: Concurrency,
    backends: Backends,
    started: Vec<&'static str>,
    stuck_requests: Option<StuckRequests>,
    stuck_calls: Option<Child>,
}

impl Scene {
    /// Starts all servers and services, with `lines` added to the section `[healthcheck]`, and waits until all are OK.
    ///
    /// # Errors
    ///
    /// If something cannot be started or does not become ready.
    pub fn new(
        setup: &Setup,
        mode: Concurrency,
        lines: &str,
        tick: fn(Duration) -> Result<()>,
    ) -> Result<Self> {
        Self::on(Backends::Usual, setup, mode, lines, tick)
    }

    /// The same on another server of the databases.
    ///
    /// # Errors
    ///
    /// As for [`Scene::new`].
    pub fn on(
        backends: Backends,
        setup: &Setup,
        mode: Concurrency,
        lines: &str,
        tick: fn(Duration) -> Result<()>,
    ) -> Result<Self> {
        let mut cluster = Cluster::on(backends, setup, mode)?;
        cluster.on_wait(tick);
        cluster.configure(&format!("{lines}{METADATA_PROXY_SECTION}"))?;
        let disk = Disk::new(cluster.folder(), "disk", "4m")?;
        let ports = Ports {
            broker: cluster.rabbitmq().address().port(),
            database: cluster.databases_address().port(),
        };
        let mut environment = BTreeMap::from([("PYTHONPATH", block::prepare(cluster.folder())?)]);
        environment.insert("HEALTHBOARD_RUNTIME_DIR", disk.path().join("run").display().to_string());
        let started = Vec::new();
        let (stuck_requests, stuck_calls) = (None, None);
        let mut scene =
            Self { cluster, disk, environment, ports, mode, backends, started, stuck_requests, stuck_calls };
        for service in ALL {
            scene.start(service)?;
        }
        scene.cluster.ready()?;
        use_apis(&scene.cluster)?;
        Ok(scene)
    }

    /// Its servers of databases and messages.
    pub fn backends(&self) -> Backends {
        self.backends
    }

    /// Starts a service that is not running.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(&mut self, service: &'static str) -> Result<()> {
        self.start_with(service, &[])
    }

    /// Starts it with more arguments.
    fn start_with(&mut self, service: &'static str, more: &[&str]) -> Result<()> {
        let environment: Vec<(&str, &str)> =
            self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.cluster.start_with(service, more, &environment)?;
        if !self.started.contains(&service) {
            self.started.push(service);
        }
        Ok(())
    }

    /// Stops a service and starts it again.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn restart(&mut self, service: &'static str) -> Result<()> {
        self.cluster.stop(service);
        self.start(service)
    }

    /// Stops a service, removes the boards of its processes, starts it again, and returns when it is up.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn renew(&mut self, service: &'static str) -> Result<()> {
        self.renew_with(service, &[])
    }

    /// Stops a service, removes the boards of its processes, and starts it again: what is at fault is not how it ended.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn restart_afresh(&mut self, service: &'static str) -> Result<()> {
        self.restart_afresh_with(service, &[])
    }

    fn restart_afresh_with(&mut self, service: &'static str, more: &[&str]) -> Result<()> {
        self.cluster.stop(service);
        let boards = self.runtime_dir().join(service);
        if boards.exists() {
            fs::remove_dir_all(boards)?;
        }
        self.start_with(service, more)
    }

    fn renew_with(&mut self, service: &'static str, more: &[&str]) -> Result<()> {
        self.restart_afresh_with(service, more)?;
        // A report that never was cannot grow old.
        self.cluster.until_up(service)
    }

    /// Occupies all workers of the API with requests that need the image service, which does not answer.
    pub(super) fn begin_stuck_requests(&mut self, count: usize) -> Result<()> {
        let images = self.cluster.images().context("the image service has no address")?;
        let uri = self.cluster.listens_at(API).context("the API does not listen")?;
        self.stuck_requests = Some(StuckRequests::begin(&uri, OPERATOR, images, count)?);
        Ok(())
    }

    /// Answers them.
    pub(super) fn end_stuck_requests(&mut self) -> Result<()> {
        self.stuck_requests.take().context("no requests are stuck")?.answer()
    }

    /// Restarts nova-conductor with `threads` in each of its workers.
    pub(super) fn limit_threads(&mut self, threads: usize) -> Result<()> {
        let file = "few-threads.conf";
        let text = format!("[DEFAULT]\nexecutor_thread_pool_size = {threads}\n");
        fs::write(self.cluster.folder().join(file), text)?;
        self.renew_with(CONDUCTOR, &["--config-file", file])
    }

    /// Restarts services with the servers by name, which they ask of our name server.
    pub(super) fn use_names(&mut self, services: &[&'static str]) -> Result<()> {
        self.cluster.start_resolver()?;
        services.iter().try_for_each(|service| self.renew_with(service, &["--config-file", NAMES]))
    }

    /// Restarts them with the servers by address.
    pub(super) fn use_addresses(&mut self, services: &[&'static str]) -> Result<()> {
        *self.cluster.resolver() = None;
        services.iter().try_for_each(|service| self.renew(service))
    }

    /// Lets the name server fall silent, or answer again.
    pub(super) fn silence_names(&mut self, silent: bool) -> Result<()> {
        let resolver = self.cluster.resolver().as_ref().context("there is no name server")?;
        resolver.set_silent(silent);
        Ok(())
    }

    /// Sends `count` calls to nova-conductor that need the table of services, which is locked.
    pub(super) fn begin_stuck_calls(&mut self, count: usize) -> Result<()> {
        self.mariadb().lock_by_change("nova.services")?;
        self.stuck_calls = Some(call_conductor(self.cluster.command("python"), count)?);
        Ok(())
    }

    /// Lets the calls come to their end.
    pub(super) fn end_stuck_calls(&mut self) -> Result<()> {
        let mut calls = self.stuck_calls.take().context("no calls are stuck")?;
        calls.kill()?;
        calls.wait()?;
        self.mariadb().unlock()
    }

    /// The disk with the runtime folder.
    pub(super) fn disk(&self) -> &Disk {
        &self.disk
    }

    fn runtime_dir(&self) -> PathBuf {
        self.disk.path().join("run")
    }
}

impl Site for Scene {
    fn watched(&self) -> Vec<Watched> {
        let of = |service: &&'static str| {
            let oslo = [API, METADATA].contains(service).then(|| self.cluster.listens_at(service)).flatten();
            self.cluster.watched(service, oslo)
        };
        self.started.iter().map(of).collect()
    }

    fn ports(&self) -> Ports {
        self.ports
    }

    fn name(&self) -> &'static str {
        match self.mode {
            Concurrency::Threading => "threading",
            Concurrency::Eventlet => "eventlet",
        }
    }
}

impl Deref for Scene {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        &self.cluster
    }
}

impl DerefMut for Scene {
    fn deref_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }
}
