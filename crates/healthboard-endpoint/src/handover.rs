//! The listening sockets go from the holder to those who stand by, while it lives.
//!
//! Each process that stands by keeps a connection to the holder's socket `endpoint.sock`. Over it come, once, duplicates of
//! the listening sockets, with the URI of each. When the holder dies the connection ends: that wakes those who stand by at
//! once, and the next holder goes on with the very sockets on which connections were waiting. No probe is refused.

use crate::listen::{Listener, identity};
use healthboard::Uri;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// At most this many sockets are handed over.
const MOST: usize = 32;

/// Its name in the service's directory.
const SOCKET: &str = "endpoint.sock";

/// A listening socket of an earlier holder.
pub(crate) struct Inherited {
    pub(crate) uri: String,
    pub(crate) socket: OwnedFd,
}

/// What came from the connection to the holder.
pub(crate) enum Heard {
    /// The holder is gone.
    End,
    /// Nothing, for as long as asked.
    Silence,
}

/// Where those who stand by come to.
pub(crate) struct Door {
    /// Does not block.
    pub(crate) listener: UnixListener,
    path: PathBuf,
    /// Device and inode of the socket file.
    identity: (u64, u64),
}

impl Door {
    /// Listens for those who stand by, in place of any earlier holder.
    pub(crate) fn open(directory: &Path) -> io::Result<Door> {
        let (_open, place) = short(directory)?;
        let temporary = place.join(format!(".sock-{}.tmp", std::process::id()));
        let _ = std::fs::remove_file(&temporary);
        let listener = UnixListener::bind(&temporary)?;
        listener.set_nonblocking(true)?;
        let identity = identity(&temporary)?;
        std::fs::rename(&temporary, place.join(SOCKET))?;
        Ok(Door { listener, path: directory.join(SOCKET), identity })
    }

    /// Whether it is still there: not removed, and not another holder's.
    pub(crate) fn is_found(&self) -> bool {
        identity(&self.path).is_ok_and(|found| found == self.identity)
    }
}

/// Gives duplicates of these sockets to a process that stands by.
pub(crate) fn give(to: impl AsFd, listeners: &[(Uri, Listener)]) -> io::Result<()> {
    let listeners = &listeners[..listeners.len().min(MOST)];
    let names: Vec<String> = listeners.iter().map(|(uri, _)| uri.to_string()).collect();
    // A line for each socket; an empty message would look like the end.
    let text = format!("{}\n", names.join("\n"));
    let sockets: Vec<BorrowedFd<'_>> = listeners.iter().map(|(_, listener)| listener.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    if !sockets.is_empty() {
        message.push(SendAncillaryMessage::ScmRights(&sockets));
    }
    sendmsg(to, &[IoSlice::new(text.as_bytes())], &mut message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
}

/// Connects to the holder and takes what it gives. Waits at most as long as `patience` for it.
pub(crate) fn take(directory: &Path, patience: Duration) -> io::Result<(UnixStream, Vec<Inherited>)> {
    let (_open, place) = short(directory)?;
    let stream = UnixStream::connect(place.join(SOCKET))?;
    stream.set_read_timeout(Some(patience))?;
    let mut text = [0; MOST * 128];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(&stream, &mut [IoSliceMut::new(&mut text)], &mut message, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let sockets = message.drain().filter_map(|m| match m {
        RecvAncillaryMessage::ScmRights(sockets) => Some(sockets),
        _ => None,
    });
    let text = String::from_utf8_lossy(&text[..received.bytes]).into_owned();
    let inherited = sockets
        .flatten()
        .zip(text.lines())
        .map(|(socket, uri)| Inherited { uri: uri.to_owned(), socket })
        .collect();
    Ok((stream, inherited))
}

/// Waits for the holder's end, for at most this long.
pub(crate) fn listen_for_end(holder: &UnixStream, at_most: Duration) -> Heard {
    let mut polled = [PollFd::new(holder, PollFlags::IN)];
    let timeout =
        Timespec { tv_sec: at_most.as_secs().cast_signed(), tv_nsec: at_most.subsec_nanos().into() };
    match poll(&mut polled, Some(&timeout)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => Heard::Silence,
        // The holder never says anything more: readable is the end.
        _ => Heard::End,
    }
}

/// The directory by a path that fits into a socket address, however long its own is.
fn short(directory: &Path) -> io::Result<(std::fs::File, PathBuf)> {
    let open = std::fs::File::open(directory)?;
    // Of this thread: its descriptors are its own.
    let path = PathBuf::from(format!("/proc/thread-self/fd/{}", open.as_raw_fd()));
    Ok((open, path))
}
