//! What `#[healthcheck]` expands to. Not for use by hand.
//!
//! Which outcome a returned value is, is decided by the compiler's search for a method: it looks at `&&Outcome` first, then
//! at `&Outcome`, then at `Outcome`, and takes the first implementation that fits the type.

use crate::{ErrorDetail, LazyIndicator, Operation, process};
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
            let text = if process::error_detail() == ErrorDetail::Message { text() } else { String::new() };
            operation.fail(&class(std::any::type_name::<E>()), "", &text);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(operation) = self.operation.take_if(|_| panicking() && !self.unwinding) {
            operation.fail("panic", "", "");
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

/// The last part of a type's path; of a plain `Error` also whose it is: `io::Error`.
fn class(type_name: &str) -> String {
    let path = type_name.trim_start_matches('&').split('<').next().unwrap_or_default();
    let mut parts = path.rsplit("::");
    match (parts.next(), parts.find(|part| !matches!(*part, "error" | "errors"))) {
        (Some("Error"), Some(owner)) => format!("{owner}::Error"),
        (last, _) => last.unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_says_whose_error_it_is() {
        for (type_name, expected) in [
            (std::any::type_name::<std::io::Error>(), "io::Error"),
            (std::any::type_name::<std::num::ParseIntError>(), "ParseIntError"),
            (std::any::type_name::<&std::fmt::Error>(), "fmt::Error"),
            (std::any::type_name::<Box<dyn std::error::Error>>(), "Box"),
            (std::any::type_name::<()>(), "()"),
            ("rusqlite::error::Error", "rusqlite::Error"),
            ("Error", "Error"),
        ] {
            assert_eq!(class(type_name), expected, "{type_name}");
        }
    }
}
