//! systemd's watchdog, as described in sd_watchdog_enabled(3) and sd_notify(3).
//!
//! systemd passes its settings in the environment of the service; oslo.service removes them later, so they are read at
//! the start. The holder's keeper pets the watchdog, in whichever process it is: the main process may be a master that
//! runs no code of ours, such as uWSGI's. The unit then needs `NotifyAccess=all`.

use healthboard::Status;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, sendto, socket_with};
use std::io;
use std::time::Duration;

/// The watchdog is petted at least this often, even if it would wait longer.
const LONGEST_INTERVAL: Duration = Duration::from_secs(1);

/// The watchdog is petted at most this often: a shorter interval would cost a core.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// The most generations that are searched for an ancestor.
const MAX_ANCESTORS: u32 = 64;

/// The watchdog of a service with `WatchdogSec=`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Watchdog {
    manager: SocketAddrUnix,
    interval: Duration,
    petted_ns: Option<u64>,
}

impl Watchdog {
    /// `None` if there is no watchdog, or if it expects an unrelated process.
    ///
    /// Call this at the start, in a thread of the host. `WATCHDOG_PID` may be the process itself or an ancestor: if
    /// this is a forked worker, systemd has started its master.
    pub(crate) fn from_env(
        variable: impl Fn(&str) -> Option<String>,
        pid: u32,
        is_ancestor: impl Fn(u32) -> bool,
    ) -> Option<Watchdog> {
        let allows = number(&variable("WATCHDOG_USEC")?).filter(|usec| ![0, u64::MAX].contains(usec))?;
        if let Some(asked) = variable("WATCHDOG_PID") {
            let asked = u32::try_from(number(&asked)?).ok()?;
            if asked != pid && !is_ancestor(asked) {
                return None;
            }
        }
        let manager = address(&variable("NOTIFY_SOCKET")?)?;
        let half = Duration::from_micros(allows / 2);
        Some(Watchdog { manager, interval: half.clamp(SHORTEST_INTERVAL, LONGEST_INTERVAL), petted_ns: None })
    }

    /// The longest time between two calls of [`pet`](Watchdog::pet): half of what systemd allows, at most a second.
    pub(crate) fn interval(&self) -> Duration {
        self.interval
    }

    /// Notifies systemd unless all processes of the service hang. `progress` is the status of that indicator over all
    /// processes.
    ///
    /// May be called more often than the interval. Never waits; if a notification is lost, systemd acts on its own
    /// timeout.
    pub(crate) fn pet(&mut self, now_ns: u64, progress: Status) {
        if progress != Status::Fault && self.is_due(now_ns) {
            self.petted_ns = Some(now_ns);
            let _ = self.notify(b"WATCHDOG=1");
        }
    }

    /// Whether half an interval has passed. A caller that comes once in an interval may come a little early by the
    /// coarse clock, and must not wait another whole interval.
    pub(crate) fn is_due(&self, now_ns: u64) -> bool {
        let since = self.petted_ns.map(|petted| Duration::from_nanos(now_ns.saturating_sub(petted)));
        since.is_none_or(|since| since >= self.interval / 2)
    }

    /// Sends one message to systemd, over a new socket that is closed at once.
    fn notify(&self, message: &[u8]) -> io::Result<()> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        sendto(&socket, message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT, &self.manager)?;
        Ok(())
    }
}

/// Whether `pid` is an ancestor of this process.
pub(crate) fn is_ancestor(pid: u32) -> bool {
    let mut process = std::process::id();
    for _ in 0..MAX_ANCESTORS {
        match parent(process) {
            None | Some(0) => return false,
            Some(parent) if parent == pid => return true,
            Some(parent) => process = parent,
        }
    }
    false
}

/// The parent of `pid`.
pub(crate) fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may contain anything; after it come the state and the parent.
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = str::from_utf8(&stat[end + 1..]).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Parses digits only, without a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn address(socket: &str) -> Option<SocketAddrUnix> {
    match socket.strip_prefix('@') {
        Some(name) if !name.is_empty() => SocketAddrUnix::new_abstract_name(name.as_bytes()).ok(),
        None if socket.starts_with('/') => SocketAddrUnix::new(socket).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
