//! A goodbye from a process that does not handle `SIGTERM` and is ended by it.
//!
//! Otherwise nothing would run, neither exit handlers nor Python. The sender of the signal has ordered the end, so it does
//! not count as a death. The process still ends by the signal. Python's own view of the signal stays "default", and a
//! handler that the program sets replaces this one. A program that the process executes gets the default action, since
//! `exec` resets it.

use std::{mem, ptr};

/// Sets the handler, unless the program handles the signal or ignores it. The first process of a pid namespace gets no
/// handler, because the default action does not end it.
pub(crate) fn say_goodbye_on_sigterm() {
    if std::process::id() == 1 {
        return;
    }
    // SAFETY: both actions are valid for the calls, and zero is a valid value of each of their fields. The handler is
    // async-signal-safe. If another thread sets a handler at this moment, this one may replace it. That does not happen in
    // Python, which sets handlers in the main thread, before or after this call.
    unsafe {
        let mut current: libc::sigaction = mem::zeroed();
        if libc::sigaction(libc::SIGTERM, ptr::null(), &mut current) != 0
            || current.sa_sigaction != libc::SIG_DFL
        {
            return;
        }
        let mut ours: libc::sigaction = mem::zeroed();
        ours.sa_sigaction = on_sigterm as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // The default action is back when the handler runs, and the signal is not blocked in it.
        ours.sa_flags = libc::SA_RESETHAND | libc::SA_NODEFER;
        libc::sigaction(libc::SIGTERM, &ours, ptr::null_mut());
    }
}

/// Does the work with all signals blocked in this thread, except those that a thread causes itself.
///
/// A process that is ended while it gets its board would leave a board without a goodbye. And some hosts, such as uWSGI's
/// workers, end the process in a signal handler, although that is not safe: if the signal interrupts this thread while it
/// allocates memory, the process never ends.
pub(crate) fn with_signals_blocked<T>(work: impl FnOnce() -> T) -> T {
    // SAFETY: the sets are valid for the calls, and `sigfillset` initializes the first.
    let before = unsafe {
        let (mut signals, mut before): (libc::sigset_t, libc::sigset_t) = (mem::zeroed(), mem::zeroed());
        libc::sigfillset(&mut signals);
        for own in [libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSEGV] {
            libc::sigdelset(&mut signals, own);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &signals, &mut before);
        before
    };
    let result = work();
    // SAFETY: the set comes from the call above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut()) };
    result
}

extern "C" fn on_sigterm(signal: libc::c_int) {
    healthboard::goodbye_in_signal_handler();
    // SAFETY: `raise` is async-signal-safe. The process ends here.
    unsafe { libc::raise(signal) };
}
