//! The clock of the board.

/// The time of `CLOCK_MONOTONIC_COARSE` in nanoseconds. All processes of a host share this clock. Jumps of the wall clock
/// do not affect it, and it does not advance while the host is suspended. Its resolution is the kernel's tick, 1 to 10 ms.
/// Costs no system call; never fails.
#[inline]
pub fn now_ns() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to; the clock exists since Linux 2.6.32, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
