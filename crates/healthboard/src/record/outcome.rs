//! How an operation ended.

use crate::failure::Failure;
use std::fmt::Display;

/// How an operation ended, as evidence for what the indicator stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It works. That includes errors that only a working system returns, such as a missing row or a duplicate key.
    Success,
    /// It does not work, or is not available to this service.
    Failure(Failure),
    /// Neither is known, as with an error in the request itself.
    NoEvidence,
}

impl Outcome {
    /// [`Outcome::Success`] for `Ok`, and what `classify` returns for an error.
    pub fn by<T, E>(result: &Result<T, E>, classify: impl FnOnce(&E) -> Outcome) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => classify(error),
        }
    }
}

/// A value that can be recorded. Every `Err` is a failure: see [`Failure::of`].
pub trait IntoOutcome {
    /// The outcome.
    fn outcome(&self) -> Outcome;
}

impl<T, E: Display> IntoOutcome for Result<T, E> {
    fn outcome(&self) -> Outcome {
        Outcome::by(self, |error| Outcome::Failure(Failure::of(error)))
    }
}

impl IntoOutcome for Outcome {
    fn outcome(&self) -> Outcome {
        self.clone()
    }
}
