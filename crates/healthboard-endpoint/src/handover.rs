//! The holder passes its listening sockets to the standbys while it is alive.
//!
//! Each standby keeps a connection to the holder's socket `endpoint.sock`. The holder sends one message over it: duplicates
//! of the listening sockets, with the URI of each. When the holder dies, the connection ends, which wakes the standbys at
//! once. The next holder continues with the same sockets, on which connections may be waiting. No probe is refused.
//!
//! The message consists of `GREETING` and, for each socket, a NUL and the URI. All sockets are attached to it.

use crate::entry::{Entry, Identity, NewSocket};
use crate::listen::Listener;
use crate::peer::Peer;
use healthboard::Uri;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, accept_with, recvmsg, sendmsg,
};
use std::ffi::OsStr;
use std::io::{self, Error, ErrorKind, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

/// The most sockets in one handover.
const MAX_SOCKETS: usize = 32;

/// The most bytes of one handover. The longest URI is that of a unix socket: `unix://` and 107 bytes.
const MAX_MESSAGE: usize = GREETING.len() + MAX_SOCKETS * 128;

/// The beginning of a handover. The number changes with the format.
const GREETING: &[u8] = b"healthboard endpoint 1";

/// The name of the holder's socket in the service's directory.
const SOCKET: &str = "endpoint.sock";

/// A listening socket of an earlier holder.
#[derive(Debug)]
pub(crate) struct Inherited {
    pub(crate) uri: String,
    pub(crate) socket: OwnedFd,
}

/// The result of waiting for the holder's end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The holder has ended, or the connection to it.
    Ended,
    /// The connection is still open.
    TimedOut,
}

/// The holder's socket to which standbys connect.
#[derive(Debug)]
pub(crate) struct StandbySocket {
    /// The socket, which does not block.
    pub(crate) listener: UnixListener,
    identity: Identity,
}

impl StandbySocket {
    /// Listens for standbys, replacing the socket of any earlier holder.
    pub(crate) fn open(directory: BorrowedFd<'_>) -> io::Result<StandbySocket> {
        let name = OsStr::new(SOCKET);
        let (socket, identity) = NewSocket::listen(directory, name, 0o600)?.replace(name)?;
        Ok(StandbySocket { listener: socket.into(), identity })
    }

    /// Whether the name still leads to this socket.
    pub(crate) fn is_found(&self, directory: BorrowedFd<'_>) -> bool {
        Identity::named(directory, OsStr::new(SOCKET)).is_ok_and(|found| found == self.identity)
    }

    /// Accepts a standby, over a connection that does not block.
    ///
    /// # Errors
    ///
    /// `WouldBlock` if no standby waits, `PermissionDenied` for a process of another user.
    pub(crate) fn accept(&self) -> io::Result<(UnixStream, Peer)> {
        let stream = accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        let peer = Peer::of(&stream)?;
        if !peer.is_trusted() {
            let why = format!("a process of uid {} cannot be a standby of this service", peer.uid);
            return Err(Error::new(ErrorKind::PermissionDenied, why));
        }
        Ok((stream.into(), peer))
    }
}

impl AsFd for StandbySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Sends duplicates of these sockets to a standby, at most 32. Never waits for it.
pub(crate) fn give(to: impl AsFd, listeners: &[(Uri, Listener)]) -> io::Result<()> {
    let listeners = &listeners[..listeners.len().min(MAX_SOCKETS)];
    let mut text = GREETING.to_vec();
    for (uri, _) in listeners {
        text.push(0);
        text.extend_from_slice(uri.to_string().as_bytes());
    }
    let sockets: Vec<BorrowedFd<'_>> = listeners.iter().map(|(_, listener)| listener.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() {
        message.push(SendAncillaryMessage::ScmRights(&sockets));
    }
    sendmsg(to, &[IoSlice::new(&text)], &mut message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
}

/// Connects to the holder and receives its sockets. Waits at most `timeout`.
///
/// # Errors
///
/// `NotFound` and `ConnectionRefused` if there is no holder, `UnexpectedEof` and `ConnectionReset` if it has just
/// ended, `TimedOut` if it sends nothing, `InvalidData` if it sends no valid handover, `PermissionDenied` if it belongs
/// to another user.
pub(crate) fn take(directory: BorrowedFd<'_>, timeout: Duration) -> io::Result<(UnixStream, Vec<Inherited>)> {
    let deadline = Instant::now() + timeout;
    let socket = Entry::open(directory, OsStr::new(SOCKET))?;
    let holder = match socket.connect() {
        Err(Errno::AGAIN) => {
            // The holder's queue is full, and a non-blocking `connect` cannot be waited for.
            std::thread::sleep(timeout);
            return Err(ErrorKind::TimedOut.into());
        }
        connected => connected?,
    };
    let peer = Peer::of(&holder)?;
    if !peer.is_trusted() {
        let why =
            format!("`{SOCKET}` is served by uid {}, not the user of this service; remove it", peer.uid);
        return Err(Error::new(ErrorKind::PermissionDenied, why));
    }
    while !wait_readable(&holder, deadline.saturating_duration_since(Instant::now()))? {
        if Instant::now() >= deadline {
            return Err(ErrorKind::TimedOut.into());
        }
    }
    let inherited = receive(&holder)?;
    Ok((holder.into(), inherited))
}

/// Reads one handover. Descriptors of an invalid one are closed.
fn receive(holder: impl AsFd) -> io::Result<Vec<Inherited>> {
    let mut text = [0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_SOCKETS))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(holder, &mut [IoSliceMut::new(&mut text)], &mut message, flags)?;
    if received.bytes == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let mut sockets = Vec::new();
    for part in message.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = part {
            sockets.extend(some);
        }
    }
    let uris = parse(&text[..received.bytes]).filter(|uris| {
        uris.len() == sockets.len() && !received.flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC)
    });
    let Some(uris) = uris else {
        let why = format!(
            "`{SOCKET}` gave {} bytes and {} descriptors, expected the sockets of a process of this version; stop the \
             service's other processes",
            received.bytes,
            sockets.len()
        );
        return Err(Error::new(ErrorKind::InvalidData, why));
    };
    Ok(uris.into_iter().zip(sockets).map(|(uri, socket)| Inherited { uri, socket }).collect())
}

fn parse(text: &[u8]) -> Option<Vec<String>> {
    let uris = text.strip_prefix(GREETING)?;
    let mut parts = uris.split(|byte| *byte == 0);
    // The greeting is followed by a NUL.
    parts.next().filter(|between| between.is_empty())?;
    parts.map(|uri| String::from_utf8(uri.to_vec()).ok()).collect()
}

/// Waits at most this long for the holder's end.
pub(crate) fn wait_for_end(holder: &UnixStream, at_most: Duration) -> Wait {
    // The holder sends nothing more, so readable means the end.
    match wait_readable(holder, at_most) {
        Ok(false) => Wait::TimedOut,
        _ => Wait::Ended,
    }
}

/// Waits until there are bytes or an end to read. `false` if there are none in time, or if a signal interrupts the wait.
fn wait_readable(stream: impl AsFd, at_most: Duration) -> io::Result<bool> {
    let mut polled = [PollFd::new(&stream, PollFlags::IN)];
    let timeout =
        Timespec { tv_sec: at_most.as_secs().cast_signed(), tv_nsec: at_most.subsec_nanos().into() };
    match poll(&mut polled, Some(&timeout)) {
        Ok(0) | Err(Errno::INTR) => Ok(false),
        Ok(_) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests;
