//! The extension module `healthboard._native`: Rust owns state and time, Python owns names and configuration.
//!
//! Nothing of ours may become the host's failure. Whatever a host calls on its way through an operation (a decorated
//! function, an indicator, an operation) swallows our own failures, see `guard`; only a programmer's mistakes, a wrong type
//! for one, are raised, and only where indicators are made.

mod checked;
mod exception;
mod first_use;
mod guard;
mod indicator;
mod vectorcall;

use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Starts health: `options` as in a configuration file, then `environment`, whose variables win. `first_use` is called at
/// the first recording in each process; where it returns false, at the next one again. Not `here` is only in the processes
/// that this one forks.
///
/// Returns one message for each value that was refused.
#[pyfunction]
#[pyo3(signature = (service, host, options, environment, first_use, here))]
fn start(
    py: Python<'_>,
    service: &str,
    host: Option<String>,
    options: BTreeMap<String, String>,
    environment: BTreeMap<OsString, OsString>,
    first_use: Py<PyAny>,
    here: bool,
) -> Vec<String> {
    let mut settings = healthboard::Settings::new(service);
    settings.host = host.unwrap_or(settings.host);
    let mut problems: Vec<String> = Vec::new();
    for (option, value) in &options {
        problems.extend(settings.set(option, value).err().map(|e| e.to_string()));
    }
    problems.extend(settings.from_env(environment).iter().map(ToString::to_string));
    exception::want_text(settings.error_detail == healthboard::ErrorDetail::Message);
    if settings.is_enabled() && first_use::arm(first_use, here) {
        let start = if here { healthboard_endpoint::start } else { healthboard_endpoint::start_in_children };
        // Waits for a thread that never needs the interpreter; others of the host may go on.
        py.detach(|| guard::guarded(false, || start(settings)));
        if here {
            first_use::look(py);
        }
    }
    problems
}

/// Gives this process its board now: it may have nothing to record for hours.
#[pyfunction]
fn attach(py: Python<'_>) {
    py.detach(|| guard::guarded(false, healthboard::attach));
    // The newest handler runs first: before those of a server that may be interrupted by a second signal while the
    // interpreter ends. uWSGI's workers get one from systemd and one from their master.
    // SAFETY: `at_exit` does not need the interpreter. Where there is no room for one more, the process goes without a word.
    unsafe { libc::atexit(at_exit) };
    first_use::allow();
    first_use::look(py);
}

/// How often `tick` is to be called, in seconds.
#[pyfunction]
fn tick_interval() -> f64 {
    healthboard::tick_interval().as_secs_f64()
}

/// Stamps `progress`. Returns what is to be logged: whether it is a warning, and the line.
#[pyfunction]
fn tick() -> Vec<(bool, String)> {
    let notices = guard::guarded(Vec::new(), healthboard::tick);
    let trouble = guard::first_trouble().map(|text| (true, text));
    notices.into_iter().map(|notice| (notice.warning, notice.text)).chain(trouble).collect()
}

/// The text of an exception as it may stand in a log.
#[pyfunction]
fn scrub(text: &str) -> String {
    guard::guarded(String::new(), || healthboard::scrub(text, 400))
}

/// Says that this process is going to end: not ready any more, still alive.
#[pyfunction]
fn drain() {
    guard::guarded((), healthboard::drain);
}

/// Says that this process only watches over those that it forks.
#[pyfunction]
fn watch() {
    guard::guarded((), healthboard::watch);
}

/// Says that this process ends in good order.
#[pyfunction]
fn goodbye() {
    guard::guarded((), healthboard::goodbye);
}

/// The interpreter has ended.
extern "C" fn at_exit() {
    goodbye();
}

/// Fails in a sub-interpreter: its objects would reach others through what is kept here once in a process.
fn refuse_sub_interpreters() -> PyResult<()> {
    // SAFETY: an attached thread, which has an interpreter.
    let id = unsafe { pyo3::ffi::PyInterpreterState_GetID(pyo3::ffi::PyInterpreterState_Get()) };
    if id == 0 {
        return Ok(());
    }
    Err(PyImportError::new_err(
        "healthboard works in the main interpreter of a process, and this is a sub-interpreter; \
         under mod_wsgi, `WSGIApplicationGroup %{GLOBAL}` runs the application in the main one",
    ))
}

#[pymodule(name = "_native")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    refuse_sub_interpreters()?;
    guard::listen_for_panics();
    // SAFETY: `at_exit` does not need the interpreter. Where there is no room for one more, the process goes without a word.
    unsafe { pyo3::ffi::Py_AtExit(Some(at_exit)) };
    module.add_class::<indicator::Indicator>()?;
    module.add_class::<indicator::Operation>()?;
    module.add("Checked", checked::make_type(module.py())?)?;
    module.add_function(wrap_pyfunction!(start, module)?)?;
    module.add_function(wrap_pyfunction!(attach, module)?)?;
    module.add_function(wrap_pyfunction!(tick, module)?)?;
    module.add_function(wrap_pyfunction!(tick_interval, module)?)?;
    module.add_function(wrap_pyfunction!(watch, module)?)?;
    module.add_function(wrap_pyfunction!(drain, module)?)?;
    module.add_function(wrap_pyfunction!(scrub, module)?)?;
    module.add_function(wrap_pyfunction!(goodbye, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
