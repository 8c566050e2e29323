//! What a Python exception means for an operation, and what is told of it.

use crate::guard;
use healthboard::{Failure, Operation};
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyType};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static WANTS_TEXT: AtomicBool = AtomicBool::new(false);

/// Whether the text of exceptions is asked for at all: it may cost anything.
pub(crate) fn want_text(wanted: bool) {
    WANTS_TEXT.store(wanted, Relaxed);
}

/// Ends an operation that raised.
///
/// `judge` is absent, and every `Exception` counts against it; or it is a tuple of classes, and these do; or it is called
/// with the exception: `False` is a failure, `True` a success, `None` no evidence.
pub(crate) fn end(operation: Operation, exception: &Bound<'_, PyAny>, judge: Option<&Bound<'_, PyAny>>) {
    match outcome(exception, judge) {
        Ok(Some(true)) => operation.ok(),
        Ok(Some(false)) => {
            operation.fail(&told(exception));
        }
        // Cancelled, killed or timed out by whoever called it: it has not ended, it was given up.
        Ok(None) if !exception.is_instance_of::<PyException>() => drop(operation),
        Ok(None) => operation.no_evidence(),
        Err(error) => {
            operation.no_evidence();
            guard::trouble(&format!("cannot judge an exception: {error}"));
        }
    }
}

fn outcome(exception: &Bound<'_, PyAny>, judge: Option<&Bound<'_, PyAny>>) -> PyResult<Option<bool>> {
    let counts = |yes: bool| Ok(yes.then_some(false));
    match judge {
        Some(judge) => match judge.cast::<PyTuple>() {
            Ok(classes) => counts(exception.is_instance(classes)?),
            Err(_) => judge.call1((exception,))?.extract(),
        },
        // Not the end of a generator, a process or a user's patience.
        None => counts(exception.is_instance_of::<PyException>()),
    }
}

/// What is known of a failure: an exception, a class, or the name of one.
pub(crate) fn told(failure: &Bound<'_, PyAny>) -> Failure {
    if let Ok(name) = failure.cast::<PyString>() {
        return Failure::new(name.to_string_lossy());
    }
    if let Ok(class) = failure.cast::<PyType>() {
        return Failure::new(class_name(class));
    }
    let text = if WANTS_TEXT.load(Relaxed) {
        failure.str().map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
    } else {
        String::new()
    };
    Failure::new(class_name(&failure.get_type())).code(code(failure)).text(text)
}

fn class_name(class: &Bound<'_, PyType>) -> String {
    class.name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The number by which the failing library calls it: `errno`, the first of several arguments as database drivers do, also of
/// the exception that SQLAlchemy's wraps, or `code`.
fn code(exception: &Bound<'_, PyAny>) -> String {
    let number = |of: &Bound<'_, PyAny>, name: &str| of.getattr(name).ok()?.extract::<i64>().ok();
    let argument = |of: &Bound<'_, PyAny>| {
        let args = of.getattr("args").ok()?.cast_into::<PyTuple>().ok()?;
        if args.len() > 1 { args.get_item(0).ok()?.extract::<i64>().ok() } else { None }
    };
    number(exception, "errno")
        .or_else(|| argument(exception))
        .or_else(|| argument(&exception.getattr("orig").ok()?))
        .or_else(|| number(exception, "code"))
        .map(|code| code.to_string())
        .unwrap_or_default()
}
