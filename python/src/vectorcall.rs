//! The vectorcall function of a Python object, with a type that allows unwinding.
//!
//! PyO3 declares that calls never unwind, and the compiler relies on that if it knows the callee. It does not know the
//! target of a pointer that is read from memory.

use pyo3::ffi;

/// A vectorcall function.
pub(crate) type Function = unsafe extern "C-unwind" fn(
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    usize,
    *mut ffi::PyObject,
) -> *mut ffi::PyObject;

/// The function that implements calls of `callable`: its own vectorcall function if it has one, or else the generic one.
///
/// # Safety
///
/// The thread is attached, and the object is alive.
pub(crate) unsafe fn of(callable: *mut ffi::PyObject) -> Function {
    #[cfg(not(Py_LIMITED_API))]
    // SAFETY: guaranteed by the caller.
    let own = unsafe { ffi::PyVectorcall_Function(callable) };
    #[cfg(Py_LIMITED_API)]
    let own = None::<ffi::vectorcallfunc>;
    let _ = callable;
    // SAFETY: the signatures differ only in whether they allow unwinding.
    unsafe { std::mem::transmute::<ffi::vectorcallfunc, Function>(own.unwrap_or(generic)) }
}

#[cfg(Py_3_11)]
use ffi::PyObject_Vectorcall as generic;

/// Python 3.10 defines `PyObject_Vectorcall` only in its headers, so the library has no such symbol.
#[cfg(not(Py_3_11))]
unsafe extern "C" fn generic(
    callable: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: this has the contract of `PyObject_Vectorcall`.
    unsafe { ffi::PyObject_Vectorcall(callable, arguments, count, names) }
}
