//! What a process says of its end: a goodbye if it ends in good order, and nothing if it fails.
//!
//! A process ends in good order if it was told to end, or if it exits with status 0. An uncaught exception and any other
//! status are a death, as they are a failure for systemd.

use crate::{guard, termination};
use pyo3::pyfunction;
use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// Whether this process was told to end.
static IS_TOLD: AtomicBool = AtomicBool::new(false);

/// Whether a server runs this process that ends its interpreter in an exit handler of its own, as uWSGI does.
static IS_SERVED: AtomicBool = AtomicBool::new(false);

/// The number of stamps, one a second, during which a program is assumed to be loading.
const STAMPS_OF_A_START: u32 = 30;

/// The number of further stamps at which this process registers its exit handler again.
static STAMPS_LEFT: AtomicU32 = AtomicU32::new(0);

/// Says that this process was told to end: still alive, no longer ready.
#[pyfunction]
pub(crate) fn drain() {
    IS_TOLD.store(true, Relaxed);
    guard::guarded((), healthboard::drain);
}

/// Says that the interpreter of this process begins to end. If it never comes to its end, the process counts as stopped.
#[pyfunction]
pub(crate) fn drain_interpreter() {
    guard::guarded((), healthboard::drain);
}

/// Says that this process ends in good order.
#[pyfunction]
pub(crate) fn goodbye() {
    guard::guarded((), || termination::with_signals_blocked(healthboard::goodbye));
}

/// Makes the process drain before the exit handlers run that are registered while the program is loaded, such as uWSGI's,
/// which ends the interpreter.
#[pyfunction]
pub(crate) fn drain_first_at_exit() {
    IS_SERVED.store(true, Relaxed);
    STAMPS_LEFT.store(STAMPS_OF_A_START, Relaxed);
}

/// Registers the exit handler again while the program is loaded: the newest handler runs first.
pub(crate) fn stamped() {
    if STAMPS_LEFT.load(Relaxed) > 0 {
        STAMPS_LEFT.fetch_sub(1, Relaxed);
        drain_at_exit();
    }
}

/// Makes this process drain before its interpreter ends, if a server runs it. That may take long or never complete: a second
/// signal, from uWSGI's master in addition to the one from systemd, can interrupt it.
pub(crate) fn drain_at_exit() {
    extern "C" fn drain_first() {
        drain();
    }
    if IS_SERVED.load(Relaxed) {
        // SAFETY: `drain` does not need the interpreter. If there is no room for the handler, the process does not drain.
        unsafe { libc::atexit(drain_first) };
    }
}

/// Makes this process say goodbye when it exits in good order, even if its interpreter does not end, as in uWSGI's master or
/// a busy worker.
pub(crate) fn say_goodbye_at_exit() {
    extern "C" fn at_exit(status: c_int, _: *mut c_void) {
        if status == 0 || IS_TOLD.load(Relaxed) || IS_SERVED.load(Relaxed) {
            goodbye();
        } else {
            guard::guarded((), healthboard::crash);
        }
    }
    // SAFETY: `at_exit` does not need the interpreter. If there is no room for the handler, the process says no goodbye.
    unsafe { on_exit(at_exit, std::ptr::null_mut()) };
}

unsafe extern "C" {
    /// Of glibc: like `atexit`, and the handler gets the status. <https://man7.org/linux/man-pages/man3/on_exit.3.html>
    fn on_exit(handler: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
}
