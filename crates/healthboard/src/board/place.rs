//! The directory of a service's boards, held by a descriptor.
//!
//! The directory is checked once, and everything in it is reached from its descriptor and never through a link. So a
//! user who may rename a directory above it, or replace it by a link, cannot redirect an access.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Error, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The directory of a service's boards, held open.
#[derive(Debug)]
pub struct Place {
    fd: OwnedFd,
    path: PathBuf,
}

impl Place {
    /// Opens the directory `service` in the runtime directory `runtime`, for a process that keeps a board there. Creates
    /// both if they are missing, and checks that no other user may change them.
    ///
    /// # Errors
    ///
    /// The error names the directory, what was found and what was expected.
    pub(crate) fn make(runtime: &Path, service: &str) -> io::Result<Place> {
        match rustix::fs::mkdir(runtime, Mode::from_raw_mode(0o750)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(missing(runtime, e)),
        }
        let fd = open_directory(rustix::fs::CWD, runtime, OFlags::empty()).map_err(|e| wrong(runtime, e))?;
        let user = rustix::process::geteuid().as_raw();
        let found = rustix::fs::fstat(&fd).map_err(|e| wrong(runtime, e))?;
        // The owner could replace the service's directory, and so could everybody with write access if the sticky bit is
        // not set.
        let shared = found.st_mode & 0o022 != 0 && found.st_mode & 0o1000 == 0;
        if ![user, 0].contains(&found.st_uid) || shared {
            let expected =
                format!("a directory of uid {user} or 0 that nobody else may write to, unless it is sticky");
            return Err(refused(runtime, &found, &expected));
        }
        let path = runtime.join(service);
        match rustix::fs::mkdirat(&fd, service, Mode::from_raw_mode(0o750)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(missing(&path, e)),
        }
        let fd = open_directory(&fd, Path::new(service), OFlags::NOFOLLOW).map_err(|e| wrong(&path, e))?;
        let found = rustix::fs::fstat(&fd).map_err(|e| wrong(&path, e))?;
        if found.st_uid != user || found.st_mode & 0o022 != 0 {
            let expected = format!("a directory of uid {user} that nobody else may write to");
            return Err(refused(&path, &found, &expected));
        }
        Ok(Place { fd, path })
    }

    /// Opens an existing directory for a reader. Owner and mode are not checked.
    ///
    /// # Errors
    ///
    /// It does not exist, is not a directory, is a symbolic link, or may not be read.
    pub fn open(path: &Path) -> io::Result<Place> {
        let fd = open_directory(rustix::fs::CWD, path, OFlags::NOFOLLOW)?;
        Ok(Place { fd, path: path.to_owned() })
    }

    /// Another descriptor of the same directory.
    ///
    /// # Errors
    ///
    /// The process has no descriptors left.
    pub fn try_clone(&self) -> io::Result<Place> {
        Ok(Place { fd: self.fd.try_clone()?, path: self.path.clone() })
    }

    /// Writes a file with this content under this name. Readers see the complete file or the previous one. Of two processes
    /// that write the same name at the same time, the later one wins.
    ///
    /// # Errors
    ///
    /// Errors of the file system. The previous file of that name stays then.
    pub(crate) fn write_whole(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        // For a moment two holders may write. What a killed one leaves behind is swept by the next.
        let temporary = format!(".{name}.{}.tmp", std::process::id());
        self.remove(&temporary);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.fd, &temporary, flags, Mode::from_raw_mode(0o640))?;
        let written = File::from(file).write_all(bytes);
        let named = written.and_then(|()| {
            rustix::fs::renameat(&self.fd, &temporary, &self.fd, name).map_err(io::Error::from)
        });
        if named.is_err() {
            self.remove(&temporary);
        }
        named
    }

    /// Removes a file if it exists. Best effort: otherwise the holder removes it later.
    pub(crate) fn remove(&self, name: &str) {
        let _ = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty());
    }

    /// The path by which it was opened. It may lead elsewhere by now.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The descriptor of the directory.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether the path still leads to this directory. `true` if that cannot be determined.
    pub(crate) fn is_found(&self) -> bool {
        let Ok(ours) = rustix::fs::fstat(&self.fd) else { return true };
        match rustix::fs::statat(rustix::fs::CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino),
            Err(errno) => !matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP),
        }
    }
}

/// The name of the file that says where the threads of a process stand, by the name of its board.
pub(crate) fn stacks_name(board: &str) -> String {
    format!("{}.stacks", board.strip_suffix(".board").unwrap_or(board))
}

impl AsFd for Place {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd()
    }
}

fn open_directory(at: impl AsFd, path: &Path, more: OFlags) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | more, Mode::empty())
}

fn refused(path: &Path, found: &Stat, expected: &str) -> Error {
    let (uid, mode) = (found.st_uid, found.st_mode & 0o7777);
    let what = format!("found a directory of uid {uid} with mode {mode:04o}, expected {expected}");
    named(path, &what, ErrorKind::PermissionDenied)
}

fn missing(path: &Path, errno: Errno) -> Error {
    let error = Error::from(errno);
    let what = format!("{error}; make its parent directory, or set `runtime_dir` to another directory");
    named(path, &what, error.kind())
}

fn wrong(path: &Path, errno: Errno) -> Error {
    let error = Error::from(errno);
    let found = rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    match found.map(|found| FileType::from_raw_mode(found.st_mode)) {
        Ok(FileType::Symlink) => named(path, "found a symbolic link, expected a directory", error.kind()),
        Ok(FileType::Directory) | Err(_) => named(path, &error.to_string(), error.kind()),
        Ok(_) => named(path, "found a file, expected a directory", error.kind()),
    }
}

fn named(path: &Path, what: &str, kind: ErrorKind) -> Error {
    Error::new(kind, format!("cannot keep boards in `{}`: {what}", path.display()))
}
