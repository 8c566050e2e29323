//! The attribute of the crate `healthboard`, which re-exports it. Knows nothing but the indicator it calls.

mod arguments;
mod expand;

use proc_macro::TokenStream;

/// Records every call of a function as an outcome of an indicator.
///
/// ```
/// use healthboard::healthcheck;
///
/// #[healthcheck("database")]
/// fn services(db: &str) -> Result<u32, std::num::ParseIntError> {
///     db.parse()
/// }
///
/// #[healthcheck("image", impact = "informational", ttl = 60)]
/// async fn fetch(id: u32) -> Option<Vec<u8>> {
///     Some(vec![0; id as usize])
/// }
/// ```
///
/// It goes on functions, methods and associated functions, `async` or not, generic or not. The function keeps its
/// signature, its result and its panics; a call costs some nanoseconds more.
///
/// # What counts
///
/// | the call | is recorded as |
/// | --- | --- |
/// | returns `Ok(…)` | success |
/// | returns `Err(e)` | failure: its class is the name of the error's type, its text what `Display` says, if the type has it |
/// | returns anything that is not a `Result` | success |
/// | panics | failure of the class `panic` |
/// | is a future that is dropped before its end | nothing, but the operation is no longer in flight |
/// | has not ended yet | an operation in flight: if none ends for too long, the indicator is stalled |
///
/// Only a return type in which the compiler sees a `Result` counts as one: neither a type parameter nor `impl Trait` does.
/// The text is kept without secrets, and only with `error_detail = message`.
///
/// # Name
///
/// The first argument: 1 to 40 letters, digits, `_`, `-` and `.`. Functions with the same name share one indicator.
/// `progress` is built in and stamped by `healthboard::tick`.
///
/// # `impact`
///
/// `"critical"` (the default), `"degrading"` or `"informational"`: how much the service depends on it.
///
/// # `ttl`
///
/// Whole seconds for which an outcome counts; 300 by default, 0 is for ever.
///
/// What an operator sets in `[healthcheck:NAME]` overrides both. Where functions of one name differ in them, the first that
/// is called decides.
///
/// # What it refuses
///
/// `const fn`, and functions that return a future without being `async`: their outcome is not known when they return.
/// Methods under `#[async_trait]` are such functions; put the attribute on a function that they call.
#[proc_macro_attribute]
pub fn healthcheck(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::expand(arguments.into(), item.into()).into()
}
