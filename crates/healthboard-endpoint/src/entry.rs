//! Access to files by name in an open directory: no path is resolved twice, and no link is followed.
//!
//! The address of a unix socket is a path, and `chmod` of a socket needs one too. `/proc/thread-self/fd/N` is a path to
//! the file of a descriptor of this thread, even if the file's own path has changed. It must be `thread-self`: the
//! keeper's descriptors are not those of the process.

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, chmod, fchmod, fstat, openat, renameat_with, unlinkat,
};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use rustix::process::geteuid;
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The most connections that wait to be accepted. The kernel limits it to `net.core.somaxconn`. It is large so that a flood
/// does not fill the queue between two turns of the server.
pub(crate) const BACKLOG: i32 = 4096;

/// The most bytes of a name that its temporary name contains. With prefix and suffix that fits into a file name, and into a
/// socket's address after `/proc/thread-self/fd/N/`.
const MAX_REPEATED_NAME: usize = 48;

/// The number of digits in the random part of a temporary name.
const RANDOM_DIGITS: usize = 16;

/// The identity of a file, independent of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    pub(crate) fn of(stat: &Stat) -> Identity {
        Identity { device: stat.st_dev, inode: stat.st_ino }
    }

    /// The identity of the file of this name in the directory; a link is not followed.
    pub(crate) fn named(directory: impl AsFd, name: &OsStr) -> io::Result<Identity> {
        Ok(Identity::of(&rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?))
    }
}

/// A file opened by its name in a directory. Later changes of the name do not affect it.
#[derive(Debug)]
pub(crate) struct Entry {
    file: OwnedFd,
    stat: Stat,
}

impl Entry {
    /// Opens the file of this name, without reading it or following a link.
    pub(crate) fn open(directory: impl AsFd, name: &OsStr) -> io::Result<Entry> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(directory, name, flags, Mode::empty())?;
        let stat = fstat(&file)?;
        Ok(Entry { file, stat })
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity::of(&self.stat)
    }

    pub(crate) fn is_socket(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::Socket
    }

    /// Connects to this socket. Does not wait: if the socket's queue is full, the error is `AGAIN`.
    pub(crate) fn connect(&self) -> Result<OwnedFd, Errno> {
        let socket = unix_socket()?;
        connect(&socket, &SocketAddrUnix::new(self.path())?)?;
        Ok(socket)
    }

    /// Sets exactly this mode.
    pub(crate) fn set_mode(&self, mode: u32) -> io::Result<()> {
        if self.stat.st_mode & 0o7777 != mode {
            chmod(self.path(), Mode::from_raw_mode(mode))?;
        }
        Ok(())
    }

    fn path(&self) -> String {
        format!("/proc/thread-self/fd/{}", self.file.as_raw_fd())
    }
}

/// A listening unix socket under a temporary name.
#[derive(Debug)]
pub(crate) struct NewSocket<'d> {
    socket: OwnedFd,
    temporary: Temporary<'d>,
    identity: Identity,
}

/// Why a new socket did not get its name.
#[derive(Debug)]
pub(crate) enum NotPlaced {
    /// Another file has taken the name in the meantime.
    Taken,
    Failed(io::Error),
}

impl<'d> NewSocket<'d> {
    /// Makes a listening socket with this mode, to be named `name` later. Its mode is never wider, whatever the umask.
    pub(crate) fn listen(directory: BorrowedFd<'d>, name: &OsStr, mode: u32) -> io::Result<NewSocket<'d>> {
        let socket = unix_socket()?;
        // Limits the file to this mode, whatever the umask.
        fchmod(&socket, Mode::from_raw_mode(mode))?;
        let name = temporary(name);
        let mut address = format!("/proc/thread-self/fd/{}/", directory.as_raw_fd()).into_bytes();
        address.extend_from_slice(name.as_bytes());
        bind(&socket, &SocketAddrUnix::new(&*address)?)?;
        let temporary = Temporary { directory, name };
        let entry = Entry::open(directory, &temporary.name)?;
        if !entry.is_socket() || entry.stat.st_uid != geteuid().as_raw() {
            return Err(io::Error::other("another process replaced the new socket while it was made"));
        }
        // Adds the rights that the umask has removed.
        entry.set_mode(mode)?;
        listen(&socket, BACKLOG)?;
        Ok(NewSocket { socket, temporary, identity: entry.identity() })
    }

    /// Gives the socket its name. No other file may have the name except `stale`, which is removed.
    pub(crate) fn place(
        mut self,
        name: &OsStr,
        stale: Option<Identity>,
    ) -> Result<(OwnedFd, Identity), NotPlaced> {
        let renamed = match stale {
            None => self.temporary.rename(name, RenameFlags::NOREPLACE),
            Some(_) => self.temporary.rename(name, RenameFlags::EXCHANGE),
        };
        match (renamed, stale) {
            (Ok(()), None) => {}
            (Ok(()), Some(stale)) => {
                let directory = self.temporary.directory;
                if !Identity::named(directory, &self.temporary.name).is_ok_and(|found| found == stale) {
                    // The file that has the name now is a different one and must not be removed.
                    let back = self.temporary.rename(name, RenameFlags::EXCHANGE);
                    if back.is_err() {
                        self.temporary.name.clear();
                    }
                    return Err(NotPlaced::Taken);
                }
            }
            // The stale file no longer exists.
            (Err(Errno::NOENT), Some(_)) => return self.place(name, None),
            (Err(Errno::EXIST), None) => return Err(NotPlaced::Taken),
            // The file system does not support these flags, so the name is checked once more right before the rename.
            (Err(Errno::INVAL | Errno::NOSYS), _) => {
                match (Identity::named(self.temporary.directory, name), stale) {
                    (Ok(found), Some(stale)) if found == stale => {}
                    (Err(error), _) if error.kind() == io::ErrorKind::NotFound => {}
                    _ => return Err(NotPlaced::Taken),
                }
                self.temporary.rename(name, RenameFlags::empty()).map_err(|e| NotPlaced::Failed(e.into()))?;
            }
            (Err(errno), _) => return Err(NotPlaced::Failed(errno.into())),
        }
        // A stale file has the temporary name now, and is removed when that is dropped.
        Ok((self.socket, self.identity))
    }

    /// Gives the socket this name, replacing any file.
    pub(crate) fn replace(self, name: &OsStr) -> io::Result<(OwnedFd, Identity)> {
        self.temporary.rename(name, RenameFlags::empty())?;
        Ok((self.socket, self.identity))
    }
}

/// A temporary name in a directory. The file of that name is removed when this is dropped.
#[derive(Debug)]
struct Temporary<'d> {
    directory: BorrowedFd<'d>,
    name: OsString,
}

impl Temporary<'_> {
    fn rename(&self, name: &OsStr, flags: RenameFlags) -> Result<(), Errno> {
        renameat_with(self.directory, &self.name, self.directory, name, flags)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        let _ = unlinkat(self.directory, &self.name, AtFlags::empty());
    }
}

/// A unix stream socket that does not block.
fn unix_socket() -> Result<OwnedFd, Errno> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

/// A temporary name derived from `name`, different each time.
pub(crate) fn temporary(name: &OsStr) -> OsString {
    let mut temporary = temporary_prefix(name);
    let random = RandomState::new().hash_one(std::process::id());
    temporary.extend_from_slice(format!("{random:0width$x}.tmp", width = RANDOM_DIGITS).as_bytes());
    OsString::from_vec(temporary)
}

/// Whether a socket was bound by [`NewSocket::listen`] for this name.
pub(crate) fn is_temporary_of(bound: &[u8], name: &OsStr) -> bool {
    let file = bound.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let random = file.strip_prefix(&*temporary_prefix(name)).and_then(|rest| rest.strip_suffix(b".tmp"));
    random.is_some_and(|random| random.len() == RANDOM_DIGITS && random.iter().all(u8::is_ascii_hexdigit))
}

fn temporary_prefix(name: &OsStr) -> Vec<u8> {
    let name = name.as_bytes();
    [b".", &name[..name.len().min(MAX_REPEATED_NAME)], b"."].concat()
}

#[cfg(test)]
mod tests;
