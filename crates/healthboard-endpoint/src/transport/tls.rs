//! TLS over a socket that does not block, with rustls.

use super::{Transport, receive, transmit};
use rustix::io::Errno;
use rustls::{ServerConfig, ServerConnection};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The most bytes of an answer that are kept encrypted and unsent for a peer that reads slowly.
const MAX_UNSENT: usize = 16 << 10;

/// The most reads from the socket in one turn of a connection.
const MAX_READS: usize = 16;

/// The TLS configuration of new connections.
#[derive(Clone)]
pub(crate) struct Tls(pub(crate) Arc<ServerConfig>);

impl Tls {
    /// The transport of a new connection; `None` if the library refuses to make one.
    pub(crate) fn session(&self) -> Option<Transport> {
        let mut connection = ServerConnection::new(self.0.clone()).ok()?;
        connection.set_buffer_limit(Some(MAX_UNSENT));
        Some(Transport::Tls(Box::new(Session(connection))))
    }
}

/// TLS on one connection.
pub(crate) struct Session(ServerConnection);

impl Session {
    pub(super) fn receive(&mut self, socket: &OwnedFd, buffer: &mut [u8]) -> rustix::io::Result<usize> {
        for read in 0.. {
            match self.0.reader().read(buffer) {
                Ok(count) => return Ok(count),
                // Records without content could go on for ever. What is left is read in the next turn.
                Err(error) if error.kind() == ErrorKind::WouldBlock && read >= MAX_READS => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The peer has closed the socket without a close_notify.
                Err(_) => return Ok(0),
            }
            let end = match self.0.read_tls(&mut Socket(socket)) {
                Ok(count) => count == 0,
                Err(error) => return Err(errno(&error)),
            };
            let understood = self.0.process_new_packets().is_ok();
            // Sends the handshake, or an alert that says why it is refused.
            let flushed = self.flush(socket);
            match (understood, end, flushed) {
                (false, ..) => return Err(Errno::PROTO),
                (_, true, _) => return Ok(0),
                (_, _, Err(Errno::AGAIN) | Ok(())) => {}
                (_, _, Err(error)) => return Err(error),
            }
        }
        Err(Errno::AGAIN)
    }

    pub(super) fn send(&mut self, socket: &OwnedFd, bytes: &[u8]) -> rustix::io::Result<usize> {
        match self.0.writer().write(bytes) {
            // There is no room until some bytes are sent.
            Ok(0) => {
                self.flush(socket)?;
                self.0.writer().write(bytes).map_err(|error| errno(&error))
            }
            Ok(count) => Ok(count),
            Err(error) => Err(errno(&error)),
        }
    }

    pub(super) fn flush(&mut self, socket: &OwnedFd) -> rustix::io::Result<()> {
        while self.0.wants_write() {
            self.0.write_tls(&mut Socket(socket)).map_err(|error| errno(&error))?;
        }
        Ok(())
    }

    pub(super) fn has_received(&mut self) -> bool {
        self.0.process_new_packets().is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.0.wants_write()
    }

    pub(super) fn say_end(&mut self, socket: &OwnedFd) {
        self.0.send_close_notify();
        // A peer that reads too slowly gets no close_notify.
        let _ = self.flush(socket);
    }
}

/// The socket as a reader and writer for rustls.
struct Socket<'a>(&'a OwnedFd);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(receive(self.0, buffer)?)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(transmit(self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::PROTO)
}
