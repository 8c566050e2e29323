//! The attribute of the crate `healthboard`, which re-exports it. It depends only on `LazyIndicator`.

mod arguments;
mod expand;
mod function;
mod parameters;

use proc_macro::TokenStream;

/// Records every call of a function as an operation of an indicator.
///
/// ```
/// use healthboard::{Failure, Outcome, healthcheck};
/// # use std::{io, num::ParseIntError};
///
/// #[healthcheck("database")]
/// fn services(db: &str) -> Result<u32, ParseIntError> {
///     db.parse()
/// }
///
/// #[healthcheck("image", impact = "informational", ttl = 60, classify = outcome)]
/// async fn fetch(id: u32) -> io::Result<Vec<u8>> {
///     // …
/// #   Ok(vec![0; id as usize])
/// }
///
/// fn outcome(error: &io::Error) -> Outcome {
///     match error.kind() {
///         io::ErrorKind::NotFound => Outcome::Success,
///         _ => Outcome::Failure(Failure::of(error)),
///     }
/// }
/// ```
///
/// The attribute goes on functions, methods and associated functions, including those of a trait that have a body. The
/// function keeps its signature, its result, its panics, and the compiler's diagnostics for its body. It adds some
/// nanoseconds to a call.
///
/// # What is recorded
///
/// | the call | is recorded as |
/// | --- | --- |
/// | returns `Ok(…)` | success |
/// | returns `Err(e)` | failure: its class is the name of the error's type, its text what `Display` prints, if it can |
/// | returns anything that is not a `Result` | success |
/// | panics | failure of the class `panic` |
/// | is a future that is dropped before it ends | an abandoned operation: no evidence before `slow_after`, 10 s |
/// | has not ended yet | an operation in flight: when it takes too long, the indicator is stuck or stalled |
///
/// A timeout around a recorded future drops it. Put the timeout inside the function, so that it is an `Err`.
///
/// Not every error means that something is broken: see [`classify`](#classify). The text of an error is kept only with
/// `error_detail = message`, without secrets; otherwise `Display` is not called.
///
/// A `Result` is recognised by its type in the function. That includes `impl Trait`, if the body returns a `Result`,
/// and excludes a type parameter: a call of `fn same<T>(value: T) -> T` is always a success.
///
/// An operation begins with the call. That of an `async fn` begins with the first poll of its future; a future that is
/// never polled records nothing.
///
/// # Name
///
/// ```
/// # use healthboard::healthcheck;
/// #[healthcheck("database")]
/// # fn query() {}
/// ```
///
/// The first argument is the indicator's name: 1 to 64 letters, digits and `_.:-`. Functions with the same name share one
/// indicator. The name `progress` is refused: `healthboard::tick` records it.
///
/// # `impact`
///
/// ```
/// # use healthboard::healthcheck;
/// #[healthcheck("database", impact = "degrading")]
/// # fn query() {}
/// ```
///
/// How much the service depends on what the indicator stands for:
///
/// - `"critical"`, the default: without it the service is `FAULT`.
/// - `"degrading"`: without it the service is `DEGRADED`.
/// - `"informational"`: reported, without an effect on the status.
///
/// # `ttl`
///
/// ```
/// # use healthboard::healthcheck;
/// #[healthcheck("database", ttl = 60)]
/// # fn query() {}
/// ```
///
/// For how many whole seconds an outcome is fresh: 0 is for ever. Without it, and with 300, the `ttl` in `[healthcheck]`
/// counts, whose default is 300. When the newest outcome is older, the indicator is stale.
///
/// An operator can override `impact` and `ttl` in `[healthcheck:NAME]`. If functions with the same name differ in them,
/// the first one that is called decides.
///
/// # `classify`
///
/// ```
/// # use healthboard::{Failure, Outcome, healthcheck};
/// #[healthcheck("database", classify = outcome)]
/// fn insert(row: &str) -> Result<(), Error> {
///     // …
/// #   Err(Error::Duplicate)
/// }
///
/// fn outcome(error: &Error) -> Outcome {
///     match error {
///         // The database has answered.
///         Error::Duplicate => Outcome::Success,
///         // The caller gave up. That says nothing about the database.
///         Error::Cancelled => Outcome::NoEvidence,
///         Error::Server { code } => {
///             Outcome::Failure(Failure { code: code.to_string(), ..Failure::new("ServerError") })
///         }
///     }
/// }
/// # enum Error { Duplicate, Cancelled, Server { code: u16 } }
/// # assert!(insert("").is_err());
/// ```
///
/// The path of a function `fn(&E) -> healthboard::Outcome`, for a function that returns `Result<T, E>`. It maps each
/// error to an outcome: a success, since the thing has answered; a failure, with its class, code and text; or no
/// evidence. `Self::outcome` is a path, too, and the function may be generic.
///
/// The path is resolved inside the function, where a parameter of the same name hides it.
///
/// # Refused functions
///
/// - `const fn`: it may run in the compiler.
/// - A function that returns a future without being an `async fn`: the outcome is not known when it returns. Methods under
///   `#[async_trait]` are such functions; put the attribute on a function that they call.
/// - `#[track_caller]`: the body runs in a closure, which that attribute does not reach.
///
/// # Notes
///
/// - Other attributes may stand above or below.
/// - Arguments are dropped in the order in which a plain function drops them, before the outcome is recorded.
/// - The future of a recorded `async fn` stores the arguments twice, so it is larger by their size.
/// - In a function that takes `mut self`, the compiler no longer warns about assignments that are never read.
#[proc_macro_attribute]
pub fn healthcheck(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(arguments.into(), item.into()).into()
}
