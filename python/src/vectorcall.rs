//! What implements the calls of a Python object, as a pointer that may be unwound through.
//!
//! PyO3 declares that calls never unwind, and the compiler believes that of whatever it can see through. A pointer that
//! comes out of memory it cannot.

use pyo3::ffi;

/// What implements a call.
pub(crate) type Function = unsafe extern "C-unwind" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    usize,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// What implements the calls of `callable`: its own function if it has one, else what serves all.
///
/// # Safety
///
/// An attached thread and a live object.
pub(crate) unsafe fn of(callable: *mut ffi::PyObject) -> Function {
    #[cfg(not(Py_LIMITED_API))]
    // SAFETY: as promised to this function.
    let own = unsafe { ffi::PyVectorcall_Function(callable) };
    #[cfg(Py_LIMITED_API)]
    let own = None::<ffi::vectorcallfunc>;
    let _ = callable;
    // SAFETY: the signature is the same, but for what the type says of unwinding.
    unsafe { std::mem::transmute::<ffi::vectorcallfunc, Function>(own.unwrap_or(any)) }
}

#[cfg(Py_3_11)]
use ffi::PyObject_Vectorcall as any;

/// Python 3.10 has it in its headers only.
#[cfg(not(Py_3_11))]
unsafe extern "C" fn any(
    callable: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called as `PyObject_Vectorcall` would be.
    unsafe { ffi::PyObject_Vectorcall(callable, arguments, count, names) }
}
