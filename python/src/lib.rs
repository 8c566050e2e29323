//! The extension module `healthboard._native`. Rust owns state and time, Python owns names and configuration.
//!
//! An internal error must not affect the host. Everything that a host calls during an operation (a decorated function, an
//! indicator, an operation) catches internal errors: see `guard`. Only programming mistakes, such as a wrong type, are
//! raised, and only where indicators are created.

#[cfg(Py_GIL_DISABLED)]
compile_error!("healthboard needs Python with its interpreter lock, and this is free-threaded Python");

mod checked;
mod claim;
mod ending;
mod exception;
mod first_use;
mod forked;
mod guard;
mod indicator;
mod stacks;
mod termination;
mod testing;
mod traceback;
mod vectorcall;
mod verdict;

use healthboard::{ErrorDetail, Service, Settings, StartError};
use healthboard_endpoint::Prepared;
use pyo3::exceptions::PyImportError;
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Start health with `options` as in a configuration file. Variables in `environment` override them.
///
/// `on_first_use` is called at the first recording in each process. If it returns false, the next
/// recording calls it again. Without `in_this_process` it is called only in processes forked by this
/// one: a master may run no Python afterwards.
///
/// Return one message for each refused value and for what cannot start, and whether health has started.
#[pyfunction]
#[pyo3(signature = (service, host, options, environment, on_first_use, in_this_process))]
fn start(
    py: Python<'_>,
    service: &str,
    host: Option<String>,
    options: BTreeMap<String, String>,
    environment: BTreeMap<OsString, OsString>,
    on_first_use: Py<PyAny>,
    in_this_process: bool,
) -> (Vec<String>, bool) {
    let mut settings = Settings::new(service);
    settings.host = host.unwrap_or(settings.host);
    for (option, value) in &options {
        settings.set_or_refuse(option, value);
    }
    settings.set_from_env(environment);
    exception::want_text(settings.error_detail == ErrorDetail::Message);
    let mut has_started = settings.is_enabled();
    let mut service = Prepared::of(Service::builder(service).settings(settings));
    let mut problems: Vec<String> = service.take_refused().iter().map(ToString::to_string).collect();
    verdict::set_options(service.options());
    has_started = has_started && first_use::arm(on_first_use, in_this_process);
    if has_started {
        // Starting waits for the keeper, which never needs the interpreter. Meanwhile the host's other threads can run.
        let started = py.detach(|| guard::guarded(None, || Some(service.start())));
        if let Some(Err(
            error @ (StartError::NoThread(_) | StartError::NoDirectory(..) | StartError::NoEndpoint(..)),
        )) = started
        {
            problems.push(error.to_string());
        }
        ending::say_goodbye_at_exit();
        if in_this_process {
            first_use::call_once(py);
        } else {
            // This is a master that runs no Python. Its keeper needs none, and serves while there is no worker.
            healthboard::watch();
        }
    }
    (problems, has_started)
}

/// Create this process's board now rather than at its first recording.
#[pyfunction]
fn attach(py: Python<'_>) {
    py.detach(|| guard::guarded(false, || termination::with_signals_blocked(healthboard::attach)));
    ending::drain_at_exit();
    first_use::allow_in_this_process();
    first_use::call_once(py);
}

/// Stamp `progress`.
#[pyfunction]
fn stamp() {
    guard::guarded((), healthboard::stamp);
    ending::stamped();
}

/// New status, previous status and cause.
type Change = (&'static str, &'static str, String);

/// Return the lines to log, each with whether it is a warning, and the change of status it reports.
#[pyfunction]
fn take_notices() -> Vec<(bool, String, Option<Change>)> {
    let notices = guard::guarded(Vec::new(), healthboard::take_notices);
    let error = guard::take_first_error().map(|text| (true, text, None));
    let line = |notice: healthboard::Notice| {
        let change = notice.transition.map(|change| (change.to.name(), change.from.name(), change.message));
        (notice.warning, notice.text, change)
    };
    notices.into_iter().map(line).chain(error).collect()
}

/// Return the text of an exception as one line without secrets, safe to log.
#[pyfunction]
fn scrub(text: &str) -> String {
    guard::guarded(String::new(), || healthboard::scrub(text, 400))
}

/// Announce that the service has started, or reloaded, and works. systemd is told so.
#[pyfunction]
fn ready(py: Python<'_>) {
    py.detach(|| guard::guarded((), || termination::with_signals_blocked(healthboard::ready)));
}

/// Announce that the service is reloading its configuration. `ready` ends the reload.
#[pyfunction]
fn reloading(py: Python<'_>) {
    py.detach(|| guard::guarded((), || termination::with_signals_blocked(healthboard::reloading)));
}

/// Say that this process is a master, which leaves the work to the processes it forks.
#[pyfunction]
fn watch() {
    guard::guarded((), healthboard::watch);
}

/// Notice when a signal tells this process to end.
///
/// Say goodbye if that ends it, and note it if the program handles it.
#[pyfunction]
fn watch_signals() {
    guard::guarded((), termination::watch_signals);
}

/// Call `callback` at the first recording in a process in which health has not started, until it has.
#[pyfunction]
fn before_start(callback: Py<PyAny>) {
    guard::guarded((), || first_use::arm_before_start(callback));
}

/// Fails in a sub-interpreter: the statics of this module would pass its objects to other interpreters.
fn refuse_sub_interpreters() -> PyResult<()> {
    // SAFETY: this thread is attached, so it has an interpreter.
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
    guard::report_panics();
    module.add_class::<claim::Claim>()?;
    module.add_class::<indicator::Indicator>()?;
    module.add_class::<indicator::Operation>()?;
    module.add_class::<testing::MemoryBoard>()?;
    module.add("Checked", checked::make_type(module.py())?)?;
    module.add_function(wrap_pyfunction!(start, module)?)?;
    module.add_function(wrap_pyfunction!(attach, module)?)?;
    module.add_function(wrap_pyfunction!(stamp, module)?)?;
    module.add_function(wrap_pyfunction!(take_notices, module)?)?;
    module.add_function(wrap_pyfunction!(stacks::trace, module)?)?;
    module.add_function(wrap_pyfunction!(stacks::end_trace, module)?)?;
    module.add_function(wrap_pyfunction!(forked::forked_in_c, module)?)?;
    module.add_function(wrap_pyfunction!(watch, module)?)?;
    module.add_function(wrap_pyfunction!(ending::drain, module)?)?;
    module.add_function(wrap_pyfunction!(ending::begin_to_end, module)?)?;
    module.add_function(wrap_pyfunction!(ending::served, module)?)?;
    module.add_function(wrap_pyfunction!(ending::drain_first_at_exit, module)?)?;
    module.add_function(wrap_pyfunction!(ending::drain_as_it_exits, module)?)?;
    module.add_function(wrap_pyfunction!(ready, module)?)?;
    module.add_function(wrap_pyfunction!(reloading, module)?)?;
    module.add_function(wrap_pyfunction!(scrub, module)?)?;
    module.add_function(wrap_pyfunction!(verdict::verdict, module)?)?;
    module.add_function(wrap_pyfunction!(ending::goodbye, module)?)?;
    module.add_function(wrap_pyfunction!(watch_signals, module)?)?;
    module.add_function(wrap_pyfunction!(before_start, module)?)?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
