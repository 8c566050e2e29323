//! The classes `Indicator` and `Operation`.

use crate::guard::guarded;
use crate::{checked, exception, first_use};
use healthboard::{Failure, Impact, Policy};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A named stand-in for one thing the service needs.
///
/// Times are in seconds. The service's configuration overrides the arguments. If several indicators
/// have the same name, the arguments of the first one count.
///
/// - `impact`: "critical", "degrading" or "informational". Default: critical.
/// - `ttl`: how long an outcome counts. 0 means without limit. Default: 300.
/// - `failure_threshold`, `failure_window`: it is failing after this many failures in a row, if at
///   least this much time lies between the first and the newest of them. Default: 2 and 10.
/// - `stall_after`: an operation in flight for longer makes it stuck. If no operation has ended for
///   longer, it is stalled. 0 means never. Default: 60.
/// - `slow_after`: an abandoned operation is a failure from this age on, and no evidence before.
///   Default: 10.
/// - `refresh_interval`: it is refreshed, if possible, when it had no outcome for this long. 0 means
///   never. Default: 10.
#[pyclass(frozen, module = "healthboard")]
pub(crate) struct Indicator {
    /// The name it was created with.
    #[pyo3(get)]
    name: String,
    policy: Policy,
    inner: healthboard::Indicator,
}

#[pymethods]
impl Indicator {
    #[new]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments, to those who call it")]
    #[pyo3(signature = (name, *, impact=None, ttl=None, failure_threshold=None, failure_window=None, stall_after=None, slow_after=None, refresh_interval=None))]
    fn new(
        name: String,
        impact: Option<&str>,
        ttl: Option<f64>,
        failure_threshold: Option<u32>,
        failure_window: Option<f64>,
        stall_after: Option<f64>,
        slow_after: Option<f64>,
        refresh_interval: Option<f64>,
    ) -> PyResult<Indicator> {
        let default = Policy::DEFAULT;
        let policy = Policy {
            impact: impact.map_or(Ok(default.impact), impact_named)?,
            ttl: ttl.map_or(Ok(default.ttl), |seconds| duration("ttl", seconds))?,
            failure_threshold: failure_threshold.unwrap_or(default.failure_threshold),
            failure_window: failure_window
                .map_or(Ok(default.failure_window), |seconds| duration("failure_window", seconds))?,
            stall_after: stall_after
                .map_or(Ok(default.stall_after), |seconds| duration("stall_after", seconds))?,
            slow_after: slow_after
                .map_or(Ok(default.slow_after), |seconds| duration("slow_after", seconds))?,
            refresh_interval: refresh_interval
                .map_or(Ok(default.refresh_interval), |seconds| duration("refresh_interval", seconds))?,
        };
        let inner = healthboard::Indicator::register(&name, policy);
        Ok(Indicator { name, policy, inner })
    }

    /// The policy it was created with. Times are in seconds.
    #[getter]
    fn policy<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let Policy {
            impact,
            ttl,
            failure_threshold,
            failure_window,
            stall_after,
            slow_after,
            refresh_interval,
        } = self.policy;
        let policy = PyDict::new(py);
        policy.set_item("impact", impact.name())?;
        policy.set_item("ttl", ttl.as_secs_f64())?;
        policy.set_item("failure_threshold", failure_threshold)?;
        policy.set_item("failure_window", failure_window.as_secs_f64())?;
        policy.set_item("stall_after", stall_after.as_secs_f64())?;
        policy.set_item("slow_after", slow_after.as_secs_f64())?;
        policy.set_item("refresh_interval", refresh_interval.as_secs_f64())?;
        Ok(policy)
    }

    /// Return the number of failures in this process since the newest success.
    fn failures(&self) -> u32 {
        guarded(0, || self.inner.failures())
    }

    /// Return the seconds until this process should refresh it; None if there is nothing to refresh.
    fn refresh_due(&self) -> Option<f64> {
        guarded(None, || self.inner.refresh_due()).map(|due| due.as_secs_f64())
    }

    /// Record that an operation succeeded.
    fn record_ok(&self, py: Python<'_>) {
        guarded((), || {
            first_use::call_once(py);
            self.inner.record_ok();
        });
    }

    /// Record that an operation failed, with an exception, its class, or the name of its class.
    ///
    /// `code` and `text` replace those of the exception.
    #[pyo3(signature = (failure, code=None, text=None))]
    fn record_fail(&self, failure: &Bound<'_, PyAny>, code: Option<&str>, text: Option<&str>) {
        guarded((), || {
            first_use::call_once(failure.py());
            self.inner.record_fail(&failure_of(failure, code, text));
        });
    }

    /// Begin an operation.
    ///
    /// `judge` is a tuple of the exception classes that are failures, or a function that says what an
    /// exception means: False is a failure, True a success, None no evidence, and "by_work" a failure
    /// that only work clears. Without it, every `Exception` is a failure.
    #[pyo3(signature = (judge=None))]
    fn begin(&self, py: Python<'_>, judge: Option<Py<PyAny>>) -> Operation {
        let inner = guarded(None, || {
            first_use::call_once(py);
            Some(self.inner.begin())
        });
        Operation { inner: Mutex::new(inner), judge }
    }

    /// Begin a refresh, which is not an operation of the work. Without an answer within 5 s it fails.
    ///
    /// `judge` is as in `begin`.
    #[pyo3(signature = (judge=None))]
    fn begin_refresh(&self, py: Python<'_>, judge: Option<Py<PyAny>>) -> Operation {
        let inner = guarded(None, || {
            first_use::call_once(py);
            Some(self.inner.begin_refresh())
        });
        Operation { inner: Mutex::new(inner), judge }
    }

    /// Say how many operations can be in flight in this process. 0 means unknown.
    fn set_capacity(&self, py: Python<'_>, operations: u32) {
        guarded((), || {
            first_use::call_once(py);
            self.inner.set_capacity(operations);
        });
    }

    /// Return the function, with every call recorded. `judge` is as in `begin`.
    #[pyo3(signature = (function, judge=None))]
    fn wrap<'py>(
        &self,
        function: &Bound<'py, PyAny>,
        judge: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        checked::Checked::make(self.inner, function, judge)
    }

    fn __repr__(&self) -> String {
        format!("<healthboard.Indicator {:?}>", self.name)
    }
}

/// An operation in flight. Its first method call ends it. If dropped before that, it is abandoned.
#[pyclass(frozen, module = "healthboard")]
pub(crate) struct Operation {
    inner: Mutex<Option<healthboard::Operation>>,
    judge: Option<Py<PyAny>>,
}

#[pymethods]
impl Operation {
    /// End it as a success.
    fn ok(&self) {
        guarded((), || self.take().map_or((), healthboard::Operation::ok));
    }

    /// End it as a failure. The arguments are those of `record_fail`.
    #[pyo3(signature = (failure, code=None, text=None))]
    fn fail(&self, failure: &Bound<'_, PyAny>, code: Option<&str>, text: Option<&str>) {
        guarded((), || {
            let Some(operation) = self.take() else { return };
            operation.fail(&failure_of(failure, code, text));
        });
    }

    /// End it without evidence.
    fn end(&self) {
        guarded((), || self.take().map_or((), healthboard::Operation::no_evidence));
    }

    fn __enter__(this: Py<Self>) -> Py<Self> {
        this
    }

    fn __exit__(
        &self,
        _class: &Bound<'_, PyAny>,
        raised: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> bool {
        guarded((), || match self.take() {
            Some(operation) if raised.is_none() => operation.ok(),
            Some(operation) => {
                exception::end(operation, raised, self.judge.as_ref().map(|judge| judge.bind(raised.py())));
            }
            None => (),
        });
        false
    }
}

impl Operation {
    fn take(&self) -> Option<healthboard::Operation> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn failure_of(failure: &Bound<'_, PyAny>, code: Option<&str>, text: Option<&str>) -> Failure {
    let mut failure = exception::failure_of(failure);
    if let Some(code) = code {
        // A text in its place may have a secret.
        if exception::is_word(code) {
            failure.code = code.to_owned();
        }
    }
    if let Some(text) = text {
        failure.text = text.to_owned();
    }
    failure
}

fn impact_named(name: &str) -> PyResult<Impact> {
    let expected = "informational, degrading or critical";
    Impact::from_name(name)
        .ok_or_else(|| PyValueError::new_err(format!("impact: found `{name}`, expected {expected}")))
}

fn duration(option: &str, seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        PyValueError::new_err(format!("{option}: found `{seconds}`, expected seconds, 0 or more"))
    })
}
