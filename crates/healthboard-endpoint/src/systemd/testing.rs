//! A socket in place of systemd's.

use super::manager::Manager;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The socket, which does not block, and the manager that sends to it. Each test must use another `name`.
pub(super) fn listen(name: &str) -> (UnixDatagram, Manager) {
    let name = format!("healthboard-{name}-{}", std::process::id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    socket.set_nonblocking(true).unwrap();
    (socket, Manager::at(&format!("@{name}")).unwrap())
}

/// The next message, if there is one.
pub(super) fn received(socket: &UnixDatagram) -> Option<String> {
    let mut bytes = [0; 4096];
    socket.recv(&mut bytes).ok().map(|n| String::from_utf8(bytes[..n].to_vec()).unwrap())
}
