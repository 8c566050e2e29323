//! Processes that C code has forked without a word to the interpreter, as uWSGI forks its workers.
//!
//! The interpreter of such a process knows the threads of its parent, which are not here. To look at one crashes the process. And
//! if one of them was waiting for the interpreter's lock, the process stops when its own threads wait for it: a condition variable
//! of glibc changes to its next group of waiters only when all of the previous group have woken up, and whoever has the lock waits
//! for that in `pthread_cond_signal`. A server with one thread never gets there by itself. Ours would bring it there.

use pyo3::ffi::{
    PyInterpreterState, PyInterpreterState_Get, PyOS_AfterFork_Child, PyThreadState, PyThreadState_Get,
};
use pyo3::prelude::*;

// Not of the limited API, but of every version of Python.
unsafe extern "C" {
    fn PyInterpreterState_ThreadHead(interpreter: *mut PyInterpreterState) -> *mut PyThreadState;
    fn PyThreadState_Next(thread: *mut PyThreadState) -> *mut PyThreadState;
}

/// To be called first in a process that was forked in C, in its only thread. If the interpreter knows others, it does what it does
/// after a fork of its own, which includes what was registered by `os.register_at_fork`. Otherwise there is nothing to do.
#[pyfunction]
pub(crate) fn forked_in_c(_py: Python<'_>) {
    // SAFETY: this thread has the interpreter's lock, and is the only one here.
    unsafe {
        let (own, first) = (PyThreadState_Get(), PyInterpreterState_ThreadHead(PyInterpreterState_Get()));
        if first != own || !PyThreadState_Next(own).is_null() {
            PyOS_AfterFork_Child();
        }
    }
}
