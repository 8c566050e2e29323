//! A board in memory with a clock that the test moves, on which `healthboard.testing` is based.

use healthboard::{Clock, Handle, Service, Settings};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// Whether this process records on a board in memory.
static IS_ACTIVE: AtomicBool = AtomicBool::new(false);

pub(crate) fn is_active() -> bool {
    IS_ACTIVE.load(Relaxed)
}

/// A board in memory, in place of the process's own. Recording goes to the newest one.
#[pyclass(frozen, module = "healthboard")]
pub(crate) struct MemoryBoard {
    clock: Clock,
    handle: Handle,
}

#[pymethods]
impl MemoryBoard {
    #[new]
    fn new(service: &str, options: BTreeMap<String, String>) -> PyResult<MemoryBoard> {
        let mut settings = Settings::new(service);
        for (option, value) in &options {
            settings.set(option, value).map_err(|error| PyValueError::new_err(error.to_string()))?;
        }
        let clock = Clock::new();
        let handle = Service::builder(service).settings(settings).default_in_memory(&clock);
        let handle = handle.ok_or_else(|| {
            PyRuntimeError::new_err(
                "health has started in this process, which a board in memory cannot replace",
            )
        })?;
        IS_ACTIVE.store(true, Relaxed);
        Ok(MemoryBoard { clock, handle })
    }

    /// Move the clock forward.
    fn advance(&self, seconds: f64) -> PyResult<()> {
        let by = Duration::try_from_secs_f64(seconds);
        let expected = format!("seconds: found `{seconds}`, expected 0 or more");
        self.clock.advance(by.map_err(|_| PyValueError::new_err(expected))?);
        Ok(())
    }

    /// Return the answer to a probe, as JSON.
    fn report(&self) -> String {
        healthboard::format::json(&self.handle.report())
    }
}
