//! The lock that says whether a board's writer is alive.
//!
//! It belongs to the open file (`F_OFD_SETLK`, fcntl(2)), so the kernel drops it however the process ends, and closing
//! another descriptor does not. It is a write lock, which needs write access to the file: a user who may only read the
//! boards cannot make a dead process look alive.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Tries to take the lock, without waiting. Returns `false` if another open file holds it.
pub(crate) fn try_take(file: &File) -> io::Result<bool> {
    let mut lock = whole_file(libc::F_WRLCK);
    match fcntl(file, libc::F_OFD_SETLK, &mut lock) {
        Ok(()) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether another open file holds the lock. Never takes a lock itself.
pub(crate) fn is_taken(file: &File) -> io::Result<bool> {
    // Tests for a read lock, which conflicts only with a write lock.
    let mut lock = whole_file(libc::F_RDLCK);
    fcntl(file, libc::F_OFD_GETLK, &mut lock)?;
    Ok(lock.l_type != libc::F_UNLCK as libc::c_short)
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    // SAFETY: zero is a valid value of every field. Length 0 is the whole file, and OFD locks require pid 0.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock
}

fn fcntl(file: &File, command: libc::c_int, lock: &mut libc::flock) -> io::Result<()> {
    loop {
        // SAFETY: a descriptor we own and a valid structure.
        if unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut *lock) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
