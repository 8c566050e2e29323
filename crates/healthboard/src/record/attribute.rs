//! What `#[healthcheck]` expands to. Not for use by hand.
//!
//! Which outcome a returned value is, is decided by the compiler's search for a method: it looks at `&&Outcome` first, then
//! at `&Outcome`, then at `Outcome`, and takes the first implementation that fits the type.

use super::{LazyIndicator, Operation};
use crate::config::ErrorDetail;
use crate::failure::{Failure, class};
use crate::process::DEFAULT;
use std::fmt::Display;
use std::thread::panicking;

/// A call in progress. Dropped while it unwinds, it is a failure of the class `panic`; dropped otherwise, it is none.
#[must_use]
pub struct Running {
    operation: Option<Operation>,
    /// A call made by a destructor in the middle of another panic may well succeed.
    unwinding: bool,
}

impl Running {
    /// The call begins.
    #[inline]
    pub fn begin(indicator: &LazyIndicator) -> Running {
        Running { operation: Some(indicator.begin()), unwinding: panicking() }
    }

    #[inline]
    fn ok(mut self) {
        if let Some(operation) = self.operation.take() {
            operation.ok();
        }
    }

    #[cold]
    fn fail<E>(mut self, text: impl FnOnce() -> String) {
        if let Some(operation) = self.operation.take() {
            let text = if DEFAULT.error_detail() == ErrorDetail::Message { text() } else { String::new() };
            operation.fail(&Failure::new(class(std::any::type_name::<E>())).text(text));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(operation) = self.operation.take_if(|_| panicking() && !self.unwinding) {
            operation.fail(&Failure::new("panic"));
        }
    }
}

/// What a call returned.
pub struct Outcome<'a, T>(pub &'a T);

/// A result whose error can be displayed.
pub trait DisplayError {
    /// Records it.
    fn end(&self, running: Running);
}

/// Any other result.
pub trait AnyError {
    /// Records it.
    fn end(&self, running: Running);
}

/// Anything else is a success.
pub trait AnyOutcome {
    /// Records it.
    fn end(&self, running: Running);
}

impl<T, E: Display> DisplayError for &&Outcome<'_, Result<T, E>> {
    #[inline]
    fn end(&self, running: Running) {
        match self.0 {
            Ok(_) => running.ok(),
            Err(error) => running.fail::<E>(|| error.to_string()),
        }
    }
}

impl<T, E> AnyError for &Outcome<'_, Result<T, E>> {
    #[inline]
    fn end(&self, running: Running) {
        match self.0 {
            Ok(_) => running.ok(),
            Err(_) => running.fail::<E>(String::new),
        }
    }
}

impl<T> AnyOutcome for Outcome<'_, T> {
    #[inline]
    fn end(&self, running: Running) {
        running.ok();
    }
}
