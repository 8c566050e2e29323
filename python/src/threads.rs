//! The frames of all threads that the interpreter knows and the process has.
//!
//! Not by `faulthandler` or `sys._current_frames`: they also look at the threads of the process that this one was forked from, if it
//! was forked in C without a word to the interpreter, as uWSGI forks its workers. The stacks of those threads are gone, or
//! belong to others, and to look at them crashes the process.

use pyo3::ffi::{
    PyInterpreterState, PyInterpreterState_Get, PyThreadState, PyThreadState_Get, PyThreadState_GetFrame,
    PyThreadState_GetID,
};
use pyo3::prelude::*;
use std::sync::OnceLock;

// Not of the limited API, but of every version of Python.
unsafe extern "C" {
    fn PyInterpreterState_ThreadHead(interpreter: *mut PyInterpreterState) -> *mut PyThreadState;
    fn PyThreadState_Next(thread: *mut PyThreadState) -> *mut PyThreadState;
}

/// Threads of the process that this one was forked from. The interpreter never uses a number twice.
static ELSEWHERE: OnceLock<Vec<i64>> = OnceLock::new();

/// To be called first in a process that was forked in C: the interpreter knows threads that are not here.
#[pyfunction]
pub(crate) fn forget_other_threads(py: Python<'_>) {
    let others = others(py).map(|thread| {
        // SAFETY: a thread state of the interpreter, as this thread has the GIL.
        unsafe { PyThreadState_GetID(thread) }
    });
    let _ = ELSEWHERE.set(others.collect());
}

/// Whether the interpreter knows no thread that is not here.
pub(crate) fn are_all_here() -> bool {
    ELSEWHERE.get().is_none_or(Vec::is_empty)
}

/// The innermost frame of each other thread that runs Python, the oldest thread last.
#[pyfunction]
pub(crate) fn frames(py: Python<'_>) -> Vec<Bound<'_, PyAny>> {
    let elsewhere = ELSEWHERE.get().map_or(&[] as &[i64], Vec::as_slice);
    let frame = |thread: *mut PyThreadState| {
        // SAFETY: a thread state of the interpreter, as this thread has the GIL, and of a thread that is here.
        unsafe {
            if elsewhere.contains(&PyThreadState_GetID(thread)) {
                return None;
            }
            Bound::from_owned_ptr_or_opt(py, PyThreadState_GetFrame(thread).cast())
        }
    };
    others(py).filter_map(frame).collect()
}

/// The states of all threads but this one, the newest first.
fn others(_py: Python<'_>) -> impl Iterator<Item = *mut PyThreadState> {
    // SAFETY: this thread has the GIL, without which no state leaves the list, and new ones come before the first.
    let (own, first) =
        unsafe { (PyThreadState_Get(), PyInterpreterState_ThreadHead(PyInterpreterState_Get())) };
    let some = |thread: *mut PyThreadState| (!thread.is_null()).then_some(thread);
    // SAFETY: as above.
    std::iter::successors(some(first), move |thread| some(unsafe { PyThreadState_Next(*thread) }))
        .filter(move |thread| *thread != own)
}
