//! The lock that decides which process serves: `endpoint.lock` in the service's directory.
//!
//! The lock belongs to the open file, which no process inherits, so the kernel frees it however its holder dies. Once a
//! second the holder sets the file's modification time, which is called its *beat*. It distinguishes a frozen holder from
//! one that works (see [`frozen`](crate::frozen)). A frozen holder is replaced by means of a new file with the same name. A
//! beat is a time stamp rather than content: it needs no space on a full disk, and reading it needs no descriptor.
//!
//! A process whose lock file no longer has the name is no longer the holder. It checks that once a second. Until then two
//! processes may serve, which does no harm: they give the same answers, from the same boards.

use crate::entry::{Identity, temporary};
use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
    flock, fstat, futimens, openat, renameat, statat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::OsStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

/// The name of the lock file in the service's directory.
const FILE: &str = "endpoint.lock";

/// The lock, held.
#[derive(Debug)]
pub(crate) struct Lock {
    file: OwnedFd,
}

/// The sign of life of a holder. It changes with each beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beat {
    /// There is no lock file. A working holder makes it again within a second.
    Missing,
    /// The file, and its modification time in seconds and nanoseconds.
    At(Identity, i64, u64),
}

impl Beat {
    /// The newest beat.
    ///
    /// # Errors
    ///
    /// The beat cannot be read, which says nothing about the holder.
    pub(crate) fn read(directory: BorrowedFd<'_>) -> io::Result<Beat> {
        match retry_on_intr(|| statat(directory, FILE, AtFlags::SYMLINK_NOFOLLOW)) {
            Ok(stat) => Ok(Beat::At(Identity::of(&stat), stat.st_mtime, stat.st_mtime_nsec)),
            Err(Errno::NOENT) => Ok(Beat::Missing),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Lock {
    /// Takes the lock; `None` if another process has it.
    pub(crate) fn try_take(directory: BorrowedFd<'_>) -> io::Result<Option<Lock>> {
        Lock::try_hold(directory, open(directory, OsStr::new(FILE))?)
    }

    /// Takes the lock on a file that had the name when it was opened. `None` if it no longer has the name.
    fn try_hold(directory: BorrowedFd<'_>, file: OwnedFd) -> io::Result<Option<Lock>> {
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        }
        let lock = Lock { file };
        if !lock.has_the_name(directory)? {
            return Ok(None);
        }
        // A process that cannot set a beat still serves.
        let _ = lock.beat();
        Ok(Some(lock))
    }

    /// Takes over from a frozen holder with a new lock file. The frozen process keeps the lock on the old file. `seen` is
    /// the beat for which it counts as frozen. If the beat has changed, some holder works, and this returns `None`.
    pub(crate) fn take_from_frozen(directory: BorrowedFd<'_>, seen: Beat) -> io::Result<Option<Lock>> {
        let name = temporary(OsStr::new(FILE));
        let file = open(directory, &name)?;
        let take = || {
            retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive))?;
            if Beat::read(directory)? != seen {
                return Ok(false);
            }
            renameat(directory, &name, directory, FILE)?;
            Ok(true)
        };
        let taken: io::Result<bool> = take();
        if !matches!(taken, Ok(true)) {
            let _ = unlinkat(directory, &name, AtFlags::empty());
        }
        Ok(taken?.then_some(Lock { file }))
    }

    /// Whether this process is still the holder. A removed file is made again.
    ///
    /// # Errors
    ///
    /// The file cannot be checked, which is no reason to stop serving.
    pub(crate) fn is_held(&mut self, directory: BorrowedFd<'_>) -> io::Result<bool> {
        if self.has_the_name(directory)? {
            return Ok(true);
        }
        match Lock::try_take(directory)? {
            Some(lock) => *self = lock,
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Sets a new beat.
    ///
    /// # Errors
    ///
    /// The beat cannot be set. The standbys will count this holder as frozen and one will replace it; until then it
    /// serves.
    pub(crate) fn beat(&self) -> io::Result<()> {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let same = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };
        let times = Timestamps { last_access: same, last_modification: now };
        Ok(retry_on_intr(|| futimens(&self.file, &times))?)
    }

    fn has_the_name(&self, directory: BorrowedFd<'_>) -> io::Result<bool> {
        let ours = retry_on_intr(|| fstat(&self.file))?;
        match retry_on_intr(|| statat(directory, FILE, AtFlags::SYMLINK_NOFOLLOW)) {
            Ok(named) => Ok(Identity::of(&ours) == Identity::of(&named)),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn open(directory: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file =
        retry_on_intr(|| openat(directory, name, flags, Mode::from_raw_mode(0o600))).map_err(|errno| {
            let error = io::Error::from(errno);
            let what = match errno {
                Errno::LOOP | Errno::ISDIR | Errno::NXIO => "it is not a regular file; remove it".to_owned(),
                Errno::ACCESS => format!("{error}; remove what another user has left"),
                _ => error.to_string(),
            };
            io::Error::new(error.kind(), format!("cannot open `{}`: {what}", name.display()))
        })?;
    if !is_regular(&fstat(&file)?) {
        let why = format!("cannot open `{}`: it is not a regular file; remove it", name.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(file)
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

#[cfg(test)]
mod tests;
