//! Keeps the host alive when its board is cut short.
//!
//! A store to a mapped page beyond the end of its file raises `SIGBUS`, which would kill the service. The handler here
//! maps private memory in place of the board, and the store succeeds. The keeper notices within a second and makes a new
//! file. Any other `SIGBUS` is passed to the previous handler.

use super::layout::{Board, SIZE};
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The most services in a process.
pub(crate) const MAX_SERVICES: usize = 16;

/// The addresses of the boards that this process writes, by the number of the service. Each is one word, so no ordering
/// is needed. A handler that sees an outdated address passes the signal on.
static GUARDED: [AtomicUsize; MAX_SERVICES] = [const { AtomicUsize::new(0) }; MAX_SERVICES];
/// The previous handler of the signal: its address and its flags. They are written before the handler here is installed.
/// There is no lock that a forked child could inherit in a locked state.
static PREVIOUS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
/// Whether the newest `SIGBUS` was a fault that is not ours, and was passed on.
static PASSED_ON: AtomicBool = AtomicBool::new(false);

/// Guards the board of this service from now on.
pub(crate) fn guard(service: usize, board: &'static Board) {
    GUARDED[service].store(std::ptr::from_ref(board) as usize, Relaxed);
    // SAFETY: the structures are valid, and the handler is async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        let mut previous: libc::sigaction = MaybeUninit::zeroed().assume_init();
        libc::sigaction(libc::SIGBUS, std::ptr::null(), &mut previous);
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        if previous.sa_sigaction != action.sa_sigaction {
            PREVIOUS[0].store(previous.sa_sigaction, Relaxed);
            PREVIOUS[1].store(previous.sa_flags as usize, Relaxed);
            libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut());
        }
    }
}

extern "C" fn handle(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo with SA_SIGINFO. A signal that was sent has a sender and no address.
    let (address, is_sent, sender) =
        unsafe { ((*info).si_addr() as usize, (*info).si_code <= 0, (*info).si_pid()) };
    let boards = GUARDED.iter().map(|board| board.load(Relaxed));
    let hit = |board: &usize| *board != 0 && (*board..*board + SIZE).contains(&address) && !is_sent;
    if let Some(board) = boards.into_iter().find(hit) {
        // SAFETY: this thread's own errno, which the interrupted code may be about to read.
        let errno = unsafe { *libc::__errno_location() };
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: replaces exactly the mapping that `create::map` made and that is never unmapped. mmap is a bare system
        // call, so it is safe in a handler.
        let replaced = unsafe { libc::mmap(board as *mut libc::c_void, SIZE, protection, flags, -1, 0) };
        if replaced != libc::MAP_FAILED {
            // SAFETY: as above.
            unsafe { *libc::__errno_location() = errno };
            return;
        }
    }
    // A handler that was set after ours, such as Python's `faulthandler`, prints, puts ours back, and sends the signal again.
    // SAFETY: plain system call.
    let is_sent_again = is_sent && PASSED_ON.load(Relaxed) && sender == unsafe { libc::getpid() };
    PASSED_ON.store(!is_sent, Relaxed);
    let [previous, flags] = [&PREVIOUS[0], &PREVIOUS[1]].map(|word| word.load(Relaxed));
    match previous {
        libc::SIG_IGN if is_sent => {}
        libc::SIG_DFL | libc::SIG_IGN => default(signal, is_sent),
        _ if is_sent_again => default(signal, is_sent),
        // SAFETY: the host installed this function with these flags, so it has this signature.
        action => unsafe {
            if flags as libc::c_int & libc::SA_SIGINFO != 0 {
                let action: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    std::mem::transmute(action);
                action(signal, info, context);
            } else {
                let action: extern "C" fn(libc::c_int) = std::mem::transmute(action);
                action(signal);
            }
        },
    }
}

/// Restores the default action, which ends the process: when the faulting instruction runs again, or by the signal sent once more,
/// which waits until the handler returns.
fn default(signal: libc::c_int, is_sent: bool) {
    // SAFETY: sigaction and raise are async-signal-safe, and the structure is valid.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = libc::SIG_DFL;
        libc::sigaction(signal, &action, std::ptr::null_mut());
        if is_sent {
            libc::raise(signal);
        }
    }
}
