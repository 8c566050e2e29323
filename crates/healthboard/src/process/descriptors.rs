//! A descriptor table for one thread.
//!
//! The keeper's descriptors, such as a board's lock and the listening sockets, are never inherited by a forked child or
//! an executed program, not closed by a host that closes all descriptors, and not counted against the host's limit. In
//! turn the keeper sees none of the host's descriptors, so it cannot log.

use std::io;

/// Gives the calling thread a descriptor table of its own: empty except for standard streams on `/dev/null`.
///
/// # Errors
///
/// Linux is older than 5.9, or a seccomp filter refuses `close_range`.
pub(super) fn leave_table() -> io::Result<()> {
    // SAFETY: closes descriptors in a table that from this call on belongs to this thread, which owns none of them.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE) != 0 {
            let error = io::Error::last_os_error();
            let text =
                format!("cannot make a descriptor table for its thread (needs Linux 5.9 or later): {error}");
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
    // SAFETY: the caller ends the process at once, and no longer uses any of them.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}
