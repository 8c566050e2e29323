//! Signals that tell a process to end.
//!
//! If the program does not handle `SIGTERM`, nothing would run, neither exit handlers nor Python. The sender of the signal has
//! ordered the end, so it does not count as a death: our handler says goodbye, and the process still ends by the signal. If
//! the program handles such a signal, ours runs before its handler, and notes that whatever status the process exits with
//! then, it was told to.
//!
//! Python's own view of a signal stays what it is, and a handler that the program sets replaces ours until this is called
//! again. A program that the process executes gets the default action, since `exec` resets it.

use crate::ending;
use libc::{c_int, sighandler_t};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::{mem, ptr};

/// The signals that tell a process to end.
const SIGNALS: [c_int; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGQUIT];

/// The program's handlers of these signals, which ours call.
static HANDLERS: [AtomicUsize; SIGNALS.len()] = [const { AtomicUsize::new(0) }; SIGNALS.len()];

/// Sets the handlers. The first process of a pid namespace gets none for `SIGTERM`, because the default action does not end it.
/// Signals that the program ignores are left alone, and those of a server that embeds the interpreter.
pub(crate) fn watch_signals() {
    for (signal, handler) in SIGNALS.into_iter().zip(&HANDLERS) {
        // SAFETY: all actions are valid for the calls, and zero is a valid value of each of their fields. Our handlers are
        // async-signal-safe. If another thread sets a handler at this moment, this one may replace it. That does not happen in
        // Python, which sets handlers in the main thread, before or after this call.
        unsafe {
            let mut action: libc::sigaction = mem::zeroed();
            if libc::sigaction(signal, ptr::null(), &mut action) != 0 {
                continue;
            }
            match action.sa_sigaction {
                libc::SIG_DFL if signal == libc::SIGTERM && std::process::id() != 1 => {
                    action = mem::zeroed();
                    action.sa_sigaction = on_sigterm as extern "C" fn(c_int) as sighandler_t;
                    // The default action is back when the handler runs, and the signal is not blocked in it.
                    action.sa_flags = libc::SA_RESETHAND | libc::SA_NODEFER;
                }
                libc::SIG_DFL | libc::SIG_IGN => continue,
                known if known == on_told as extern "C" fn(c_int) as sighandler_t => continue,
                known if known == on_sigterm as extern "C" fn(c_int) as sighandler_t => continue,
                _ if action.sa_flags & libc::SA_SIGINFO != 0 || ending::is_served() => continue,
                // Another handler than before may call ours when it is done, and ours must not call it again.
                theirs if ![0, theirs].contains(&handler.load(Relaxed)) => continue,
                theirs => {
                    handler.store(theirs, Relaxed);
                    action.sa_sigaction = on_told as extern "C" fn(c_int) as sighandler_t;
                }
            }
            libc::sigaction(signal, &action, ptr::null_mut());
        }
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

extern "C" fn on_told(signal: c_int) {
    ending::told();
    let theirs = SIGNALS.iter().zip(&HANDLERS).find(|(known, _)| **known == signal);
    if let Some(theirs) = theirs.map(|(_, handler)| handler.load(Relaxed)).filter(|theirs| *theirs != 0) {
        // SAFETY: it is a handler that the program has set for this signal, without `SA_SIGINFO`.
        let theirs: extern "C" fn(c_int) = unsafe { mem::transmute(theirs) };
        theirs(signal);
    }
}

extern "C" fn on_sigterm(signal: c_int) {
    healthboard::goodbye_in_signal_handler();
    // SAFETY: `raise` is async-signal-safe. The process ends here.
    unsafe { libc::raise(signal) };
}
