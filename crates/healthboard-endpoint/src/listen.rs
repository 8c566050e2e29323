//! Listening sockets: opened, or taken over from another process.

use healthboard::Uri;
use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::sockopt::{socket_acceptconn, socket_peercred};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind as bind_socket, connect};
use rustix::net::{getpeername, getsockname, listen, socket_with};
use std::fs::{self, Permissions};
use std::io::{self, Error, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// Connections that wait to be accepted; the kernel lowers it to `net.core.somaxconn`. A flood must not fill it before the
/// accepting loop has had its turn.
const BACKLOG: i32 = 4096;

/// The longest path in a socket's address.
const LONGEST: usize = 107;

/// A listening socket: not blocking, closed on `exec`.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        path: PathBuf,
        /// Device and inode of the socket file.
        identity: (u64, u64),
    },
}

/// Listens on all addresses of a URI.
///
/// # Errors
///
/// What was found and what to do about it. The caller names the URI.
pub(crate) fn bind(uri: &Uri, socket_mode: u32) -> io::Result<Vec<Listener>> {
    match uri {
        Uri::Tcp { .. } => bind_tcp(&uri.addresses()),
        Uri::Unix(path) => Ok(vec![bind_unix(path, socket_mode)?]),
    }
}

impl Listener {
    /// Takes over a socket that another process opened for this URI.
    ///
    /// # Errors
    ///
    /// It is no listening socket, or one that is not to be reached by this URI any more.
    pub(crate) fn from_fd(uri: &Uri, socket: OwnedFd) -> io::Result<Listener> {
        let elsewhere =
            || Error::new(ErrorKind::InvalidInput, format!("the inherited socket does not listen on {uri}"));
        if !socket_acceptconn(&socket)? {
            return Err(elsewhere());
        }
        match uri {
            Uri::Tcp { .. } => {
                let address = SocketAddr::try_from(getsockname(&socket)?)?;
                let listener = TcpListener::from(socket);
                listener.set_nonblocking(true)?;
                if uri.addresses().contains(&address) {
                    Ok(Listener::Tcp(listener))
                } else {
                    Err(elsewhere())
                }
            }
            Uri::Unix(path) => {
                let identity = identity(path)?;
                // The file was renamed after it was bound; the name it was bound under is what both ends still know.
                let probe = unix_socket()?;
                connect(&probe, &SocketAddrUnix::new(path)?)?;
                if getpeername(&probe)? != Some(getsockname(&socket)?) {
                    return Err(elsewhere());
                }
                let listener = UnixListener::from(socket);
                listener.set_nonblocking(true)?;
                Ok(Listener::Unix { listener, path: path.clone(), identity })
            }
        }
    }

    /// Whether a client that goes by the URI still comes here: the socket file has not been removed or replaced.
    pub(crate) fn is_reachable(&self) -> bool {
        match self {
            Listener::Tcp(_) => true,
            Listener::Unix { path, identity: ours, .. } => identity(path).is_ok_and(|found| found == *ours),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Tcp(tcp) => tcp.as_fd(),
            Listener::Unix { listener, .. } => listener.as_fd(),
        }
    }
}

/// `localhost` is two addresses, of which a host may lack one.
pub(crate) fn bind_tcp(addresses: &[SocketAddr]) -> io::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    let mut missing = None;
    for address in addresses {
        match TcpListener::bind(address) {
            Ok(listener) => {
                listener.set_nonblocking(true)?;
                listen(&listener, BACKLOG)?;
                listeners.push(Listener::Tcp(listener));
            }
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::ADDRNOTAVAIL | Errno::AFNOSUPPORT) => {
                    missing = Some(refused(&error, format!("{} is no address of this host", address.ip())));
                }
                Some(Errno::ADDRINUSE) => {
                    let why = format!(
                        "{address} is in use; free it or choose another port (`ss -ltnp` shows by whom)"
                    );
                    return Err(refused(&error, why));
                }
                Some(Errno::ACCESS) => {
                    let port = address.port();
                    return Err(refused(&error, format!("port {port} is for root; choose one above 1023")));
                }
                _ => return Err(error),
            },
        }
    }
    match missing {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners),
    }
}

/// Binds under a name of its own and renames when all is ready, so that whoever finds the socket can connect, and nobody
/// can who may not.
fn bind_unix(path: &Path, mode: u32) -> io::Result<Listener> {
    let length = path.as_os_str().len();
    if length > LONGEST {
        let why = format!("`{}` has {length} bytes; a socket's path has at most {LONGEST}", path.display());
        return Err(Error::new(ErrorKind::InvalidInput, why));
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    check_directory(directory)?;
    check_vacant(path)?;

    let socket = unix_socket()?;
    // The file gets no more than this, whatever the umask.
    fchmod(&socket, Mode::from_raw_mode(mode))?;
    let temporary = temporary(path);
    bind_socket(&socket, &SocketAddrUnix::new(&temporary)?).map_err(|errno| {
        let error = Error::from(errno);
        refused(
            &error,
            format!(
                "cannot make a socket in `{}`: {error}; make it writable for this user",
                directory.display()
            ),
        )
    })?;
    let publish = || {
        // And no less.
        fs::set_permissions(&temporary, Permissions::from_mode(mode))?;
        listen(&socket, BACKLOG)?;
        let identity = identity(&temporary)?;
        fs::rename(&temporary, path)?;
        Ok(identity)
    };
    match publish() {
        Ok(identity) => Ok(Listener::Unix { listener: socket.into(), path: path.to_owned(), identity }),
        Err(error) => {
            let _ = fs::remove_file(&temporary);
            let error: Error = error;
            Err(refused(&error, format!("cannot put a socket at `{}`: {error}", path.display())))
        }
    }
}

/// Whoever may write to a directory may put another socket in the place of ours.
fn check_directory(directory: &Path) -> io::Result<()> {
    let name = directory.display();
    let metadata = fs::metadata(directory).map_err(|e| match e.kind() {
        ErrorKind::NotFound => {
            refused(&e, format!("there is no directory `{name}`; make it (systemd: RuntimeDirectory=)"))
        }
        _ => refused(&e, format!("cannot look into `{name}`: {e}")),
    })?;
    if !metadata.is_dir() {
        return Err(Error::new(ErrorKind::NotADirectory, format!("`{name}` is no directory")));
    }
    if metadata.mode() & 0o1002 == 0o002 {
        let mode = metadata.mode() & 0o7777;
        let why =
            format!("`{name}` has mode {mode:04o}, so that anybody could replace the socket; take away o+w");
        return Err(Error::new(ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

/// Fails unless there is nothing at the path, or a socket that nobody listens on any more.
fn check_vacant(path: &Path) -> io::Result<()> {
    let name = path.display();
    let file_type = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(refused(&e, format!("cannot look at `{name}`: {e}"))),
    };
    if !file_type.is_socket() {
        let why = format!("`{name}` exists and is no socket; move it away or choose another path");
        return Err(Error::new(ErrorKind::AlreadyExists, why));
    }
    let probe = unix_socket()?;
    let owner = match connect(&probe, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED | Errno::NOENT) => return Ok(()),
        Ok(()) => socket_peercred(&probe).map(|peer| describe(peer.pid.as_raw_pid())).ok(),
        // Too busy for one more, of another kind, or not to be reached by this user.
        Err(_) => None,
    };
    let owner = owner.unwrap_or_else(|| "another process".to_owned());
    Err(Error::new(
        ErrorKind::AddrInUse,
        format!("{owner} serves `{name}`; give each service a path of its own, with {{binary}}"),
    ))
}

fn describe(pid: i32) -> String {
    match fs::read_to_string(format!("/proc/{pid}/comm")) {
        Ok(name) => format!("process {pid} (`{}`)", healthboard::scrub(&name, 32).trim()),
        Err(_) => format!("process {pid}"),
    }
}

fn unix_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?)
}

/// A name in the same directory that no other process chooses, with as many of its eight bytes as the address has room for.
fn temporary(path: &Path) -> PathBuf {
    use std::hash::{BuildHasher, RandomState};
    let mut name = format!("~{:07x}", RandomState::new().hash_one(path) >> 36);
    let taken = path.as_os_str().len() - path.file_name().map_or(0, |name| name.len());
    name.truncate(LONGEST.saturating_sub(taken).max(1));
    path.with_file_name(name)
}

/// Device and inode of what has this name.
pub(crate) fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn refused(error: &Error, why: String) -> Error {
    Error::new(error.kind(), why)
}

#[cfg(test)]
mod tests;
