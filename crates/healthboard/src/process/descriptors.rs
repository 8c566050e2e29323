//! A descriptor table for one thread.
//!
//! Nothing that the keeper opens, neither a board's lock nor a listening socket, is ever inherited by a forked child or an
//! executed program, closed by a host that closes everything, or counted against the host's descriptors. The reverse holds
//! too: the keeper sees none of the host's, which is why it cannot log by itself.

use std::io;

/// Gives the calling thread a descriptor table of its own: empty but for standard streams that lead nowhere.
///
/// # Errors
///
/// Linux before 5.9, or a filter of system calls that does not know `close_range`.
pub(super) fn leave_table() -> io::Result<()> {
    // SAFETY: closes descriptors in a table that from this call on belongs to this thread, which owns none of them.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE) != 0 {
            let error = io::Error::last_os_error();
            let text = format!("cannot have descriptors of its own (Linux 5.9 or later): {error}");
            return Err(io::Error::new(error.kind(), text));
        }
        for _ in 0..3 {
            libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        }
    }
    Ok(())
}

/// Closes all descriptors of this thread's own table but the standard streams.
pub(super) fn close_all() {
    // SAFETY: the caller ends the process at once, and uses none of them any more.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}
