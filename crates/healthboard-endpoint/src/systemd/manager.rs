//! The socket on which systemd takes messages from a service.

use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with};
use std::io;

/// The socket that `NOTIFY_SOCKET` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manager {
    address: SocketAddrUnix,
}

impl Manager {
    /// The socket with this path, or with this abstract name after an `@`.
    ///
    /// # Errors
    ///
    /// The address has another form. The manager of a virtual machine may have a `vsock:` address, but does not pass it to
    /// its services.
    pub(crate) fn at(socket: &str) -> Result<Manager, String> {
        let address = match socket.strip_prefix('@') {
            Some(name) if !name.is_empty() => SocketAddrUnix::new_abstract_name(name.as_bytes()).ok(),
            None if socket.starts_with('/') => SocketAddrUnix::new(socket).ok(),
            _ => None,
        };
        let expected = "expected an absolute path or `@` and an abstract name; systemd is told nothing";
        Ok(Manager { address: address.ok_or_else(|| format!("NOTIFY_SOCKET is `{socket}`, {expected}"))? })
    }

    /// Sends one message, over a new socket that is closed at once. Never waits.
    ///
    /// # Errors
    ///
    /// systemd does not listen there, or has not read the previous messages yet.
    pub(crate) fn tell(&self, message: &str) -> io::Result<()> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        sendto(&socket, message.as_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT, &self.address)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{listen, received};
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use std::time::Instant;

    #[test]
    fn a_socket_is_a_path_or_an_abstract_name() {
        assert!(Manager::at("/run/systemd/notify").is_ok() && Manager::at("@notify").is_ok());
        let long = format!("/{}", "s".repeat(108));
        for bad in ["relative", "", "@", "vsock:2:1", "vsock-stream:2:1", &long] {
            let error = Manager::at(bad).unwrap_err();
            assert!(error.starts_with(&format!("NOTIFY_SOCKET is `{bad}`, expected")), "{error}");
        }
    }

    #[test]
    fn a_manager_that_does_not_read_is_not_waited_for() {
        let (deaf, manager) = listen("deaf");
        let begin = Instant::now();
        let sent = (0..5000).filter(|_| manager.tell("WATCHDOG=1").is_ok()).count();
        assert!(begin.elapsed() < crate::testing::HANG);
        assert!(sent > 0 && sent < 5000, "{sent}");
        assert_eq!(std::iter::from_fn(|| received(&deaf)).count(), sent);
        // Nor one that has ended.
        drop(deaf);
        assert!(manager.tell("WATCHDOG=1").is_err());
    }

    #[test]
    fn a_socket_with_a_path_gets_messages_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Manager::at(path.to_str().unwrap()).unwrap().tell("READY=1").unwrap();
        assert_eq!(received(&socket).as_deref(), Some("READY=1"));
    }
}
