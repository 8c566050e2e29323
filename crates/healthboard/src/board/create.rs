//! How a board comes into being: whole, or not at all.
//!
//! Under a temporary name the file is made, locked, allocated for real, filled; then it gets its name. Killed at any step, a
//! creator leaves at most a temporary file that nobody holds, which the holder sweeps away. The lock (`flock`) belongs to
//! the open file; the kernel drops it when the process ends in whatever way. It, not a pid, is the witness of life.

use super::layout::{Board, Fixed, SIZE};
use super::sigbus;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A board on disk that this process writes.
pub(crate) struct Published {
    pub(crate) board: &'static Board,
    /// Its name, and the file that had this name when it was published.
    pub(crate) path: PathBuf,
    identity: (u64, u64),
    /// Keeps the lock. Dropping it declares the writer dead.
    _lock: File,
}

impl Published {
    /// Whether other processes can still find it.
    pub(crate) fn is_found(path: &Path, identity: (u64, u64)) -> bool {
        path.symlink_metadata().is_ok_and(|m| (m.dev(), m.ino()) == identity && m.len() >= SIZE as u64)
    }

    pub(crate) fn identity(&self) -> (u64, u64) {
        self.identity
    }
}

/// Makes the board of this process in the service's directory.
///
/// # Errors
///
/// Of the file system, with the step that failed: no space is an error here, not a `SIGBUS` later.
pub(crate) fn publish(directory: &Path, fixed: &Fixed<'_>) -> io::Result<Published> {
    let name = format!("{}-{:016x}", fixed.pid, nonce());
    let temporary = directory.join(format!(".{name}.tmp"));
    let path = directory.join(format!("{name}.board"));
    let made = fill(&temporary, fixed).and_then(|(board, lock)| {
        step("name", &path, std::fs::rename(&temporary, &path))?;
        let metadata = lock.metadata()?;
        Ok(Published { board, identity: (metadata.dev(), metadata.ino()), path, _lock: lock })
    });
    if made.is_err() {
        // Best effort; the next creator sweeps it otherwise.
        let _ = std::fs::remove_file(&temporary);
    }
    made
}

fn fill(temporary: &Path, fixed: &Fixed<'_>) -> io::Result<(&'static Board, File)> {
    let file = make(temporary)?;
    // SAFETY: a plain system call on a descriptor we own.
    let allocated = match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, SIZE as libc::off_t) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    };
    step("allocate", temporary, allocated)?;
    // Through a second opening of the file: a mapping keeps its open file alive, in forked children too, and with it a lock.
    let second = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(temporary);
    let board = step("map", temporary, second.and_then(|file| map(Some(&file))))?;
    sigbus::guard(board);
    board.write_header(fixed);
    Ok((board, file))
}

/// An empty file, locked. A sweep that comes between the two takes it for one that was left behind, and removes it.
fn make(temporary: &Path) -> io::Result<File> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o640)
            .custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC)
            .open(temporary);
        let file = step("create", temporary, file)?;
        step("lock", temporary, file.lock())?;
        if step("look at", temporary, file.metadata())?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Maps a file of [`SIZE`] bytes, or memory of this process alone. Never unmapped: somebody may be recording.
pub(crate) fn map(file: Option<&File>) -> io::Result<&'static Board> {
    let (flags, fd) = match file {
        Some(file) => (libc::MAP_SHARED, file.as_raw_fd()),
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
    };
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice; it overlaps nothing.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), SIZE, protection, flags, fd, 0) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: SIZE zeroed or file bytes, page-aligned, never unmapped; `Board` is nothing but atomics, for which every bit
    // pattern is valid and which others may change at any time. If the file is cut short, `sigbus` puts memory in its place.
    Ok(unsafe { &*address.cast::<Board>() })
}

/// The identity of the running kernel: a board of before a reboot is not ours.
pub(crate) fn boot_id() -> [u64; 2] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let half = |range| digits.get(range).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0);
    [half(0..16), half(16..32)]
}

/// A number no other process of this pid had.
fn nonce() -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: the buffer is valid for its length. Where the call fails, the clock below still differs.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    u64::from_ne_bytes(bytes) ^ super::clock::now_ns()
}

fn step<T>(what: &str, path: &Path, result: io::Result<T>) -> io::Result<T> {
    result.map_err(|e| io::Error::new(e.kind(), format!("cannot {what} board `{}`: {e}", path.display())))
}
