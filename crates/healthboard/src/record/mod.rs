//! Recording: what a service calls. Knows nothing of verdicts, formats or readers.

#[doc(hidden)]
pub mod attribute;
mod indicator;
mod lazy;
mod observe;
mod operation;
mod outcome;

pub use indicator::Indicator;
pub use lazy::LazyIndicator;
pub use observe::Observe;
pub use operation::Operation;
pub use outcome::{IntoOutcome, Outcome};
