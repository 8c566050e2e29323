//! Helpers for the code that `#[healthcheck]` expands to. They are not a public interface.
//!
//! Method resolution maps a returned value to an outcome: the compiler tries `&&Ended` first, then `&Ended`, then
//! `Ended`, and takes the first implementation that fits the type.

use super::{Operation, Outcome};
use crate::config::ErrorDetail;
use crate::failure::{Failure, class};
use crate::process::DEFAULT;
use std::convert::Infallible;
use std::fmt::Display;
use std::marker::PhantomData;

/// The return type of a function. It does not affect whether a future is `Send`.
pub struct Returned<T>(PhantomData<fn() -> T>);

impl<T> Returned<T> {
    /// The value, with the type that the compiler infers.
    pub const TYPE: Returned<T> = Returned(PhantomData);
}

impl<T> Clone for Returned<T> {
    fn clone(&self) -> Returned<T> {
        *self
    }
}

impl<T> Copy for Returned<T> {}

/// An expression of the function's return type, for code that is never reached.
pub fn never<T>(_: Returned<T>) -> T {
    unreachable!("the attribute's code calls this under `if false`")
}

/// The return type of a function that never returns: `!` cannot be named here.
pub const NEVER: Returned<Infallible> = Returned::TYPE;

/// Gives the future of a function that never returns an output type.
pub fn never_ready<F: Future<Output = Infallible>>(body: F) -> F {
    body
}

/// Runs the body of a function. The body may consume its captures.
#[inline(always)]
pub fn call<T>(_: Returned<T>, body: impl FnOnce() -> T) -> T {
    body()
}

/// Records success, or the outcome that the function's own `classify` returns for the error.
#[inline]
pub fn record_classified<T, E>(operation: Operation, outcome: &Result<T, E>, classify: fn(&E) -> Outcome) {
    match outcome {
        Ok(_) => operation.ok(),
        Err(error) => operation.end(&classify(error)),
    }
}

/// The value that a call returned.
pub struct Ended<'a, T>(pub &'a T);

/// A result whose error can be displayed.
pub trait DisplayError {
    /// Records it.
    fn record(&self, operation: Operation);
}

/// Any other result.
pub trait AnyError {
    /// Records it.
    fn record(&self, operation: Operation);
}

/// Anything else is a success.
pub trait AnyValue {
    /// Records it.
    fn record(&self, operation: Operation);
}

impl<T, E: Display> DisplayError for &&Ended<'_, Result<T, E>> {
    #[inline]
    fn record(&self, operation: Operation) {
        match self.0 {
            Ok(_) => operation.ok(),
            // An error may be expensive to display, and its text is kept only with `error_detail = message`.
            Err(error) if DEFAULT.error_detail() == ErrorDetail::Message => {
                operation.end(&Outcome::Failure(Failure::of(error)))
            }
            Err(_) => operation.end(&Outcome::Failure(Failure::new(class(std::any::type_name::<E>())))),
        }
    }
}

impl<T, E> AnyError for &Ended<'_, Result<T, E>> {
    #[inline]
    fn record(&self, operation: Operation) {
        match self.0 {
            Ok(_) => operation.ok(),
            Err(_) => operation.end(&Outcome::Failure(Failure::new(class(std::any::type_name::<E>())))),
        }
    }
}

impl<T> AnyValue for Ended<'_, T> {
    #[inline]
    fn record(&self, operation: Operation) {
        operation.ok();
    }
}
