//! The servers that Nova needs, each private to one cluster, and what can happen to them.

mod libvirtd;
mod mariadb;
mod network;
mod placement;
mod rabbitmq;
mod server;

use std::net::TcpListener;
use std::process;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

pub(crate) use libvirtd::libvirtd;
pub use mariadb::MariaDb;
pub(crate) use mariadb::PASSWORD;
pub(crate) use placement::placement;
pub use rabbitmq::RabbitMq;
pub use server::Server;

const FIRST_PORT: u16 = 16_384;
const PORTS: u16 = 16_000;

/// A port on loopback that nobody uses, and that nobody gets while its server is stopped.
///
/// The kernel gives clients ports from 32768 on. One of them might be the port that it tries to reach, and the client would then
/// be connected with itself.
pub(crate) fn free_port() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in 0..PORTS {
        // Relaxed: only that no two callers get the same number matters.
        let number = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        // Two processes that do this at the same time should not begin with the same port.
        let port = FIRST_PORT + ((process::id() * 16 + number) % u32::from(PORTS)) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port from {FIRST_PORT} on is free")
}
