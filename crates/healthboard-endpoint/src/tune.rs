//! Options of a TCP listening socket that make its connections cheaper and their answers quicker.

use rustix::net::sockopt::set_tcp_nodelay;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// For how many seconds the kernel holds back a connection without a request.
const DEFER_SECONDS: libc::c_int = 1;

/// Call this for every listening socket. If an option cannot be set, connections only cost more. Unix sockets have neither
/// option.
pub(crate) fn tune(listener: impl AsFd) {
    // Connections inherit TCP_NODELAY from the listening socket. Without it the second of two pipelined answers would wait
    // until the peer has acknowledged the first.
    let _ = set_tcp_nodelay(&listener, true);
    // With TCP_DEFER_ACCEPT a connection is accepted when its request has arrived, which saves four of nine system calls of
    // a probe. A connection without a request is accepted a second later. Meanwhile it takes a place in the kernel's SYN
    // queue. Only with SYN cookies does a full queue not keep others out.
    if has_syn_cookies() {
        let _ = defer_accept(&listener);
    }
}

fn has_syn_cookies() -> bool {
    let setting = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_syncookies").unwrap_or_default();
    ["1", "2"].contains(&setting.trim())
}

fn defer_accept(listener: impl AsFd) -> io::Result<()> {
    let seconds = DEFER_SECONDS;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the option is an int, which is alive for the call; the descriptor is borrowed for as long.
    let result = unsafe {
        libc::setsockopt(
            listener.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_accepted_when_its_request_is_there() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        tune(&listener);
        let (mut seconds, mut length): (libc::c_int, _) = (0, size_of::<libc::c_int>() as libc::socklen_t);
        // SAFETY: both are alive for the call, and the second is the size of the first.
        let result = unsafe {
            libc::getsockopt(
                listener.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_DEFER_ACCEPT,
                (&raw mut seconds).cast(),
                &raw mut length,
            )
        };
        assert_eq!((result, seconds > 0), (0, has_syn_cookies()));
    }
}
