//! Listening on TCP ports.

use super::{Listener, refused};
use crate::entry::BACKLOG;
use rustix::io::Errno;
use rustix::net::listen;
use std::io::{self, Error, ErrorKind};
use std::net::{SocketAddr, TcpListener};

/// How often a port chosen by the kernel is tried until one is free on all addresses.
const MAX_PORT_ATTEMPTS: u32 = 16;

/// Listens on those of the addresses that the host has. `localhost` stands for two, of which a host may lack one. For port
/// 0, the kernel chooses one port for all addresses.
pub(crate) fn bind_tcp(addresses: &[SocketAddr]) -> io::Result<Vec<Listener>> {
    let any_port = addresses.iter().any(|address| address.port() == 0);
    for _ in 1..MAX_PORT_ATTEMPTS {
        match bind_all(addresses) {
            Err(error) if any_port && error.kind() == ErrorKind::AddrInUse => {}
            result => return result,
        }
    }
    bind_all(addresses)
}

/// Whether a socket bound to `own` serves the address `asked`.
pub(super) fn is_for(asked: SocketAddr, own: SocketAddr) -> bool {
    asked.ip() == own.ip() && (asked.port() == 0 || asked.port() == own.port())
}

fn bind_all(addresses: &[SocketAddr]) -> io::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    let mut missing = None;
    let mut chosen = 0;
    for asked in addresses {
        let mut address = *asked;
        if asked.port() == 0 {
            address.set_port(chosen);
        }
        match TcpListener::bind(address) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                listen(&listener, BACKLOG)?;
                if asked.port() == 0 {
                    chosen = listener.local_addr()?.port();
                }
                listeners.push(Listener::Tcp(listener));
            }
            Err(error) if is_no_address(&error) => {
                missing = Some(refused(&error, format!("{} is not an address of this host", address.ip())));
            }
            Err(error) => return Err(explain(error, address)),
        }
    }
    match missing {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

fn is_no_address(error: &Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT))
}

/// The usual first port that needs no privileges.
const USUAL_UNPRIVILEGED: u16 = 1024;

fn explain(error: Error, address: SocketAddr) -> Error {
    match error.kind() {
        ErrorKind::AddrInUse => {
            // `ss` finds sockets in the descriptors of processes, and a keeper's are in a table of its own.
            let why = format!(
                "{address} is in use; free it or choose another port (`ss -ltnp` shows by whom; if by nobody, another service with healthboard: `healthboard show`; services that share a file need `unix:///…/{{binary}}.sock`)"
            );
            refused(&error, why)
        }
        ErrorKind::PermissionDenied if address.port() < USUAL_UNPRIVILEGED => {
            let port = address.port();
            let why = format!(
                "port {port} needs privileges that this user does not have; choose one above 1023 (`sysctl net.ipv4.ip_unprivileged_port_start`)"
            );
            refused(&error, why)
        }
        ErrorKind::PermissionDenied => {
            let why = format!(
                "{address} is refused by a policy of this host, such as SELinux or a filter of system calls"
            );
            refused(&error, why)
        }
        _ => error,
    }
}
