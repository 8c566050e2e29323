//! All services of Nova, on real servers.

mod config;
mod ready;
mod servers;
mod services;
mod template;

use std::net::{IpAddr, SocketAddr};
use std::ops::{Deref, DerefMut};
use std::process::Command;

use anyhow::{Context, Result};

use self::config::IMAGES;
pub(crate) use self::config::{NAMES, TEMPLATES, write_api_paste};
use self::servers::Servers;
pub use self::services::{ALL, API, COMPUTE, COMPUTE_LIBVIRT, METADATA, NOVNCPROXY, SERIALPROXY, SPICEPROXY};
use self::services::{arguments, program};
pub(crate) use self::template::{TEMPLATE_FOLDERS, make as make_template, make_postgresql};
use crate::daemon::Daemon;
use crate::servers::{MariaDb, PostgreSql, RabbitMq, Resolver, Server};
use crate::setup::Setup;
use crate::stage::Stage;

/// The kind of threads that the services use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concurrency {
    /// Nova's default: native threads in all services except the proxies.
    Threading,
    /// Eventlet's green threads.
    Eventlet,
}

/// The servers of Nova's databases and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backends {
    /// A single `MariaDB` and a single `RabbitMQ`.
    Usual,
    /// A node of a Galera cluster, with an arbitrator.
    Galera,
    /// `PostgreSQL`. The second cell stays on `MariaDB`.
    PostgreSql,
    /// A cluster of three nodes of `RabbitMQ`, with quorum queues.
    RabbitMqCluster,
}

/// All services of Nova, on real servers: a [`Stage`] with a private `MariaDB`, `RabbitMQ`, placement and libvirtd.
///
/// Its nova.conf makes every service listen at [`Stage::uri`]. Services and servers are stopped when it is dropped, even if
/// this process is killed: see [`Daemon`].
pub struct Cluster {
    // Dropped in this order: servers write into the folder until they end.
    servers: Servers,
    stage: Stage,
    concurrency: Concurrency,
    bare: Vec<String>,
    resolver: Option<Resolver>,
}

impl Cluster {
    /// Creates the folder, starts the servers, and returns when all of them answer.
    ///
    /// # Errors
    ///
    /// If a server cannot be started; the error names its log.
    pub fn new(setup: &Setup, concurrency: Concurrency) -> Result<Self> {
        Self::on(Backends::Usual, setup, concurrency)
    }

    /// The same on other servers.
    ///
    /// # Errors
    ///
    /// As for [`Cluster::new`].
    pub fn on(backends: Backends, setup: &Setup, concurrency: Concurrency) -> Result<Self> {
        let mut stage = Stage::empty(setup)?;
        let servers = Servers::start(backends, setup, &stage).inspect_err(|_| stage.keep_folder())?;
        Ok(Self { servers, stage, concurrency, bare: Vec::new(), resolver: None })
    }

    /// Starts one of the services in [`ALL`] under `healthboard-run`. [`Cluster::ready`] waits for it.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start(&mut self, service: &str) -> Result<&Daemon> {
        self.start_with(service, &[], &[])
    }

    /// Starts a service under `healthboard-run`, with more arguments, such as `--lazy-apps`, and more variables.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start_with(
        &mut self,
        service: &str,
        more: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<&Daemon> {
        let mut command = self.health_command();
        if program(service) != service {
            command.args(["--service", service]);
        }
        command.arg(program(service));
        self.bare.retain(|bare| bare != service);
        self.spawn(service, command, more, environment)
    }

    /// Starts a service under `healthboard-run` in a namespace of pids, as in a container. Its first process is the child of
    /// [`Daemon::pid`], a shell that waits for the service.
    pub(crate) fn start_contained(&mut self, service: &str, environment: &[(&str, &str)]) -> Result<&Daemon> {
        let mut command = self.stage.command("unshare");
        command.args(["--pid", "--fork", "--mount", "--mount-proc", "sh", "-c", r#""$@"; exit"#, "sh"]);
        command.args(["healthboard-run", "--service", service, program(service)]);
        self.spawn(service, command, &[], environment)
    }

    fn health_command(&self) -> Command {
        let Some(resolver) = &self.resolver else { return self.stage.command("healthboard-run") };
        let mut command = self.stage.command("unshare");
        resolver.prefix(&mut command);
        command.arg("healthboard-run");
        command
    }

    /// Starts a service without `healthboard-run`, with more arguments.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn start_bare(&mut self, service: &str, more: &[&str]) -> Result<&Daemon> {
        let command = self.stage.command(program(service));
        self.bare.push(service.to_owned());
        self.spawn(service, command, more, &[])
    }

    fn spawn(
        &mut self,
        service: &str,
        mut command: Command,
        more: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<&Daemon> {
        let address = self.servers.addresses.of(service).unwrap_or(([127, 0, 0, 1], 0).into());
        command.args(arguments(service, address)).args(more);
        if program(service) == "uwsgi" {
            let files = format!("api-paste.ini;nova.conf;{service}.conf");
            command.env("OS_NOVA_CONFIG_DIR", self.stage.folder()).env("OS_NOVA_CONFIG_FILES", files);
        }
        if self.concurrency == Concurrency::Eventlet {
            command.env("OS_NOVA_DISABLE_EVENTLET_PATCHING", "no");
        }
        command.envs(environment.iter().copied());
        self.stage.spawn_command(service, command)
    }

    /// Starts a name server for the names in [`NAMES`]. Services that are started from now on ask it.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub(crate) fn start_resolver(&mut self) -> Result<()> {
        let names =
            [("database.stage", self.mariadb().address()), ("broker.stage", self.rabbitmq().address())];
        let names = names.into_iter().filter_map(|(name, address)| match address.ip() {
            IpAddr::V4(ip) => Some((name, ip)),
            IpAddr::V6(_) => None,
        });
        self.resolver = Some(Resolver::start(self.stage.folder(), names.collect())?);
        Ok(())
    }

    /// The name server, if it was started.
    pub(crate) fn resolver(&mut self) -> &mut Option<Resolver> {
        &mut self.resolver
    }

    /// The message bus.
    pub fn rabbitmq(&mut self) -> &mut RabbitMq {
        &mut self.servers.rabbitmq
    }

    /// The databases, unless they are on [`Backends::PostgreSql`].
    pub fn mariadb(&mut self) -> &mut MariaDb {
        &mut self.servers.mariadb
    }

    /// The databases, on [`Backends::PostgreSql`].
    ///
    /// # Errors
    ///
    /// If they are elsewhere.
    pub fn postgresql(&mut self) -> Result<&mut PostgreSql> {
        self.servers.postgresql.as_mut().context("the databases are not on PostgreSQL")
    }

    /// Takes the quorum from the database server, on [`Backends::Galera`].
    ///
    /// # Errors
    ///
    /// If it is no cluster, or keeps its quorum.
    pub fn lose_quorum(&mut self) -> Result<()> {
        let arbitrator = self.servers.arbitrator.as_mut().context("MariaDB is no cluster")?;
        arbitrator.kill(&self.servers.mariadb)
    }

    /// Ends [`Cluster::lose_quorum`].
    ///
    /// # Errors
    ///
    /// If the cluster does not form.
    pub fn restore_quorum(&mut self) -> Result<()> {
        let arbitrator = self.servers.arbitrator.as_mut().context("MariaDB is no cluster")?;
        arbitrator.restore(&self.servers.mariadb)
    }

    /// Where the databases are.
    pub(crate) fn databases_address(&self) -> SocketAddr {
        self.servers.databases_address()
    }

    /// Leaves no space for the log of all changes of the databases, and returns when `MariaDB` waits for some.
    ///
    /// # Errors
    ///
    /// If it does not.
    pub fn overfill_mariadb(&mut self) -> Result<()> {
        self.servers.mariadb.overfill(&self.servers.disk)
    }

    /// Ends [`Cluster::overfill_mariadb`], and returns when `MariaDB` has noticed.
    ///
    /// # Errors
    ///
    /// If there was space.
    pub fn free_mariadb(&mut self) -> Result<()> {
        self.servers.mariadb.free(&self.servers.disk)
    }

    /// The database of the second cell, which has no services. The API and the scheduler look into it.
    pub fn cell2(&mut self) -> &mut MariaDb {
        &mut self.servers.cell2
    }

    /// The hypervisor of [`COMPUTE_LIBVIRT`].
    pub fn libvirtd(&mut self) -> &mut Server {
        &mut self.servers.libvirtd
    }

    /// The placement service.
    pub fn placement(&mut self) -> &mut Server {
        &mut self.servers.placement
    }

    /// The address at which a service listens for its users, as `tcp://…`; `None` if it does not listen.
    ///
    /// The API trusts the headers `X-User-Id`, `X-Project-Id` and `X-Roles`. It and the metadata API have oslo.middleware's
    /// `/healthcheck`.
    pub fn listens_at(&self, service: &str) -> Option<String> {
        self.servers.addresses.of(service).map(|address| format!("tcp://{address}"))
    }

    /// The address at which Nova expects the image service. Nobody listens there.
    pub(crate) fn images(&self) -> Option<SocketAddr> {
        self.servers.addresses.of(IMAGES)
    }

    /// The address of the API, as `tcp://…`.
    pub fn api_url(&self) -> String {
        self.listens_at(API).unwrap_or_default()
    }
}

impl Deref for Cluster {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl DerefMut for Cluster {
    fn deref_mut(&mut self) -> &mut Stage {
        &mut self.stage
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stage.clear();
    }
}
