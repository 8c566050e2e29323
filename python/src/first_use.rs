//! The first recording in a process, seen from Python: it starts what stamps `progress`.
//!
//! A page that the kernel wipes in a forked child says whether it has been seen; no fork handler has to run, and the parent's
//! threads, which the child has not inherited, are started there again by whoever records first.

use crate::guard;
use pyo3::prelude::*;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::*};

/// Not zero once it has been seen in this process. Null while health is off.
static SEEN: AtomicPtr<AtomicU32> = AtomicPtr::new(ptr::null_mut());

/// Not in this process, but in those that it forks.
const ELSEWHERE: u32 = 2;

static CALLBACK: OnceLock<Py<PyAny>> = OnceLock::new();

/// Has [`look`] call this, if not `here` then only in forked children; `false` where it cannot, or where it was armed before.
pub(crate) fn arm(callback: Py<PyAny>, here: bool) -> bool {
    let Some(page) = map_wiped_on_fork() else { return false };
    // SAFETY: the page is this function's until it is stored below.
    unsafe { &*page }.store(if here { 0 } else { ELSEWHERE }, Relaxed);
    if CALLBACK.set(callback).is_err() {
        return false;
    }
    // Release pairs with the Acquire in `look`: who finds the page finds the callback.
    SEEN.store(page, Release);
    true
}

/// Has [`look`] call it in this process, too.
pub(crate) fn allow() {
    // SAFETY: null, or a page that is never unmapped.
    if let Some(seen) = unsafe { SEEN.load(Acquire).as_ref() } {
        let _ = seen.compare_exchange(ELSEWHERE, 0, Relaxed, Relaxed);
    }
}

/// To be called before each recording, by a thread that is attached to the interpreter and has no exception set.
#[inline]
pub(crate) fn look(py: Python<'_>) {
    // SAFETY: null, or a page that is never unmapped.
    if let Some(seen) = unsafe { SEEN.load(Acquire).as_ref() }
        && seen.load(Relaxed) == 0
    {
        call(py, seen);
    }
}

#[cold]
fn call(py: Python<'_>, seen: &AtomicU32) {
    // Before the call, which may record something itself.
    seen.store(1, Relaxed);
    let Some(callback) = CALLBACK.get() else { return };
    match callback.call0(py).and_then(|started| started.is_truthy(py)) {
        Ok(true) => (),
        Ok(false) => seen.store(0, Relaxed),
        Err(error) => guard::trouble(&format!("cannot stamp `progress`: {error}")),
    }
}

fn map_wiped_on_fork() -> Option<*mut AtomicU32> {
    let (length, protection) = (4096, libc::PROT_READ | libc::PROT_WRITE);
    // SAFETY: a new private mapping of zeroes, of which zero is the state to start from.
    unsafe {
        let page =
            libc::mmap(ptr::null_mut(), length, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0);
        let usable = page != libc::MAP_FAILED && libc::madvise(page, length, libc::MADV_WIPEONFORK) == 0;
        usable.then(|| page.cast())
    }
}
