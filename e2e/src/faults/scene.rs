//! A cluster with all services running, and what the faults need in addition.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::stuck::{StuckRequests, call_conductor};
use super::{Site, block};
use crate::cluster::{ALL, API, Cluster, Concurrency, METADATA};
use crate::daemon::Daemon;
use crate::probe::get_with;
use crate::setup::Setup;
use crate::stage::CONDUCTOR;
use crate::watch::{Ports, Watched};

/// A request that Nova's API answers from its databases: the path, the headers, the expected status.
const LIST_SERVICES: (&str, &str, u16) = ("/v2.1/os-services", OPERATOR, 200);
/// The headers of an operator's request.
const OPERATOR: &str =
    "X-User-Id: operator\r\nX-Project-Id: stage\r\nX-Roles: admin\r\nX-Identity-Status: Confirmed\r\n";
/// The same for the metadata API: a request as Neutron's agent sends it, for an instance that does not exist.
const GET_METADATA: (&str, &str, u16) = (
    "/latest/meta-data/",
    "X-Instance-ID: 00000000-0000-0000-0000-000000000000\r\nX-Tenant-ID: stage\r\n\
     X-Instance-ID-Signature: 3a6c452ef9a374179001cbf6a0e2c90f541f669e56a4e1702735ac2e24ba1ac4\r\n",
    404,
);
/// Configures the metadata API for such requests. It follows the section `[healthcheck]` in nova.conf.
pub(super) const METADATA_PROXY_SECTION: &str = "\n\n[neutron]\nservice_metadata_proxy = true";
/// This many concurrent requests occupy both processes.
const CONCURRENT_REQUESTS: usize = 16;

/// Mounts a small disk in a mount namespace of its own. The disk disappears when this process ends.
const DISK_SCRIPT: &str =
    "mount -t tmpfs -o size=4m healthboard disk && touch disk/mounted && exec sleep infinity";

/// A cluster with all services started under `healthboard-run`, the runtime folder on a small disk of its own, and a way to
/// block each service's main thread.
pub struct Scene {
    // Dropped in this order: services write their boards until they end.
    cluster: Cluster,
    disk: Daemon,
    environment: BTreeMap<&'static str, String>,
    ports: Ports,
    mode: Concurrency,
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
        let mut cluster = Cluster::new(setup, mode)?;
        cluster.on_wait(tick);
        cluster.configure(&format!("{lines}{METADATA_PROXY_SECTION}"))?;
        let disk = make_disk(&cluster)?;
        let ports = Ports {
            broker: cluster.rabbitmq().address().port(),
            database: cluster.mariadb().address().port(),
        };
        let mut environment = BTreeMap::from([("PYTHONPATH", block::prepare(cluster.folder())?)]);
        environment.insert("HEALTHBOARD_RUNTIME_DIR", runtime_dir(&cluster, &disk).display().to_string());
        let started = Vec::new();
        let (stuck_requests, stuck_calls) = (None, None);
        let mut scene =
            Self { cluster, disk, environment, ports, mode, started, stuck_requests, stuck_calls };
        for service in ALL {
            scene.start(service)?;
        }
        scene.cluster.ready()?;
        use_apis(&scene.cluster)?;
        Ok(scene)
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

    /// Stops a service, removes the boards of its processes, and starts it again.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn renew(&mut self, service: &'static str) -> Result<()> {
        self.cluster.stop(service);
        let boards = self.runtime_dir().join(service);
        if boards.exists() {
            fs::remove_dir_all(boards)?;
        }
        self.start(service)
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

    /// Restarts nova-conductor with `threads` in each of its workers, and sends `count` calls that need the table of services.
    pub(super) fn begin_stuck_calls(&mut self, threads: usize, count: usize) -> Result<()> {
        let file = "few-threads.conf";
        let text = format!("[DEFAULT]\nexecutor_thread_pool_size = {threads}\n");
        fs::write(self.cluster.folder().join(file), text)?;
        self.cluster.stop(CONDUCTOR);
        self.start_with(CONDUCTOR, &["--config-file", file])?;
        self.cluster.until(CONDUCTOR, "OK, with both workers", |answer| {
            answer.status() == "OK"
                && answer.processes("alive") == 3
                && answer.state("service_report") == "passing"
        })?;
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

    /// Fills the disk of the runtime folder.
    pub(super) fn fill_disk(&self) -> Result<()> {
        let mut file = File::create(self.filler())?;
        while file.write_all(&[0; 4096]).is_ok() {}
        Ok(())
    }

    /// Frees the space again.
    pub(super) fn empty_disk(&self) -> Result<()> {
        fs::remove_file(self.filler()).context("the disk was not filled")
    }

    fn filler(&self) -> PathBuf {
        self.runtime_dir().with_file_name("filler")
    }

    fn runtime_dir(&self) -> PathBuf {
        runtime_dir(&self.cluster, &self.disk)
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

/// Makes each process of both APIs serve a request that needs the databases: before that it may have no such indicator.
pub(super) fn use_apis(cluster: &Cluster) -> Result<()> {
    for (service, (path, headers, wanted)) in [(API, LIST_SERVICES), (METADATA, GET_METADATA)] {
        let uri = cluster.listens_at(service).with_context(|| format!("{service} does not listen"))?;
        // Sequential requests might all reach the same process.
        let ask = || get_with(&uri, path, headers, Duration::from_secs(30)).map(|(code, _)| code);
        thread::scope(|scope| {
            let users: Vec<_> = (0..CONCURRENT_REQUESTS).map(|_| scope.spawn(ask)).collect();
            users.into_iter().try_for_each(|user| {
                let code = user.join().ok().context("a request panicked")??;
                ensure!(code == wanted, "{service} answered with {code}, expected {wanted}");
                Ok(())
            })
        })?;
    }
    Ok(())
}

fn make_disk(cluster: &Cluster) -> Result<Daemon> {
    fs::create_dir(cluster.folder().join("disk"))?;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", DISK_SCRIPT]).current_dir(cluster.folder()).stdin(Stdio::null());
    let mut disk = Daemon::spawn("disk", &mut command)?;
    let mounted = runtime_dir(cluster, &disk).with_file_name("mounted");
    let start = Instant::now();
    while !mounted.exists() {
        ensure!(disk.try_wait()?.is_none(), "cannot mount a small disk\nnext: run it as root");
        ensure!(
            start.elapsed() < Duration::from_secs(10),
            "the small disk was not mounted within ten seconds"
        );
        sleep(Duration::from_millis(5));
    }
    Ok(disk)
}

/// The runtime folder on the disk, reached through the only process that has the disk mounted.
fn runtime_dir(cluster: &Cluster, disk: &Daemon) -> PathBuf {
    let mut path = PathBuf::from(format!("/proc/{}/root", disk.pid()));
    path.extend(cluster.folder().components().skip(1));
    path.join("disk/run")
}
