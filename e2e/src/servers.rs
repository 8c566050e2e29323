//! The servers that Nova needs, each private to one cluster, and their faults.

mod disk;
mod galera;
mod libvirtd;
mod mariadb;
mod network;
mod placement;
mod postgresql;
mod rabbitmq;
mod relay;
mod resolver;
mod server;

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

pub(crate) use disk::Disk;
pub(crate) use galera::Arbitrator;
pub(crate) use libvirtd::libvirtd;
pub use mariadb::MariaDb;
pub(crate) use mariadb::PASSWORD;
pub(crate) use placement::placement;
pub(crate) use postgresql::FOLDER as POSTGRESQL;
pub use postgresql::PostgreSql;
pub use rabbitmq::RabbitMq;
pub(crate) use rabbitmq::Resource;
pub(crate) use relay::Relay;
pub(crate) use resolver::Resolver;
pub use server::Server;

const FIRST_PORT: u16 = 16_384;
const PORT_COUNT: u16 = 16_000;

/// A free port on loopback that stays free while its server is stopped.
///
/// It is below 32768, where the kernel's ports for clients begin. A client that tries to reach its own port would be connected to
/// itself.
pub(crate) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..PORT_COUNT {
        // Relaxed: it only matters that no two callers get the same number.
        let number = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        // Concurrent processes should begin at different ports.
        let port = FIRST_PORT + ((process::id() * 16 + number) % u32::from(PORT_COUNT)) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port from {FIRST_PORT} to {} is free", FIRST_PORT + PORT_COUNT - 1)
}
