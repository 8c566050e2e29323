//! Listening at paths. The directory must be one in which no other user can replace the socket, and nothing but a stale
//! socket is ever replaced.

use super::{Listener, refused};
use crate::entry::{Entry, Identity, NewSocket, NotPlaced, is_temporary_of};
use crate::peer::Peer;
use crate::trust::open_directory;
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::net::{SocketAddrUnix, getpeername, getsockname};
use std::ffi::{OsStr, OsString};
use std::io::{self, Error, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The longest path in a socket's address. A longer one could be bound through a descriptor, but no client could
/// connect to it.
const MAX_PATH: usize = 107;

/// The number of attempts to bind while other processes change the same path.
const MAX_ATTEMPTS: u32 = 3;

/// The place of a unix socket.
#[derive(Debug)]
pub(crate) struct Place {
    directory: OwnedFd,
    name: OsString,
    path: PathBuf,
    /// The identity of the socket file.
    identity: Identity,
}

impl Place {
    /// The place of a socket that another process bound for this path. `None` if it is no longer there.
    pub(super) fn inherited(path: &Path, socket: impl AsFd, mode: u32) -> io::Result<Option<Place>> {
        let (directory, name) = open_parent(path)?;
        let entry = match Entry::open(&directory, &name) {
            Ok(entry) if entry.is_socket() => entry,
            _ => return Ok(None),
        };
        // The file was renamed after it was bound. Both ends of a connection still have the name under which it was bound.
        let own = SocketAddrUnix::try_from(getsockname(&socket)?)?;
        let is_here = match entry.connect() {
            Ok(probe) => getpeername(&probe)?.is_some_and(|peer| SocketAddrUnix::try_from(peer) == Ok(own)),
            // The queue is full, so some process listens here. If the inherited socket was made for this path, it is taken
            // over: otherwise its queue would never be emptied.
            Err(Errno::AGAIN) => own.path_bytes().is_some_and(|bound| is_temporary_of(bound, &name)),
            Err(_) => false,
        };
        if !is_here {
            return Ok(None);
        }
        entry.set_mode(mode)?;
        Ok(Some(Place { directory, name, path: path.to_owned(), identity: entry.identity() }))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the path still leads to this socket.
    pub(super) fn is_reachable(&self) -> bool {
        let named = Identity::named(&self.directory, &self.name);
        named.is_ok_and(|found| found == self.identity) && self.is_on_the_path()
    }

    /// Whether the path still leads to this directory. The path is only compared, never used.
    fn is_on_the_path(&self) -> bool {
        let opened = fstat(&self.directory).map(|stat| (stat.st_dev, stat.st_ino));
        let named = std::fs::metadata(parent(&self.path)).map(|found| (found.dev(), found.ino()));
        matches!((opened, named), (Ok(opened), Ok(named)) if opened == named)
    }
}

/// Binds under a temporary name and renames when the socket is ready. So a client that finds the socket can connect, and the
/// socket never has a wider mode than `mode`.
pub(super) fn bind_unix(path: &Path, mode: u32) -> io::Result<Listener> {
    let length = path.as_os_str().len();
    if length > MAX_PATH {
        let why = format!("`{}` has {length} bytes; a socket's path has at most {MAX_PATH}", path.display());
        return Err(Error::new(ErrorKind::InvalidInput, why));
    }
    let (directory, name) = open_parent(path)?;
    for _ in 0..MAX_ATTEMPTS {
        let stale = check_vacant(&directory, &name, path)?;
        let socket = NewSocket::listen(directory.as_fd(), &name, mode).map_err(|e| cannot_make(path, &e))?;
        match socket.place(&name, stale) {
            Ok((socket, identity)) => {
                let place = Place { directory, name, path: path.to_owned(), identity };
                return Ok(Listener::Unix { listener: socket.into(), place });
            }
            Err(NotPlaced::Taken) => {}
            Err(NotPlaced::Failed(error)) => {
                return Err(refused(&error, format!("cannot put a socket at `{}`: {error}", path.display())));
            }
        }
    }
    let why = format!("`{}` keeps changing; another service has the same path", path.display());
    Err(Error::new(ErrorKind::AddrInUse, why))
}

/// The directory of a socket, open and checked, and the socket's name in it.
fn open_parent(path: &Path) -> io::Result<(OwnedFd, OsString)> {
    let Some(name) = path.file_name() else {
        let why = format!("`{}` is not the path of a socket; expected a name at its end", path.display());
        return Err(Error::new(ErrorKind::InvalidInput, why));
    };
    Ok((open_directory(parent(path))?, name.to_owned()))
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

/// Checks that the name is free or belongs to a stale socket, whose identity is returned.
fn check_vacant(directory: impl AsFd, name: &OsStr, path: &Path) -> io::Result<Option<Identity>> {
    let path = path.display();
    let entry = match Entry::open(directory, name) {
        Ok(entry) => entry,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(refused(&e, format!("cannot look at `{path}`: {e}"))),
    };
    if !entry.is_socket() {
        let why = format!("`{path}` exists and is not a socket; move it away or choose another path");
        return Err(Error::new(ErrorKind::AlreadyExists, why));
    }
    let owner = match entry.connect() {
        Err(Errno::CONNREFUSED) => return Ok(Some(entry.identity())),
        Ok(probe) => Peer::of(&probe).ok().and_then(|peer| peer.pid).map(describe),
        // Its queue is full, it is of another type, or this user may not connect.
        Err(_) => None,
    };
    let owner = owner.unwrap_or_else(|| "another process".to_owned());
    Err(Error::new(
        ErrorKind::AddrInUse,
        format!(
            "{owner} serves `{path}`; choose another path; in an option `uri`, {{binary}} stands for the service"
        ),
    ))
}

fn cannot_make(path: &Path, error: &Error) -> Error {
    let directory = parent(path).display();
    // Without `/proc` a socket in an open directory cannot be bound.
    if error.kind() == ErrorKind::NotFound && !Path::new("/proc/thread-self/fd").exists() {
        return refused(
            error,
            format!("cannot make a socket in `{directory}`: there is no `/proc`; mount it"),
        );
    }
    refused(error, format!("cannot make a socket in `{directory}`: {error}; make it writable for this user"))
}

fn describe(pid: u32) -> String {
    match std::fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} (`{}`)", healthboard::scrub(&name, 32).trim()),
        Err(_) => format!("process {pid}"),
    }
}
