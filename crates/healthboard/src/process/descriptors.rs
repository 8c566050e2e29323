//! A descriptor table for one thread.
//!
//! The keeper's descriptors are a board's lock, the listening sockets and so on. No forked child and no executed program
//! inherits them. A host that closes all descriptors does not close them, and they do not use up the host's table. In
//! turn the keeper sees none of the host's descriptors, so it cannot log.

use std::io;

/// Gives the calling thread a descriptor table of its own. It is empty except for the standard streams: `/dev/null`, or
/// where there is none, descriptors that cannot be read or written.
///
/// # Errors
///
/// Linux is older than 5.9, or a seccomp filter refuses `close_range`.
pub(super) fn leave_table() -> io::Result<()> {
    // SAFETY: from this call on the table belongs to this thread alone, and no value in this thread owns a descriptor yet.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE) != 0 {
            let error = io::Error::last_os_error();
            let text =
                format!("cannot make a descriptor table for its thread (needs Linux 5.9 or later): {error}");
            return Err(io::Error::new(error.kind(), text));
        }
        for _ in 0..3 {
            if libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) == -1 {
                libc::epoll_create1(0);
            }
        }
    }
    Ok(())
}

/// Closes all descriptors of this thread's own table except the standard streams.
pub(super) fn close_all() {
    // SAFETY: the caller ends the process at once and no longer uses any of the descriptors.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
}
