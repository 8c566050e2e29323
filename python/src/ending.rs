//! What a process says of its end: a goodbye if it ends in good order, and nothing if it fails.
//!
//! A process ends in good order if it was told to end, or if it exits with status 0. An uncaught exception and any other
//! status are a death, as they are a failure for systemd. So is an exit in the handler of a failure of the program itself.

use crate::{guard, termination};
use pyo3::pyfunction;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::{mem, ptr};

/// Whether this process was told to end.
static IS_TOLD: AtomicBool = AtomicBool::new(false);

/// Whether a server runs this process that embeds the interpreter, and exits as it likes: uWSGI, mod_wsgi.
static IS_SERVED: AtomicBool = AtomicBool::new(false);

/// The number of stamps, one a second, during which a program is assumed to be loading.
const STAMPS_OF_A_START: u32 = 30;

/// The number of further stamps at which this process registers its exit handler again.
static STAMPS_LEFT: AtomicU32 = AtomicU32::new(0);

/// Notes that this process was told to end. Async-signal-safe.
pub(crate) fn told() {
    IS_TOLD.store(true, Relaxed);
}

/// Whether a server runs this process.
pub(crate) fn is_served() -> bool {
    IS_SERVED.load(Relaxed)
}

/// Say that this process was told to end and is draining: still alive, no longer ready.
///
/// It then ends in good order, whatever its exit status.
#[pyfunction]
pub(crate) fn drain() {
    told();
    begin_to_end();
}

/// Say that this process begins to end, for whatever reason.
///
/// Its exit shows whether it does so in good order; if it never comes to that, it counts as stopped.
#[pyfunction]
pub(crate) fn begin_to_end() {
    guard::guarded((), healthboard::drain);
}

/// Note that a server embeds this interpreter: its exit status says nothing about the program.
#[pyfunction]
pub(crate) fn served() {
    IS_SERVED.store(true, Relaxed);
}

/// Say that this process ends in good order.
#[pyfunction]
pub(crate) fn goodbye() {
    guard::guarded((), || termination::with_signals_blocked(healthboard::goodbye));
}

/// Drain at exit before the handlers run that are registered while the program is loaded.
///
/// One of uWSGI ends the interpreter.
#[pyfunction]
pub(crate) fn drain_first_at_exit() {
    STAMPS_LEFT.store(STAMPS_OF_A_START, Relaxed);
}

/// Registers the exit handler again while the program is loaded: the newest handler runs first.
pub(crate) fn stamped() {
    if STAMPS_LEFT.load(Relaxed) > 0 {
        STAMPS_LEFT.fetch_sub(1, Relaxed);
        drain_at_exit();
    }
}

/// Drain in a process that exits, unless it does so because the program has failed.
#[pyfunction]
pub(crate) fn drain_as_it_exits() {
    if !is_in_handler_of_a_failure() {
        drain();
    }
}

/// Whether this thread is in the handler of a signal that it has caused itself. uWSGI exits there after a segmentation fault,
/// with the same status as after other ends. Async-signal-safe.
fn is_in_handler_of_a_failure() -> bool {
    // SAFETY: the set is valid for the calls. If there is no mask, the set is empty.
    unsafe {
        let mut blocked: libc::sigset_t = mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, ptr::null(), &mut blocked);
        // In its handler a signal is blocked, but not the others. uWSGI's threads block all.
        let failures = [libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSEGV];
        let count = failures.into_iter().filter(|signal| libc::sigismember(&blocked, *signal) == 1).count();
        count > 0 && count < failures.len()
    }
}

/// Makes this process drain before its interpreter ends, if a server runs it. That may take long or never complete: a second
/// signal, from uWSGI's master in addition to the one from systemd, can interrupt it.
pub(crate) fn drain_at_exit() {
    extern "C" fn drain_first() {
        drain_as_it_exits();
    }
    if is_served() {
        // SAFETY: `drain` does not need the interpreter. If there is no room for the handler, the process does not drain.
        unsafe { libc::atexit(drain_first) };
    }
}

/// Makes this process say goodbye when it exits in good order, even if its interpreter does not end, as in uWSGI's master or
/// a busy worker.
pub(crate) fn say_goodbye_at_exit() {
    extern "C" fn at_exit(status: c_int, _: *mut c_void) {
        if status == 0 || IS_TOLD.load(Relaxed) || (is_served() && !is_in_handler_of_a_failure()) {
            goodbye();
        } else {
            guard::guarded((), healthboard::crash);
        }
    }
    // SAFETY: `at_exit` does not need the interpreter. If there is no room for the handler, the process says no goodbye.
    unsafe { on_exit(at_exit, std::ptr::null_mut()) };
}

#[cfg(target_env = "gnu")]
unsafe extern "C" {
    /// Like `atexit`, and the handler gets the status. <https://man7.org/linux/man-pages/man3/on_exit.3.html>
    fn on_exit(handler: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
}

/// Other C libraries do not tell the status: every exit counts as one in good order.
#[cfg(not(target_env = "gnu"))]
unsafe fn on_exit(_: extern "C" fn(c_int, *mut c_void), _: *mut c_void) -> c_int {
    extern "C" fn at_exit() {
        goodbye();
    }
    // SAFETY: `goodbye` does not need the interpreter.
    unsafe { libc::atexit(at_exit) }
}
