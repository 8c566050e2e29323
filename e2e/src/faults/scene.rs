//! A cluster with everything started, and what the faults need besides.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::block;
use crate::cluster::{ALL, API, Cluster, Concurrency, METADATA};
use crate::daemon::Daemon;
use crate::probe::get_with;
use crate::setup::Setup;
use crate::watch::{Ports, Watched};

/// A request that Nova's API answers from its databases: the path, headers, the status.
const LIST_SERVICES: (&str, &str, u16) = (
    "/v2.1/os-services",
    "X-User-Id: operator\r\nX-Project-Id: stage\r\nX-Roles: admin\r\nX-Identity-Status: Confirmed\r\n",
    200,
);
/// One that the metadata API does, as Neutron's agent sends it for an instance that there is not.
const ASK_FOR_METADATA: (&str, &str, u16) = (
    "/latest/meta-data/",
    "X-Instance-ID: 00000000-0000-0000-0000-000000000000\r\nX-Tenant-ID: stage\r\n\
     X-Instance-ID-Signature: 3a6c452ef9a374179001cbf6a0e2c90f541f669e56a4e1702735ac2e24ba1ac4\r\n",
    404,
);
/// What it takes, after the section `[healthcheck]` of nova.conf.
pub(super) const USES_METADATA: &str = "\n\n[neutron]\nservice_metadata_proxy = true";
/// So many at a time occupy both processes.
const REQUESTS: usize = 16;

/// A disk that is small, and seen by nobody who does not know its keeper: it goes when that ends, however it ends.
const DISK: &str = "mount -t tmpfs -o size=4m healthboard disk && touch disk/mounted && exec sleep infinity";

/// A cluster with all services started under `healthboard-run`, the runtime folder on a small disk of its own, and a way to
/// block each service's main thread.
pub struct Scene {
    // Dropped in this order: boards are written to the end.
    cluster: Cluster,
    disk: Daemon,
    environment: BTreeMap<&'static str, String>,
    ports: Ports,
    mode: Concurrency,
    started: Vec<&'static str>,
}

impl Scene {
    /// Starts all servers and services, with `lines` added to the section `[healthcheck]`, and waits until all are OK.
    ///
    /// # Errors
    ///
    /// When something cannot be started or does not get ready.
    pub fn new(
        setup: &Setup,
        mode: Concurrency,
        lines: &str,
        tick: fn(Duration) -> Result<()>,
    ) -> Result<Self> {
        let mut cluster = Cluster::new(setup, mode)?;
        cluster.on_wait(tick);
        cluster.configure(&format!("{lines}{USES_METADATA}"))?;
        let disk = make_disk(&cluster)?;
        let ports = Ports {
            broker: cluster.rabbitmq().address().port(),
            database: cluster.mariadb().address().port(),
        };
        let mut environment = BTreeMap::from([("PYTHONPATH", block::prepare(cluster.folder())?)]);
        environment.insert("HEALTHBOARD_RUNTIME_DIR", runtime_dir(&cluster, &disk).display().to_string());
        let mut scene = Self { cluster, disk, environment, ports, mode, started: Vec::new() };
        for service in ALL {
            scene.start(service)?;
        }
        scene.cluster.ready()?;
        use_apis(&scene.cluster)?;
        Ok(scene)
    }

    /// Starts a service that is not started.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn start(&mut self, service: &'static str) -> Result<()> {
        let environment: Vec<(&str, &str)> =
            self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.cluster.start_with(service, &[], &environment)?;
        if !self.started.contains(&service) {
            self.started.push(service);
        }
        Ok(())
    }

    /// Stops a service and starts it anew.
    ///
    /// # Errors
    ///
    /// When it cannot be started.
    pub fn restart(&mut self, service: &'static str) -> Result<()> {
        self.cluster.stop(service);
        self.start(service)
    }

    /// Stops a service and starts it anew, with nothing left of those who were killed.
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

    /// What all services are to be watched by.
    pub fn watched(&self) -> Vec<Watched> {
        let of = |service: &&'static str| {
            let oslo = [API, METADATA].contains(service).then(|| self.cluster.listens_at(service)).flatten();
            // A service that does not run has no processes to be looked at; no group has this number.
            let group = self.cluster.daemon(service).map_or(u32::MAX, Daemon::pid);
            Watched { service: (*service).to_owned(), uri: self.cluster.uri(service), group, oslo }
        };
        self.started.iter().map(of).collect()
    }

    /// Where the servers listen.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// How the services are concurrent.
    pub fn mode(&self) -> Concurrency {
        self.mode
    }

    /// Leaves no room under the runtime folder.
    pub(super) fn fill_disk(&self) -> Result<()> {
        let mut file = File::create(self.filling())?;
        while file.write_all(&[0; 4096]).is_ok() {}
        Ok(())
    }

    /// Gives it back.
    pub(super) fn empty_disk(&self) -> Result<()> {
        fs::remove_file(self.filling()).context("the disk was not filled")
    }

    fn filling(&self) -> PathBuf {
        self.runtime_dir().with_file_name("filling")
    }

    fn runtime_dir(&self) -> PathBuf {
        runtime_dir(&self.cluster, &self.disk)
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

/// Has each process of both APIs serve a request that needs the databases: before that it may know of none.
pub(super) fn use_apis(cluster: &Cluster) -> Result<()> {
    for (service, (path, headers, wanted)) in [(API, LIST_SERVICES), (METADATA, ASK_FOR_METADATA)] {
        let uri = cluster.listens_at(service).context("it does not listen")?;
        // One request at a time may always reach the same process.
        let ask = || get_with(&uri, path, headers, Duration::from_secs(30)).map(|(code, _)| code);
        thread::scope(|scope| {
            let users: Vec<_> = (0..REQUESTS).map(|_| scope.spawn(ask)).collect();
            users.into_iter().try_for_each(|user| {
                let code = user.join().ok().context("a request was broken off")??;
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
    command.args(["--mount", "sh", "-c", DISK]).current_dir(cluster.folder()).stdin(Stdio::null());
    let mut disk = Daemon::spawn("disk", &mut command)?;
    let mounted = runtime_dir(cluster, &disk).with_file_name("mounted");
    let start = Instant::now();
    while !mounted.exists() {
        ensure!(disk.try_wait()?.is_none(), "no small disk can be made here\nnext: run it as root");
        ensure!(start.elapsed() < Duration::from_secs(10), "the small disk was not there after ten seconds");
        sleep(Duration::from_millis(5));
    }
    Ok(disk)
}

/// On the disk, by way of its keeper, who alone has it mounted.
fn runtime_dir(cluster: &Cluster, disk: &Daemon) -> PathBuf {
    let mut path = PathBuf::from(format!("/proc/{}/root", disk.pid()));
    path.extend(cluster.folder().components().skip(1));
    path.join("disk/run")
}
