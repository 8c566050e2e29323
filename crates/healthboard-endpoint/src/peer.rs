//! The process at the other end of a unix socket.

use rustix::process::geteuid;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The process that listens, or that has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// `None` for a process in a pid namespace that is not visible here: the kernel then reports 0. `rustix` assumes that a
    /// pid is never 0, so this module calls the kernel directly.
    pub(crate) pid: Option<u32>,
    pub(crate) uid: u32,
}

impl Peer {
    /// The peer of a connected socket, at the time it connected or began to listen.
    pub(crate) fn of(socket: impl AsFd) -> io::Result<Peer> {
        let mut peer = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
        let mut length = size_of::<libc::ucred>() as libc::socklen_t;
        // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes to `peer`. Any bytes are valid there.
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERCRED,
                (&raw mut peer).cast(),
                &raw mut length,
            )
        };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Peer { pid: u32::try_from(peer.pid).ok().filter(|pid| *pid > 0), uid: peer.uid })
    }

    /// Whether it may be a process of this service: one of this user, or of root.
    pub(crate) fn is_trusted(self) -> bool {
        self.uid == geteuid().as_raw() || self.uid == 0
    }
}
