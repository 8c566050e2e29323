//! What a Python exception means for an operation, and its conversion to a failure.

use crate::guard;
use healthboard::{Failure, Operation};
use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple, PyType};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static WANTS_TEXT: AtomicBool = AtomicBool::new(false);

/// Sets whether the text of exceptions is read. It is read only if needed, since computing it may be slow.
pub(crate) fn want_text(wanted: bool) {
    WANTS_TEXT.store(wanted, Relaxed);
}

/// Ends an operation that raised.
///
/// Without `judge`, every `Exception` is a failure. If `judge` is a tuple of classes, only their exceptions are. Any other
/// `judge` is called with the exception. It returns `False` for a failure, `True` for a success, `None` for no evidence, and
/// `"by_work"` for a failure that no refresh can have. An exception without evidence that is not an `Exception` abandons the
/// operation.
pub(crate) fn end(operation: Operation, exception: &Bound<'_, PyAny>, judge: Option<&Bound<'_, PyAny>>) {
    match outcome(exception, judge) {
        Ok(Meaning::Answered) => operation.ok(),
        Ok(Meaning::Failed) => operation.fail(&failure_of(exception)),
        Ok(Meaning::FailedByWork) => operation.fail(&failure_of(exception).by_work()),
        // The caller has cancelled or killed it, or has timed out: the operation is abandoned.
        Ok(Meaning::Unknown) if !exception.is_instance_of::<PyException>() => drop(operation),
        Ok(Meaning::Unknown) => operation.no_evidence(),
        Err(error) => {
            operation.no_evidence();
            guard::report_error(&format!("cannot judge an exception: {error}"));
        }
    }
}

enum Meaning {
    Answered,
    Failed,
    FailedByWork,
    Unknown,
}

fn outcome(exception: &Bound<'_, PyAny>, judge: Option<&Bound<'_, PyAny>>) -> PyResult<Meaning> {
    let counts = |yes: bool| Ok(if yes { Meaning::Failed } else { Meaning::Unknown });
    match judge {
        Some(judge) => match judge.cast::<PyTuple>() {
            Ok(classes) => counts(exception.is_instance(classes)?),
            Err(_) => {
                let judged = judge.call1((exception,))?;
                if judged.is_none() {
                    Ok(Meaning::Unknown)
                } else if let Ok(answered) = judged.extract::<bool>() {
                    Ok(if answered { Meaning::Answered } else { Meaning::Failed })
                } else if judged.extract::<&str>().is_ok_and(|word| word == "by_work") {
                    Ok(Meaning::FailedByWork)
                } else {
                    let expected = "expected True, False, None or \"by_work\"";
                    Err(PyTypeError::new_err(format!("found {}, {expected}", judged.repr()?)))
                }
            }
        },
        // Not `GeneratorExit`, `SystemExit` or `KeyboardInterrupt`.
        None => counts(exception.is_instance_of::<PyException>()),
    }
}

/// Converts an exception, its class, or the name of its class to a failure.
pub(crate) fn failure_of(failure: &Bound<'_, PyAny>) -> Failure {
    if let Ok(name) = failure.cast::<PyString>() {
        let name = name.to_string_lossy();
        // A text in its place may have a secret.
        return if is_word(&name) { Failure::new(name) } else { Failure::new("Error").text(name) };
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

/// Whether it can be the name of a class, or a code.
pub(crate) fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || "_.-".contains(c))
}

fn class_name(class: &Bound<'_, PyType>) -> String {
    class.name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The error number of the failing library, or "" if there is none. It is taken from the first of these that exists:
/// `errno`; the first of several arguments, as with database drivers; the same of the exception that SQLAlchemy's wraps;
/// `code`.
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
