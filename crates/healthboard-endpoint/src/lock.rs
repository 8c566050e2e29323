//! Who serves: the process that holds the lock on the file `endpoint.lock` of the service's directory.
//!
//! The kernel frees the lock when its holder dies, in whatever way. The holder writes the time into the file once a second,
//! so that a holder that is frozen can be told from one that works; such a one loses its place to a new file of the same
//! name. Whoever holds a file that no longer has the name is not the holder any more: that is looked at once a second. For
//! that long two processes may serve, which does no harm: they answer alike, from the same boards.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Without a beat for longer than this, the holder counts as frozen.
pub(crate) const FROZEN: Duration = Duration::from_secs(3);

/// The lock, held.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Takes the lock if nobody has it.
    pub(crate) fn try_take(directory: &Path) -> io::Result<Option<Lock>> {
        let path = directory.join("endpoint.lock");
        let file = open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(e)) => return Err(e),
        }
        let lock = Lock { file, path };
        if !lock.has_the_name() {
            return Ok(None);
        }
        lock.beat()?;
        Ok(Some(lock))
    }

    /// Takes the place of a holder that is frozen, and keeps the lock on its file.
    pub(crate) fn take_from_frozen(directory: &Path) -> io::Result<Lock> {
        let path = directory.join("endpoint.lock");
        let temporary = directory.join(format!(".endpoint-{}.tmp", std::process::id()));
        let _ = std::fs::remove_file(&temporary);
        let file = open(&temporary)?;
        file.lock()?;
        let lock = Lock { file, path };
        lock.beat()?;
        std::fs::rename(&temporary, &lock.path)?;
        Ok(lock)
    }

    /// Whether this process is still the holder. A file that somebody removed is put back.
    pub(crate) fn is_held(&mut self) -> io::Result<bool> {
        if self.has_the_name() {
            return Ok(true);
        }
        let Some(directory) = self.path.parent() else { return Ok(false) };
        match Lock::try_take(directory)? {
            Some(lock) => *self = lock,
            None => return Ok(false),
        }
        Ok(true)
    }

    /// Writes down that the holder works.
    pub(crate) fn beat(&self) -> io::Result<()> {
        self.file.write_all_at(&healthboard::now_ns().to_ne_bytes(), 0)
    }

    fn has_the_name(&self) -> bool {
        let same = |a: Metadata, b: Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
        match (self.file.metadata(), self.path.symlink_metadata()) {
            (Ok(ours), Ok(named)) => same(ours, named),
            _ => false,
        }
    }
}

/// How long ago the holder wrote down that it works; `None` where it has not yet.
pub(crate) fn silence(directory: &Path) -> Option<Duration> {
    let mut beat = [0; 8];
    let file = File::open(directory.join("endpoint.lock")).ok()?;
    file.read_exact_at(&mut beat, 0).ok()?;
    Some(Duration::from_nanos(healthboard::now_ns().saturating_sub(u64::from_ne_bytes(beat))))
}

fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        let found = format!("`{}` is no regular file; remove it", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, found));
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
