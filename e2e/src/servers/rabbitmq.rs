//! `RabbitMQ`, in a network of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs, io};

use anyhow::{Context, Result, ensure};

use super::Server;
use super::network::Network;

/// The server's scripts. The wrapper on `PATH` requires another user.
const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CONTROL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";
/// The nodes of a cluster: a name for messages, Erlang's name, the port. The first one may be by itself.
const NODES: [(&str, &str, u16); 3] = [
    ("rabbitmq", "rabbit@localhost", 5672),
    ("rabbitmq2", "two@localhost", 5673),
    ("rabbitmq3", "three@localhost", 5674),
];
/// `guest` may connect from our network. No other one reaches the server.
const CONFIG: &str = "loopback_users = none\nlog.file.level = warning\n";

/// What the server runs out of. It then takes no messages, while it goes on sending heartbeats.
#[derive(Debug, Clone, Copy)]
pub enum Resource {
    /// Its memory.
    Memory,
    /// The disk with its data.
    Disk,
}

/// `RabbitMQ`, in a network of its own that can be cut.
pub struct RabbitMq {
    // Dropped in this order.
    server: Server,
    joined: Vec<Server>,
    network: Network,
    home: PathBuf,
}

impl RabbitMq {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let network = Network::new(folder)?;
        let home = folder.join("rabbitmq");
        fs::create_dir_all(&home)?;
        fs::write(home.join("rabbitmq.conf"), CONFIG)?;
        fs::write(home.join("plugins"), "[].")?;
        let server = node(&network, &home, folder, NODES[0])?;
        Ok(Self { server, joined: Vec::new(), network, home })
    }

    /// Adds the other nodes of a cluster, and returns when all answer.
    ///
    /// # Errors
    ///
    /// If one cannot be started.
    pub(crate) fn join(&mut self, folder: &Path) -> Result<()> {
        // They are new, so they join the one that runs.
        let members = (1..).zip(NODES).map(|(number, (_, name, _))| {
            format!("cluster_formation.classic_config.nodes.{number} = {name}\n")
        });
        fs::write(self.home.join("rabbitmq.conf"), format!("{CONFIG}{}", members.collect::<String>()))?;
        for one in &NODES[1..] {
            let mut server = node(&self.network, &self.home, folder, *one)?;
            server.start()?;
            self.joined.push(server);
        }
        Ok(())
    }

    /// The addresses of all nodes.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let nodes = &NODES[..=self.joined.len()];
        nodes.iter().map(|(_, _, port)| SocketAddr::from((self.network.address(), *port))).collect()
    }

    /// The address for Nova.
    pub fn address(&self) -> SocketAddr {
        (self.network.address(), NODES[0].2).into()
    }

    /// Drops all packets: connections are neither closed nor refused.
    ///
    /// # Errors
    ///
    /// If packets cannot be dropped.
    pub fn blackhole(&mut self) -> Result<()> {
        self.network.drop_packets(true).context("cannot cut off RabbitMQ")
    }

    /// Ends [`RabbitMq::blackhole`], and returns when the server answers.
    ///
    /// # Errors
    ///
    /// If it does not answer.
    pub fn restore(&mut self) -> Result<()> {
        self.network.drop_packets(false)?;
        self.server.until_it_answers()
    }
}

impl RabbitMq {
    /// Makes the server believe that it has run out of a resource.
    ///
    /// # Errors
    ///
    /// If it cannot be told.
    pub fn exhaust(&self, resource: Resource) -> Result<()> {
        self.control(match resource {
            Resource::Memory => &["set_vm_memory_high_watermark", "0.0000001"],
            Resource::Disk => &["set_disk_free_limit", "99999GB"],
        })
    }

    /// Ends [`RabbitMq::exhaust`].
    ///
    /// # Errors
    ///
    /// If it cannot be told.
    pub fn restock(&self, resource: Resource) -> Result<()> {
        self.control(match resource {
            Resource::Memory => &["set_vm_memory_high_watermark", "0.4"],
            Resource::Disk => &["set_disk_free_limit", "50MB"],
        })
    }

    /// Ends all connections.
    ///
    /// # Errors
    ///
    /// If it cannot be told.
    pub fn end_connections(&self) -> Result<()> {
        self.control(&["close_all_connections", "maintenance"])
    }

    fn control(&self, arguments: &[&str]) -> Result<()> {
        let output = self
            .network
            .inside(CONTROL, arguments)
            .current_dir(&self.home)
            .env("HOME", &self.home)
            .env("RABBITMQ_NODENAME", NODES[0].1)
            .env("RABBITMQ_CONF_ENV_FILE", self.home.join("none"))
            .output()
            .context("cannot start rabbitmqctl")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "rabbitmqctl {} failed: {said}", arguments.join(" "));
        Ok(())
    }
}

impl Deref for RabbitMq {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for RabbitMq {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

/// One node, not started yet.
fn node(
    network: &Network,
    home: &Path,
    folder: &Path,
    (title, name, port): (&'static str, &str, u16),
) -> Result<Server> {
    let mut command = network.inside(SERVER, &[]);
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("RABBITMQ_") || name.starts_with("ERL_")) {
            command.env_remove(name);
        }
    }
    for (name, file) in [
        ("MNESIA_BASE", "mnesia"),
        ("LOG_BASE", "log"),
        ("CONFIG_FILE", "rabbitmq"),
        ("ENABLED_PLUGINS_FILE", "plugins"),
        ("CONF_ENV_FILE", "none"),
    ] {
        command.env(format!("RABBITMQ_{name}"), home.join(file));
    }
    command
        .current_dir(home)
        .env("HOME", home)
        .env("RABBITMQ_NODENAME", name)
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1")
        // The script then executes the server instead of supervising it.
        .env("RUNNING_UNDER_SYSTEMD", "true");
    let address = SocketAddr::from((network.address(), port));
    Server::new(title, command, folder, move || greets(address).is_ok())
}

/// The first exchange of AMQP 0-9-1: we send the protocol header, the server answers with a method frame.
fn greets(address: SocketAddr) -> io::Result<()> {
    let limit = Duration::from_millis(500);
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;
    let mut frame = [0];
    stream.read_exact(&mut frame)?;
    if frame == [1] { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}
