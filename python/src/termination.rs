//! A goodbye from a process that is ended by `SIGTERM` and does not handle it.
//!
//! Nothing else would run: neither exit handlers nor Python. Whoever sends the signal has ordered the end, so it is not a
//! death. The process ends by the signal as before. Python's own view of the signal stays "default", and a handler that the
//! program sets replaces this one. A program that the process executes gets the default action, as the kernel resets it.

use std::{mem, ptr};

/// Sets the handler, unless the program handles the signal, or ignores it. The first process of a pid namespace, whom the
/// default action does not end, gets none.
pub(crate) fn say_goodbye_on_sigterm() {
    if std::process::id() == 1 {
        return;
    }
    // SAFETY: both actions are valid for the calls; zero is a valid value of each of their fields. The handler is safe in a
    // signal handler. Another thread that sets a handler at this moment may lose it to ours: Python sets them in the main
    // thread, before or after the call.
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

/// Does the work with all signals blocked in this thread, but those that a thread causes itself.
///
/// A process that is ended in the middle of getting its board would leave one without a goodbye. And some hosts, such as uWSGI's
/// workers, end the process in a signal handler, as if that were safe: while this thread allocates memory, it never ends.
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
    // SAFETY: safe in a signal handler. The process ends here.
    unsafe { libc::raise(signal) };
}
