//! The bytes of a connection, plain or within TLS.

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
    /// Receives some bytes. Returns 0 at the end of the stream.
    pub(crate) fn receive(&mut self, socket: &OwnedFd, buffer: &mut [u8]) -> rustix::io::Result<usize> {
        match self {
            Transport::Plain => receive(socket, buffer),
            #[cfg(feature = "agent")]
            Transport::Tls(session) => session.receive(socket, buffer),
        }
    }

    /// Takes some of the bytes to send, and returns how many.
    pub(crate) fn send(&mut self, socket: &OwnedFd, bytes: &[u8]) -> rustix::io::Result<usize> {
        match self {
            Transport::Plain => transmit(socket, bytes),
            #[cfg(feature = "agent")]
            Transport::Tls(session) => session.send(socket, bytes),
        }
    }

    /// Sends the bytes that were taken and not sent yet.
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

    /// Whether there are bytes to send, which may be those of the transport itself, such as a handshake.
    pub(crate) fn has_unsent(&self) -> bool {
        match self {
            Transport::Plain => false,
            #[cfg(feature = "agent")]
            Transport::Tls(session) => session.has_unsent(),
        }
    }

    /// Whether bytes were received that [`receive`](Transport::receive) has not returned yet. The reactor does not report
    /// them.
    pub(crate) fn has_received(&mut self) -> bool {
        match self {
            Transport::Plain => false,
            #[cfg(feature = "agent")]
            Transport::Tls(session) => session.has_received(),
        }
    }

    /// Announces the end of this direction, if the protocol has a message for that.
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

/// Receives from the socket.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    loop {
        match recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((count, _)) => return Ok(count),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends to the socket. Raises no signal if the peer is gone.
fn transmit(socket: &OwnedFd, bytes: &[u8]) -> rustix::io::Result<usize> {
    loop {
        match send(socket, bytes, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent,
        }
    }
}
