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

use healthboard::{ErrorDetail, Service, Settings, StartError};
use healthboard_endpoint::Prepared;
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Starts health: `options` as in a configuration file, then `environment`, whose variables win. `first_use` is called at
/// the first recording in each process; where it returns false, at the next one again. Not `here` is in a master that runs no
/// Python any more once it has forked its workers.
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
    let mut settings = Settings::new(service);
    settings.host = host.unwrap_or(settings.host);
    for (option, value) in &options {
        settings.set_or_refuse(option, value);
    }
    settings.set_from_env(environment);
    exception::want_text(settings.error_detail == ErrorDetail::Message);
    let is_enabled = settings.is_enabled();
    let mut service = Prepared::of(Service::builder(service).settings(settings));
    let mut problems: Vec<String> = service.take_refused().iter().map(ToString::to_string).collect();
    if is_enabled && first_use::arm(first_use, here) {
        // Waits for a thread that never needs the interpreter; others of the host may go on.
        let started = py.detach(|| guard::guarded(None, || Some(service.start())));
        // What is wrong with a directory or an endpoint is among the notices.
        if let Some(Err(error @ StartError::NoThread(_))) = started {
            problems.push(error.to_string());
        }
        if here {
            first_use::look(py);
        } else {
            // The master of a server forks its workers and from then on runs no Python. Its keeper needs none: it serves while
            // there is no worker.
            healthboard::watch();
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
    module.add_function(wrap_pyfunction!(watch, module)?)?;
    module.add_function(wrap_pyfunction!(drain, module)?)?;
    module.add_function(wrap_pyfunction!(scrub, module)?)?;
    module.add_function(wrap_pyfunction!(goodbye, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
