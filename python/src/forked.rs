//! Processes that C code has forked without informing the interpreter, as uWSGI forks its workers.
//!
//! The interpreter of such a process has records of its parent's threads, which do not exist in it. Inspecting one crashes
//! the process. If one of them was waiting for the interpreter's lock, the process also stops as soon as its own threads
//! wait for the lock: a condition variable of glibc switches to its next group of waiters only when the whole previous
//! group has woken up, and the owner of the lock waits for that in `pthread_cond_signal`. A server with one thread does
//! not get into this situation by itself, but the threads of this package would bring it there.

use pyo3::ffi::{
    PyInterpreterState, PyInterpreterState_Get, PyOS_AfterFork_Child, PyThreadState, PyThreadState_Get,
};
use pyo3::prelude::*;

// These are not in the limited API, but every version of Python has them.
unsafe extern "C" {
    fn PyInterpreterState_ThreadHead(interpreter: *mut PyInterpreterState) -> *mut PyThreadState;
    fn PyThreadState_Next(thread: *mut PyThreadState) -> *mut PyThreadState;
}

/// Tell the interpreter that C code has forked this process. Call this first, in its only thread.
///
/// The interpreter then does what it does after a fork of its own, including the functions of
/// `os.register_at_fork`. Without records of other threads it does nothing.
#[pyfunction]
pub(crate) fn forked_in_c(py: Python<'_>) -> PyResult<()> {
    // SAFETY: this thread has the interpreter's lock, and is the only one here.
    let knows_others = unsafe {
        let (own, first) = (PyThreadState_Get(), PyInterpreterState_ThreadHead(PyInterpreterState_Get()));
        first != own || !PyThreadState_Next(own).is_null()
    };
    if !knows_others {
        return Ok(());
    }
    if py.version_info() >= (3, 13) {
        // The lock of imports is held over a fork, and released afterwards: older versions make a new one.
        let imports = py.import("_imp")?;
        if imports.call_method0("lock_held")?.is_truthy()? {
            // A thread of the parent was importing. No import of this process will ever end, whatever is done here.
            return Ok(());
        }
        imports.call_method0("acquire_lock")?;
    }
    // SAFETY: as above.
    unsafe { PyOS_AfterFork_Child() };
    Ok(())
}
