//! The call into Python at the first recording in a process. It starts the thread that stamps `progress`.
//!
//! A flag says whether the call was made. It is in a page that the kernel wipes in forked children, so the first recording
//! in a child makes the call again, and the child gets its own thread. No fork handler is needed.

use crate::guard;
use pyo3::prelude::*;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::*};

/// Points to [`PENDING`], [`CALLED`] or [`ONLY_IN_CHILDREN`]. Null while health is off.
static STATE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// The call is due at the next recording. This is zero, as in a wiped page.
const PENDING: u32 = 0;

/// The call was made in this process.
const CALLED: u32 = 1;

/// There is no call in this process, only in those that it forks.
const ONLY_IN_CHILDREN: u32 = 2;

/// The function to call once health has started.
static CALLBACK: OnceLock<Py<PyAny>> = OnceLock::new();

/// The function to call before that. It may start health.
static BEFORE_START: OnceLock<Py<PyAny>> = OnceLock::new();

/// Sets the function that [`call_once`] calls. Without `in_this_process` it is called only in forked children. Returns false
/// if no memory is left, or if a function was set before.
pub(crate) fn arm(callback: Py<PyAny>, in_this_process: bool) -> bool {
    arm_with(&CALLBACK, callback, if in_this_process { PENDING } else { ONLY_IN_CHILDREN })
}

/// Sets the function that [`call_once`] calls until [`arm`] is called.
pub(crate) fn arm_before_start(callback: Py<PyAny>) {
    arm_with(&BEFORE_START, callback, PENDING);
}

fn arm_with(slot: &OnceLock<Py<PyAny>>, callback: Py<PyAny>, state: u32) -> bool {
    let Some(page) = map_wiped_on_fork() else { return false };
    // SAFETY: only this function has the page until it is stored below.
    unsafe { &*page }.store(state, Relaxed);
    if slot.set(callback).is_err() {
        return false;
    }
    // Release pairs with the Acquire in `call_once`: a thread that sees the page also sees the callback. A previous page is
    // never unmapped, since another thread may be reading it.
    STATE.store(page, Release);
    true
}

/// Lets [`call_once`] make the call in this process as well.
pub(crate) fn allow_in_this_process() {
    // SAFETY: null, or a page that is never unmapped.
    if let Some(state) = unsafe { STATE.load(Acquire).as_ref() } {
        let _ = state.compare_exchange(ONLY_IN_CHILDREN, PENDING, Relaxed, Relaxed);
    }
}

/// Makes the call, if it is due. Every recording comes here first, in a thread that is attached to the interpreter and has
/// no exception set.
#[inline]
pub(crate) fn call_once(py: Python<'_>) {
    // SAFETY: null, or a page that is never unmapped.
    if let Some(state) = unsafe { STATE.load(Acquire).as_ref() }
        && state.load(Relaxed) == PENDING
    {
        call(py, state);
    }
}

#[cold]
fn call(py: Python<'_>, state: &AtomicU32) {
    // Stored before the call, since the callback may record something itself.
    state.store(CALLED, Relaxed);
    let Some(callback) = CALLBACK.get().or_else(|| BEFORE_START.get()) else { return };
    match callback.call0(py).and_then(|started| started.is_truthy(py)) {
        Ok(true) => (),
        Ok(false) => state.store(PENDING, Relaxed),
        Err(error) => guard::report_error(&format!("cannot stamp `progress`: {error}")),
    }
}

fn map_wiped_on_fork() -> Option<*mut AtomicU32> {
    let (length, protection) = (4096, libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: a new private mapping, whose zeroes are valid atomics.
    unsafe {
        let page =
            libc::mmap(ptr::null_mut(), length, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        let usable = page != libc::MAP_FAILED && libc::madvise(page, length, libc::MADV_WIPEONFORK) == 0;
        usable.then(|| page.cast())
    }
}
