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

use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Starts health: `options` as in a configuration file, then `environment`, whose variables win. `first_use` is called at
/// the first recording in each process; where it returns false, at the next one again.
///
/// Returns one message for each value that was refused.
#[pyfunction]
#[pyo3(signature = (service, host, options, environment, first_use))]
fn start(
    py: Python<'_>,
    service: &str,
    host: Option<String>,
    options: BTreeMap<String, String>,
    environment: BTreeMap<OsString, OsString>,
    first_use: Py<PyAny>,
) -> Vec<String> {
    let mut settings = healthboard::Settings::new(service);
    settings.host = host.unwrap_or(settings.host);
    let mut problems: Vec<String> = Vec::new();
    for (option, value) in &options {
        problems.extend(settings.set(option, value).err().map(|e| e.to_string()));
    }
    problems.extend(settings.from_env(environment).iter().map(ToString::to_string));
    exception::want_text(settings.error_detail == healthboard::ErrorDetail::Message);
    if settings.is_enabled() && first_use::arm(first_use) {
        // Waits for a thread that never needs the interpreter; others of the host may go on.
        py.detach(|| guard::guarded(false, || healthboard_endpoint::start(settings)));
        first_use::look(py);
    }
    problems
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

/// Says that this process ends in good order.
#[pyfunction]
fn goodbye() {
    guard::guarded((), healthboard::goodbye);
}

/// The interpreter has ended.
extern "C" fn at_exit() {
    goodbye();
}

#[pymodule(name = "_native")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    guard::listen_for_panics();
    // SAFETY: `at_exit` does not need the interpreter. Where there is no room for one more, the process goes without a word.
    unsafe { pyo3::ffi::Py_AtExit(Some(at_exit)) };
    module.add_class::<indicator::Indicator>()?;
    module.add_class::<indicator::Operation>()?;
    module.add("Checked", checked::make_type(module.py())?)?;
    module.add_function(wrap_pyfunction!(start, module)?)?;
    module.add_function(wrap_pyfunction!(tick, module)?)?;
    module.add_function(wrap_pyfunction!(drain, module)?)?;
    module.add_function(wrap_pyfunction!(scrub, module)?)?;
    module.add_function(wrap_pyfunction!(goodbye, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
