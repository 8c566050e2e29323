//! The call into Python at the first recording in a process: it starts the thread that stamps `progress`.
//!
//! A flag in a page that the kernel wipes in forked children says whether the call was made. So the first recording in a child
//! makes it again, and the child gets a thread of its own. No fork handler is needed.

use crate::guard;
use pyo3::prelude::*;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::*};

/// Points to [`PENDING`], [`CALLED`] or [`ONLY_IN_CHILDREN`]. Null while health is off.
static STATE: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// The call is due at the next recording. Zero, as in a wiped page.
const PENDING: u32 = 0;

/// The call was made in this process.
const CALLED: u32 = 1;

/// No call in this process, only in those it forks.
const ONLY_IN_CHILDREN: u32 = 2;

/// What to call once health has started.
static CALLBACK: OnceLock<Py<PyAny>> = OnceLock::new();

/// What to call before that: it may start health.
static BEFORE_START: OnceLock<Py<PyAny>> = OnceLock::new();

/// Sets the function that [`call_once`] calls; without `in_this_process`, only in forked children. Returns false if that is
/// impossible, or was done before.
pub(crate) fn arm(callback: Py<PyAny>, in_this_process: bool) -> bool {
    arm_with(&CALLBACK, callback, if in_this_process { PENDING } else { ONLY_IN_CHILDREN })
}

/// Sets the function that [`call_once`] calls as long as [`arm`] was not called.
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
    // Release pairs with the Acquire in `call_once`: a thread that sees the page sees the callback. A page that was there
    // before is never unmapped: another thread may be looking at it.
    STATE.store(page, Release);
    true
}

/// Lets [`call_once`] make the call in this process, too.
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
    // Before the call: the callback may record something itself.
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
