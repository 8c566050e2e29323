//! What `#[healthcheck]` expands to. Not for use by hand.
//!
//! What a returned value is worth is decided by the compiler's search for a method: it looks at `&&Ended` first, then at
//! `&Ended`, then at `Ended`, and takes the first implementation that fits the type.

use super::{LazyIndicator, Operation, Outcome};
use crate::config::ErrorDetail;
use crate::failure::{Failure, class};
use crate::process::DEFAULT;
use std::convert::Infallible;
use std::fmt::Display;
use std::marker::PhantomData;
use std::thread::panicking;

/// A call in progress. Dropped while it unwinds, it is a failure of the class `panic`; dropped otherwise, it was abandoned.
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
    fn end(mut self, outcome: &Outcome) {
        if let Some(operation) = self.operation.take() {
            operation.end(outcome);
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

/// The type that a function returns. It has no influence on what is `Send`.
pub struct Returned<T>(PhantomData<fn() -> T>);

impl<T> Returned<T> {
    /// Whichever the compiler infers.
    pub const TYPE: Returned<T> = Returned(PhantomData);
}

impl<T> Clone for Returned<T> {
    fn clone(&self) -> Returned<T> {
        *self
    }
}

impl<T> Copy for Returned<T> {}

/// Has the type that a function returns, in a place that is never reached.
pub fn never<T>(_: Returned<T>) -> T {
    unreachable!("the attribute's code calls this under `if false`")
}

/// The type of a function that never returns: `!` cannot be named here.
pub const NEVER: Returned<Infallible> = Returned::TYPE;

/// Says what a future of such a function would have as its output.
pub fn never_ready<F: Future<Output = Infallible>>(body: F) -> F {
    body
}

/// Runs the body of a function, which may give away what it has captured.
#[inline(always)]
pub fn call<T>(_: Returned<T>, body: impl FnOnce() -> T) -> T {
    body()
}

/// Records what the function's own classifier says of an error.
#[inline]
pub fn record_classified<T, E>(running: Running, outcome: &Result<T, E>, classify: fn(&E) -> Outcome) {
    match outcome {
        Ok(_) => running.ok(),
        Err(error) => running.end(&classify(error)),
    }
}

/// What a call returned.
pub struct Ended<'a, T>(pub &'a T);

/// A result whose error can be displayed.
pub trait DisplayError {
    /// Records it.
    fn record(&self, running: Running);
}

/// Any other result.
pub trait AnyError {
    /// Records it.
    fn record(&self, running: Running);
}

/// Anything else is a success.
pub trait AnyValue {
    /// Records it.
    fn record(&self, running: Running);
}

impl<T, E: Display> DisplayError for &&Ended<'_, Result<T, E>> {
    #[inline]
    fn record(&self, running: Running) {
        match self.0 {
            Ok(_) => running.ok(),
            // An error may be expensive to display, and its text is thrown away unless the operator wants it.
            Err(error) if DEFAULT.error_detail() == ErrorDetail::Message => {
                running.end(&Outcome::Failure(Failure::of(error)))
            }
            Err(_) => running.end(&Outcome::Failure(Failure::new(class(std::any::type_name::<E>())))),
        }
    }
}

impl<T, E> AnyError for &Ended<'_, Result<T, E>> {
    #[inline]
    fn record(&self, running: Running) {
        match self.0 {
            Ok(_) => running.ok(),
            Err(_) => running.end(&Outcome::Failure(Failure::new(class(std::any::type_name::<E>())))),
        }
    }
}

impl<T> AnyValue for Ended<'_, T> {
    #[inline]
    fn record(&self, running: Running) {
        running.ok();
    }
}
