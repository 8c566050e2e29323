//! The bytes of a connection: as they are, or within TLS.

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::os::fd::OwnedFd;

#[cfg(feature = "agent")]
pub(crate) mod tls;

#[cfg(feature = "agent")]
use tls::Session;

/// How a connection receives and sends. No call blocks.
pub(crate) enum Transport {
    Plain,
    #[cfg(feature = "agent")]
    Tls(Box<Session>),
}

impl Transport {
    /// Receives some bytes; none at the end.
    pub(crate) fn receive(&mut self, socket: &OwnedFd, buffer: &mut [u8]) -> rustix::io::Result<usize> {
        match self {
            Transport::Plain => receive(socket, buffer),
            #[cfg(feature = "agent")]
            Transport::Tls(session) => session.receive(socket, buffer),
        }
    }

    /// Takes some bytes to send.
    pub(crate) fn send(&mut self, socket: &OwnedFd, bytes: &[u8]) -> rustix::io::Result<usize> {
        match self {
            Transport::Plain => transmit(socket, bytes),
            #[cfg(feature = "agent")]
            Transport::Tls(session) => session.send(socket, bytes),
        }
    }

    /// Sends what was taken and not sent yet.
    pub(crate) fn flush(&mut self, socket: &OwnedFd) -> rustix::io::Result<()> {
        match self {
            Transport::Plain => {
                let _ = socket;
                Ok(())
            }
            #[cfg(feature = "agent")]
            Transport::Tls(session) => session.flush(socket),
        }
    }

    /// Whether there is something to send that was not asked for by [`send`](Transport::send), such as a handshake.
    pub(crate) fn has_unsent(&self) -> bool {
        match self {
            Transport::Plain => false,
            #[cfg(feature = "agent")]
            Transport::Tls(session) => session.has_unsent(),
        }
    }

    /// Whether something was received that no [`receive`](Transport::receive) has returned yet. The socket does not say so.
    pub(crate) fn has_received(&mut self) -> bool {
        match self {
            Transport::Plain => false,
            #[cfg(feature = "agent")]
            Transport::Tls(session) => session.has_received(),
        }
    }

    /// Says that nothing more is sent, where the bytes themselves must say so.
    pub(crate) fn say_end(&mut self, socket: &OwnedFd) {
        match self {
            Transport::Plain => {
                let _ = socket;
            }
            #[cfg(feature = "agent")]
            Transport::Tls(session) => session.say_end(socket),
        }
    }
}

/// Receives from the socket itself.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    loop {
        match recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((count, _)) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends to the socket itself, without a signal if the peer is gone.
fn transmit(socket: &OwnedFd, bytes: &[u8]) -> rustix::io::Result<usize> {
    loop {
        match send(socket, bytes, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent,
        }
    }
}
