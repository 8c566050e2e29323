//! Listening sockets, newly opened or taken over from another process.

mod tcp;
mod unix;

use healthboard::Uri;
use rustix::net::sockopt::{socket_acceptconn, socket_type};
use rustix::net::{SocketType, getsockname};
use std::io::{self, Error, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;

#[cfg(test)]
pub(crate) use tcp::bind_tcp;
pub(crate) use unix::Place;

/// A listening socket. It does not block and is closed on `exec`.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix { listener: UnixListener, place: Place },
}

/// Listens on all addresses of a URI.
///
/// # Errors
///
/// The error says what was found and what to do about it. The caller adds the URI.
pub(crate) fn bind(uri: &Uri, socket_mode: u32) -> io::Result<Vec<Listener>> {
    match uri {
        Uri::Tcp { .. } => tcp::bind_tcp(&uri.addresses()),
        Uri::Unix(path) => Ok(vec![unix::bind_unix(path, socket_mode)?]),
    }
}

impl Listener {
    /// Takes over a socket that another process opened for this URI.
    ///
    /// # Errors
    ///
    /// It is not a listening socket, or is no longer reachable by this URI.
    pub(crate) fn from_fd(uri: &Uri, socket: OwnedFd, socket_mode: u32) -> io::Result<Listener> {
        let elsewhere =
            || Error::new(ErrorKind::InvalidInput, format!("the inherited socket does not listen on {uri}"));
        if !socket_acceptconn(&socket)? || socket_type(&socket)? != SocketType::STREAM {
            return Err(elsewhere());
        }
        match uri {
            Uri::Tcp { .. } => {
                let address = SocketAddr::try_from(getsockname(&socket)?).map_err(|_| elsewhere())?;
                if !uri.addresses().iter().any(|asked| tcp::is_for(*asked, address)) {
                    return Err(elsewhere());
                }
                let listener = TcpListener::from(socket);
                listener.set_nonblocking(true)?;
                Ok(Listener::Tcp(listener))
            }
            Uri::Unix(path) => {
                let place = Place::inherited(path, &socket, socket_mode)?.ok_or_else(elsewhere)?;
                let listener = UnixListener::from(socket);
                listener.set_nonblocking(true)?;
                Ok(Listener::Unix { listener, place })
            }
        }
    }

    /// Whether the URI still leads to this socket, so that neither the socket file nor its directory was removed or
    /// replaced.
    pub(crate) fn is_reachable(&self) -> bool {
        match self {
            Listener::Tcp(_) => true,
            Listener::Unix { place, .. } => place.is_reachable(),
        }
    }

    /// The URI for clients. Port 0 is replaced by the port that the kernel chose.
    ///
    /// # Errors
    ///
    /// The socket's address cannot be read.
    pub(crate) fn local_uri(&self) -> io::Result<Uri> {
        match self {
            Listener::Tcp(listener) => tcp_uri(listener),
            Listener::Unix { place, .. } => Ok(Uri::Unix(place.path().to_owned())),
        }
    }
}

/// The URI of this TCP socket for clients.
pub(crate) fn tcp_uri(socket: impl AsFd) -> io::Result<Uri> {
    let address = SocketAddr::try_from(getsockname(socket)?)?;
    Ok(Uri::Tcp { host: address.ip().to_string(), port: address.port() })
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix { listener, .. } => listener.as_fd(),
        }
    }
}

/// An error of the same kind with this text.
fn refused(error: &Error, why: String) -> Error {
    Error::new(error.kind(), why)
}

#[cfg(test)]
mod tests;
