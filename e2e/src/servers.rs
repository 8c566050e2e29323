//! The servers that Nova needs, each private to one cluster, and what can happen to them.

mod libvirtd;
mod mariadb;
mod network;
mod placement;
mod rabbitmq;
mod server;

use std::net::TcpListener;

use anyhow::{Context, Result};

pub(crate) use libvirtd::libvirtd;
pub use mariadb::MariaDb;
pub(crate) use mariadb::PASSWORD;
pub(crate) use placement::placement;
pub use rabbitmq::RabbitMq;
pub use server::Server;

/// A port on loopback that nobody uses.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot find a free port")?;
    Ok(listener.local_addr()?.port())
}
