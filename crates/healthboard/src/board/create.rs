//! Creates a board. Readers see a complete board or none.
//!
//! The file is made under a temporary name, locked, written to its end, mapped, and then renamed. A creator that is killed
//! at any step leaves at most an unlocked temporary file, which the holder removes.
//!
//! A board that was cut short, removed or replaced gets a new file, which is mapped at the same address. Recording threads
//! keep their pointer, and the evidence that is left is copied.

use super::layout::{Board, Fixed, SIZE, word};
use super::lock;
use super::sync::Ordering::Relaxed;
use crate::board::place::Place;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};

/// A board on disk that this process writes.
pub(crate) struct Published {
    pub(crate) board: &'static Board,
    name: String,
    /// Holds the lock. Dropping it declares the writer dead.
    file: File,
}

/// Makes the board of this process in the service's directory. If `over` is given, the new board takes its address and
/// its content.
///
/// # Errors
///
/// Errors of the file system, with the directory and the step that failed. A full file system is an error here and not a
/// `SIGBUS` later.
pub(crate) fn publish(place: &Place, fixed: &Fixed, over: Option<&'static Board>) -> io::Result<Published> {
    let (file, name) = make(place, fixed.pid)?;
    let temporary = temporary(&name);
    let name = format!("{name}.board");
    let made = fill(place, &temporary, &file, fixed, over).and_then(|board| {
        let renamed = rustix::fs::renameat(place.fd(), &temporary, place.fd(), &name);
        step("name", place, renamed)?;
        Ok(board)
    });
    match made {
        Ok(board) => Ok(Published { board, name, file }),
        Err(error) => {
            // Best effort; otherwise the holder removes it.
            let _ = rustix::fs::unlinkat(place.fd(), &temporary, AtFlags::empty());
            Err(error)
        }
    }
}

impl Published {
    /// Its name in the directory.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether readers of the directory still see what is recorded: the file has its name and its length, its header is
    /// unchanged, and the mapped memory belongs to it. Writes `now_ns` to the header. Costs three system calls.
    ///
    /// # Errors
    ///
    /// The file cannot be examined, for instance because the process has another user now. The board is not lost then.
    pub(crate) fn is_intact(&self, place: &Place, fixed: &Fixed, now_ns: u64) -> io::Result<bool> {
        let named = match rustix::fs::statat(place.fd(), &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(false),
            named => step("look at", place, named)?,
        };
        let ours = step("look at", place, self.file.metadata())?;
        if (named.st_dev, named.st_ino) != (ours.dev(), ours.ino()) || ours.len() < SIZE as u64 {
            return Ok(false);
        }
        self.board.header[word::KEPT_NS].store(now_ns, Relaxed);
        let mut bytes = [0; (word::KEPT_NS + 1) * 8];
        let expected = fixed.words();
        let mut found = bytes_read(&self.file, &mut bytes);
        let same = expected.iter().all(|word| found.next() == Some(*word));
        Ok(same && found.last() == Some(now_ns))
    }
}

fn bytes_read<'a>(file: &File, bytes: &'a mut [u8]) -> impl Iterator<Item = u64> + 'a {
    let read = file.read_at(bytes, 0).unwrap_or(0);
    bytes[..read].chunks_exact(8).map(|c| u64::from_ne_bytes(c.try_into().unwrap_or_default()))
}

fn fill(
    place: &Place,
    temporary: &str,
    file: &File,
    fixed: &Fixed,
    over: Option<&'static Board>,
) -> io::Result<&'static Board> {
    // The old content is copied only if its header is unchanged: overwritten bytes are no evidence.
    let kept = over.filter(|board| {
        board.header.iter().zip(fixed.words()).all(|(word, expected)| word.load(Relaxed) == expected)
    });
    let bytes: Vec<u8> = match kept {
        Some(board) => board.words().iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect(),
        None => vec![0; SIZE],
    };
    // The bytes are written rather than only allocated, so that every file system reserves the space now.
    step("write", place, file.write_all_at(&bytes, 0))?;
    for (i, value) in fixed.words().into_iter().enumerate() {
        step("write", place, file.write_all_at(&value.to_ne_bytes(), i as u64 * 8))?;
    }
    // From here on the group may read it. Before the file is locked it must not: a member could lock it first.
    let readable = std::fs::Permissions::from_mode(0o640);
    step("set the mode of", place, file.set_permissions(readable))?;
    // Mapped through a second open file: a mapping keeps its open file, and with it a lock, alive in forked children.
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let second = rustix::fs::openat(place.fd(), temporary, flags, Mode::empty());
    let second = step("open", place, second)?;
    step("map", place, map(Some(&second.into()), over))
}

/// Makes an empty, locked file. Also returns the name, without suffix, of the board that it is to become. A sweep that
/// runs between creating and locking takes the file for a leftover and removes it; then this function starts again.
fn make(place: &Place, pid: u32) -> io::Result<(File, String)> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        // Each attempt uses a new name: a sweep that still has the previous file open would remove this one by its name.
        let name = format!("{pid}-{:016x}", nonce());
        let file = rustix::fs::openat(place.fd(), temporary(&name), flags, Mode::from_raw_mode(0o600));
        let file = File::from(step("create", place, file)?);
        if step("lock", place, lock::try_take(&file))? && step("look at", place, file.metadata())?.nlink() > 0
        {
            return Ok((file, name));
        }
        // A sweep has removed it, or is about to.
        let _ = rustix::fs::unlinkat(place.fd(), temporary(&name), AtFlags::empty());
    }
}

fn temporary(name: &str) -> String {
    format!(".{name}.tmp")
}

/// Maps a file of [`SIZE`] bytes, or private memory if there is none, in the place of `over` if given. The mapping is
/// never unmapped, because a thread may be recording.
pub(crate) fn map(file: Option<&File>, over: Option<&'static Board>) -> io::Result<&'static Board> {
    let (flags, fd) = match file {
        Some(file) => (libc::MAP_SHARED, file.as_raw_fd()),
        None => (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
    };
    let (flags, at) = match over {
        Some(board) => (flags | libc::MAP_FIXED, std::ptr::from_ref(board).cast_mut().cast()),
        None => (flags, std::ptr::null_mut()),
    };
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice, or exactly in the place of one that this function made and
    // that is used as atomics only.
    let address = unsafe { libc::mmap(at, SIZE, protection, flags, fd, 0) };
    if address == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: SIZE zeroed or file bytes, page-aligned, never unmapped; `Board` is nothing but atomics, for which every bit
    // pattern is valid and which others may change at any time. If the file is cut short, `sigbus` puts memory in its place.
    Ok(unsafe { &*address.cast::<Board>() })
}

/// The identity of this boot, by which boards from before a reboot are recognised. Zeroes if it cannot be read.
pub(crate) fn boot_id() -> [u64; 2] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let half = |range| digits.get(range).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0);
    [half(0..16), half(16..32)]
}

/// A random number that identifies a board; never 0.
pub(crate) fn nonce() -> u64 {
    let mut bytes = [0; 8];
    // SAFETY: the buffer is valid for its length. Where the call fails, the clock below still differs.
    unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    (u64::from_ne_bytes(bytes) ^ super::clock::now_ns()).max(1)
}

/// Adds the step and the directory to an error. The file is not named, because its name differs each time: a repeated
/// error is thus logged once.
fn step<T, E: Into<io::Error>>(what: &str, place: &Place, result: Result<T, E>) -> io::Result<T> {
    result.map_err(|e| {
        let error: io::Error = e.into();
        let path = place.path().display();
        io::Error::new(error.kind(), format!("cannot {what} a board in `{path}`: {error}"))
    })
}
