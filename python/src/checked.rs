//! A function whose calls are all recorded.
//!
//! It is a type of the C API rather than of PyO3: calls go through vectorcall without conversions. As a *method
//! descriptor* it is called like a function of its class, without a bound method. This adds 30 to 80 ns to a call. PyO3's
//! `__call__` adds 100 to 180 ns, and an empty Python wrapper 170 to 190 ns.

use crate::guard::guarded;
use crate::{exception, first_use, vectorcall};
use healthboard::{Indicator, Operation};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use pyo3::{ffi, intern};
use std::ffi::{c_char, c_int, c_uint, c_void};
use std::mem::{ManuallyDrop, offset_of};
use std::ptr;

/// The object. All pointers are null until [`Checked::make`] sets them. [`clear`] sets the references to null again.
#[repr(C)]
pub(crate) struct Checked {
    head: ffi::PyObject,
    call: Option<vectorcall::Function>,
    function: *mut ffi::PyObject,
    /// The vectorcall function of `function`.
    function_call: Option<vectorcall::Function>,
    judge: *mut ffi::PyObject,
    dict: *mut ffi::PyObject,
    weakrefs: *mut ffi::PyObject,
    indicator: Indicator,
}

static TYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();

impl Checked {
    /// Wraps a function so that every call is recorded. `judge` is as in [`exception::end`]. The result has the function's
    /// name, documentation and signature.
    ///
    /// # Errors
    ///
    /// `TypeError` if `function` is not callable.
    pub(crate) fn make<'py>(
        indicator: Indicator,
        function: &Bound<'py, PyAny>,
        judge: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = function.py();
        if !function.is_callable() {
            return Err(PyTypeError::new_err(format!(
                "expected a callable, found {}",
                function.get_type().name()?
            )));
        }
        let class = make_type(py)?;
        // SAFETY: `class` has the layout of `Checked` and no items. The new object is zeroed after its head, which is a
        // valid state for the collector. It holds its own references to the objects it keeps.
        let made = unsafe {
            let object = ffi::PyType_GenericAlloc(class.as_type_ptr(), 0);
            if object.is_null() {
                return Err(PyErr::fetch(py));
            }
            let this = &mut *object.cast::<Checked>();
            this.indicator = indicator;
            this.function = function.clone().into_ptr();
            this.judge = judge.map_or(ptr::null_mut(), |judge| judge.clone().into_ptr());
            this.function_call = Some(vectorcall::of(this.function));
            this.call = Some(call);
            Bound::from_owned_ptr(py, object)
        };
        py.import(intern!(py, "functools"))?
            .call_method1(intern!(py, "update_wrapper"), (&made, function))?;
        Ok(made)
    }
}

/// Begins an operation, calls the function, and ends the operation. No panic leaves it, and no exception except that of the
/// function.
///
/// While the interpreter ends, each thread that requests its lock exits at once, possibly in the middle of the function, and
/// unwinds through this frame. So this is `C-unwind`, and holds no value that would be dropped during the call.
unsafe extern "C-unwind" fn call(
    this: *mut ffi::PyObject,
    arguments: *const *mut ffi::PyObject,
    count: usize,
    names: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls this with an object of our type, which the caller keeps alive during the call. The thread is
    // attached, and no exception is set. The arguments are passed on unchanged, so the caller's guarantees hold for the
    // function. A cleared object is unreachable, so `function` is not null; `function_call` was set with it.
    unsafe {
        let this = &*this.cast::<Checked>();
        let operation = ManuallyDrop::new(guarded(None, || {
            first_use::call_once(Python::assume_attached());
            Some(this.indicator.begin())
        }));
        let result = this.function_call.unwrap_unchecked()(this.function, arguments, count, names);
        if let Some(operation) = ManuallyDrop::into_inner(operation) {
            if result.is_null() {
                end_raised(this, operation);
            } else {
                guarded((), || operation.ok());
            }
        }
        result
    }
}

/// Ends an operation whose function has just raised. The exception stays set, unchanged.
///
/// # Safety
///
/// An exception is set in this attached thread.
#[cold]
unsafe fn end_raised(this: &Checked, operation: Operation) {
    let (mut class, mut value, mut traceback) = (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
    // SAFETY: we own the three references from fetching to restoring. `judge` is null or alive.
    unsafe {
        #[allow(deprecated, reason = "its replacement needs Python 3.12")]
        ffi::PyErr_Fetch(&mut class, &mut value, &mut traceback);
        #[allow(deprecated, reason = "as above")]
        ffi::PyErr_NormalizeException(&mut class, &mut value, &mut traceback);
        guarded((), || {
            let py = Python::assume_attached();
            let judge = Bound::from_borrowed_ptr_or_opt(py, this.judge);
            if let Some(value) = Bound::from_borrowed_ptr_or_opt(py, value) {
                exception::end(operation, &value, judge.as_ref());
            }
        });
        #[allow(deprecated, reason = "as above")]
        ffi::PyErr_Restore(class, value, traceback);
    }
}

/// Binds to an instance, like a function.
unsafe extern "C" fn bind(
    this: *mut ffi::PyObject,
    instance: *mut ffi::PyObject,
    _class: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: an attached thread; both references are borrowed from the caller.
    unsafe {
        if instance.is_null() || instance == ffi::Py_None() {
            return ffi::Py_NewRef(this);
        }
        guarded(ptr::null_mut(), || {
            let py = Python::assume_attached();
            let bound = |name| -> PyResult<_> {
                let method = py.import(intern!(py, "types"))?.getattr(name)?;
                method.call1((Bound::from_borrowed_ptr(py, this), Bound::from_borrowed_ptr(py, instance)))
            };
            raise_or(py, bound(intern!(py, "MethodType")))
        })
    }
}

unsafe extern "C" fn repr(this: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: an attached thread and an object of ours.
    unsafe {
        guarded(ptr::null_mut(), || {
            let py = Python::assume_attached();
            let function = Bound::from_borrowed_ptr(py, (*this.cast::<Checked>()).function);
            let text = function.repr().and_then(|text| Ok(format!("<healthcheck of {}>", text.to_cow()?)));
            raise_or(
                py,
                text.map(|text| text.into_pyobject(py).unwrap_or_else(|never| match never {}).into_any()),
            )
        })
    }
}

/// Pickles it by its qualified name, like a function.
unsafe extern "C" fn reduce(this: *mut ffi::PyObject, _: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: an attached thread and an object of ours.
    unsafe {
        guarded(ptr::null_mut(), || {
            let py = Python::assume_attached();
            raise_or(py, Bound::from_borrowed_ptr(py, this).getattr(intern!(py, "__qualname__")))
        })
    }
}

fn raise_or(py: Python<'_>, result: PyResult<Bound<'_, PyAny>>) -> *mut ffi::PyObject {
    result.map_or_else(
        |error| {
            error.restore(py);
            ptr::null_mut()
        },
        Bound::into_ptr,
    )
}

unsafe extern "C" fn traverse(this: *mut ffi::PyObject, visit: ffi::visitproc, with: *mut c_void) -> c_int {
    // SAFETY: the collector passes an object of ours and a function to visit its references, one of which is its type.
    unsafe {
        let kept = &*this.cast::<Checked>();
        for object in [ffi::Py_TYPE(this).cast(), kept.function, kept.judge, kept.dict] {
            if !object.is_null() {
                let stop = visit(object, with);
                if stop != 0 {
                    return stop;
                }
            }
        }
    }
    0
}

unsafe extern "C" fn clear(this: *mut ffi::PyObject) -> c_int {
    // SAFETY: an object of ours. Each field is nulled before its reference is released, which may run any code.
    unsafe {
        let this = &mut *this.cast::<Checked>();
        for field in [&mut this.function, &mut this.judge, &mut this.dict] {
            ffi::Py_XDECREF(std::mem::replace(field, ptr::null_mut()));
        }
    }
    0
}

unsafe extern "C" fn dealloc(this: *mut ffi::PyObject) {
    // SAFETY: there are no references to the object any more. Objects of a heap type hold a reference to their type.
    unsafe {
        ffi::PyObject_GC_UnTrack(this.cast());
        if !(*this.cast::<Checked>()).weakrefs.is_null() {
            ffi::PyObject_ClearWeakRefs(this);
        }
        clear(this);
        let class = ffi::Py_TYPE(this);
        ffi::PyObject_GC_Del(this.cast());
        ffi::Py_DECREF(class.cast());
    }
}

/// The type, created on first use.
pub(crate) fn make_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    TYPE.get_or_try_init(py, || {
        let offset = |name: *const c_char, offset: usize| ffi::PyMemberDef {
            name,
            type_code: ffi::Py_T_PYSSIZET,
            offset: offset as ffi::Py_ssize_t,
            flags: ffi::Py_READONLY,
            doc: ptr::null(),
        };
        let members = [
            offset(c"__vectorcalloffset__".as_ptr(), offset_of!(Checked, call)),
            offset(c"__dictoffset__".as_ptr(), offset_of!(Checked, dict)),
            offset(c"__weaklistoffset__".as_ptr(), offset_of!(Checked, weakrefs)),
            // SAFETY: a zeroed member is valid, and ends the list.
            unsafe { std::mem::zeroed() },
        ];
        let methods = [
            ffi::PyMethodDef {
                ml_name: c"__reduce__".as_ptr(),
                ml_meth: ffi::PyMethodDefPointer { PyCFunction: reduce },
                ml_flags: ffi::METH_NOARGS,
                ml_doc: ptr::null(),
            },
            ffi::PyMethodDef::zeroed(),
        ];
        let attributes = [
            ffi::PyGetSetDef {
                name: c"__dict__".as_ptr(),
                get: Some(ffi::PyObject_GenericGetDict),
                set: Some(ffi::PyObject_GenericSetDict),
                ..Default::default()
            },
            ffi::PyGetSetDef::default(),
        ];
        let slot = |slot: c_int, pfunc: *mut c_void| ffi::PyType_Slot { slot, pfunc };
        let mut slots = [
            slot(ffi::Py_tp_call, ffi::PyVectorcall_Call as *mut c_void),
            slot(ffi::Py_tp_descr_get, bind as *mut c_void),
            slot(ffi::Py_tp_repr, repr as *mut c_void),
            slot(ffi::Py_tp_traverse, traverse as *mut c_void),
            slot(ffi::Py_tp_clear, clear as *mut c_void),
            slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
            // The type refers to these three and is never freed, so they are leaked.
            slot(ffi::Py_tp_members, Box::leak(Box::new(members)).as_mut_ptr().cast()),
            slot(ffi::Py_tp_methods, Box::leak(Box::new(methods)).as_mut_ptr().cast()),
            slot(ffi::Py_tp_getset, Box::leak(Box::new(attributes)).as_mut_ptr().cast()),
            ffi::PyType_Slot::default(),
        ];
        let flags = ffi::Py_TPFLAGS_DEFAULT
            | ffi::Py_TPFLAGS_HAVE_GC
            | ffi::Py_TPFLAGS_HAVE_VECTORCALL
            | ffi::Py_TPFLAGS_METHOD_DESCRIPTOR
            | ffi::Py_TPFLAGS_IMMUTABLETYPE
            | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
        let mut spec = ffi::PyType_Spec {
            name: c"healthboard._native.Checked".as_ptr(),
            basicsize: size_of::<Checked>() as c_int,
            itemsize: 0,
            flags: flags as c_uint,
            slots: slots.as_mut_ptr(),
        };
        // SAFETY: each slot has the signature that its name requires, and the list is terminated.
        let made = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&mut spec)) }?;
        Ok(made.cast_into::<PyType>()?.unbind())
    })
    .map(|class| class.bind(py))
}
