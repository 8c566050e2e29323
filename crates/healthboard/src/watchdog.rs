//! systemd's watchdog, as sd_watchdog_enabled(3) and sd_notify(3) describe it.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// What systemd wants to hear again and again of a service with `WatchdogSec=`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Watchdog {
    socket: String,
    allows: Duration,
    /// Who is to say it; without, the process that health was started in.
    pid: Option<u32>,
}

impl Watchdog {
    /// `None` where nobody watches. To be asked before the service forgets what systemd has told it, as oslo.service does.
    pub(crate) fn from_env() -> Option<Watchdog> {
        Watchdog::from(|name| env::var(name).ok())
    }

    fn from(variable: impl Fn(&str) -> Option<String>) -> Option<Watchdog> {
        let allows = variable("WATCHDOG_USEC")?.parse().ok().filter(|usec| *usec > 0)?;
        let socket = variable("NOTIFY_SOCKET").filter(|path| path.starts_with(['/', '@']))?;
        let pid = variable("WATCHDOG_PID").map(|pid| pid.parse().unwrap_or_default());
        Some(Watchdog { socket, allows: Duration::from_micros(allows), pid })
    }

    /// Half of what it allows, as systemd recommends.
    pub(crate) fn interval(&self) -> Duration {
        self.allows / 2
    }

    /// Says that the service progresses, if it does and if it is for this process to say. `starter` is the process that
    /// health was started in.
    pub(crate) fn pet(&self, starter: u32, progresses: impl FnOnce() -> bool) {
        if self.pid.unwrap_or(starter) == std::process::id() && progresses() {
            // A manager that does not listen is not this service's trouble, and it will act by itself.
            let _ = self.send(b"WATCHDOG=1");
        }
    }

    fn send(&self, message: &[u8]) -> io::Result<()> {
        // One for each message: it could not be kept from a host that closes all descriptors, or from its children.
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let address = match self.socket.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&self.socket)?,
        };
        socket.send_to_addr(message, &address).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::id;

    fn watchdog(variables: &[(&str, &str)]) -> Option<Watchdog> {
        let value = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Watchdog::from(value)
    }

    #[test]
    fn nobody_watches_unless_both_time_and_socket_are_given() {
        assert_eq!(watchdog(&[]), None);
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "3000000")]), None);
        assert_eq!(watchdog(&[("NOTIFY_SOCKET", "/run/s")]), None);
        for bad in ["0", "-1", "soon", ""] {
            assert_eq!(watchdog(&[("WATCHDOG_USEC", bad), ("NOTIFY_SOCKET", "/run/s")]), None, "{bad}");
        }
        assert_eq!(watchdog(&[("WATCHDOG_USEC", "1"), ("NOTIFY_SOCKET", "relative")]), None);
        let half = watchdog(&[("WATCHDOG_USEC", "3000000"), ("NOTIFY_SOCKET", "/run/s")]).unwrap();
        assert_eq!(half.interval(), Duration::from_millis(1500));
    }

    #[test]
    fn it_is_petted_by_the_process_it_names_and_only_on_progress() {
        let name = format!("healthboard-watchdog-{}", id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let systemd = UnixDatagram::bind_addr(&address).unwrap();
        systemd.set_nonblocking(true).unwrap();
        let heard = || {
            let mut bytes = [0; 64];
            systemd.recv(&mut bytes).ok().map(|n| String::from_utf8_lossy(&bytes[..n]).into_owned())
        };
        let (path, me, another) = (format!("@{name}"), id().to_string(), (id() + 1).to_string());
        let named = |pid: &str| {
            watchdog(&[("WATCHDOG_USEC", "1"), ("NOTIFY_SOCKET", &path), ("WATCHDOG_PID", pid)]).unwrap()
        };
        let unnamed = watchdog(&[("WATCHDOG_USEC", "1"), ("NOTIFY_SOCKET", &path)]).unwrap();
        named(&me).pet(0, || true);
        assert_eq!(heard().as_deref(), Some("WATCHDOG=1"));
        unnamed.pet(id(), || true);
        assert_eq!(heard().as_deref(), Some("WATCHDOG=1"));
        named(&me).pet(id(), || false);
        named(&another).pet(id(), || true);
        unnamed.pet(id() + 1, || true);
        assert_eq!(heard(), None);
    }
}
