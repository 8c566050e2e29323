//! How an operation ended.

use crate::failure::Failure;
use std::fmt::Display;

/// How an operation ended, as far as that says something of what the indicator stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It works. Also an error that only comes from a thing that works: a row that is not there, a duplicate key.
    Success,
    /// It is not available to us.
    Failure(Failure),
    /// It says nothing: an error in the request itself.
    NoEvidence,
}

impl Outcome {
    /// [`Outcome::Success`] for `Ok`, and what `classify` makes of an error.
    pub fn by<T, E>(result: &Result<T, E>, classify: impl FnOnce(&E) -> Outcome) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => classify(error),
        }
    }
}

/// What a recorded value says: every `Err` is a failure, see [`Failure::of`].
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
