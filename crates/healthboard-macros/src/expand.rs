//! Generates the recording function around the body of the user's function.

use crate::arguments::{Arguments, Mistakes};
use crate::function::{Body, Function};
use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::Error;

/// The recording function. If there are mistakes, the user's own function and all errors, so that its callers get no
/// errors as well.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let arguments = mistakes.keep(Arguments::parse(arguments));
    let function = mistakes.keep(syn::parse2::<Function>(item.clone()));
    if let Some(function) = &function {
        mistakes.note(function.check());
    }
    match (mistakes.none(), arguments, function) {
        (Ok(()), Some(arguments), Some(function)) => recording(function, &arguments),
        (result, ..) => {
            let errors = result.err().map(Error::into_compile_error);
            quote!(#item #errors)
        }
    }
}

/// Three things keep the function as it was:
///
/// - Its body runs in a closure or an `async` block, which `return` and `?` leave. The closure is passed to a function
///   that takes an `FnOnce`, so it may return what it has captured: `&mut self.field`.
/// - Its return type is inferred from `return never(returned)`, which the compiler checks against the function's
///   signature. No return type is written a second time, so it may be `impl Trait` or have elided lifetimes.
/// - The parameters become variables of the closure, in their order. They are dropped in the reverse order when the body ends,
///   after the temporaries of its last expression, and lints about them point at the user's names.
fn recording(mut function: Function, arguments: &Arguments) -> TokenStream {
    let variables = crate::parameters::move_into_body(&mut function.signature.inputs);
    let Function { attributes, visibility, signature, body: Body { inner_attributes, block } } = &function;
    let begin = begin(arguments);
    let work = if function.never_returns() {
        // Code after the body is never reached. The body can only end by a panic, which `running` records.
        let run = run(&function, &variables, None);
        quote_spanned!(Span::mixed_site()=> match #run {})
    } else {
        let pin_type = quote_spanned! {function.returned_span()=>
            if false {
                return ::healthboard::attribute::never(returned);
            }
        };
        let run = run(&function, &variables, Some(&pin_type));
        let record = record(&function, arguments);
        let allowed = function.receiver_is_mutable().then(|| {
            // The compiler reports a last assignment to a field of a captured `self` as unused, though its `drop` may
            // read it.
            quote_spanned!(Span::mixed_site()=> #[allow(unused_assignments, reason = "written by #[healthcheck]")])
        });
        quote_spanned! {Span::mixed_site()=>
            let returned = ::healthboard::attribute::Returned::TYPE;
            #pin_type
            #allowed
            let outcome = #run;
            { #record }
            outcome
        }
    };
    // Mixed site: the names here are invisible to the body, and the body's names here.
    let body = quote_spanned! {Span::mixed_site()=>
        let running = #begin;
        #work
    };
    let mut body = Group::new(Delimiter::Brace, body);
    // The span is the author's: some lints, such as that for an unused function, ignore code from macros.
    body.set_span(block.span());
    quote_spanned! {Span::mixed_site()=>
        #(#attributes)*
        #(#inner_attributes)*
        #visibility #signature #body
    }
}

fn begin(arguments: &Arguments) -> TokenStream {
    let (name, policy) = (&arguments.name, arguments.policy());
    quote_spanned! {Span::mixed_site()=>
        {
            static INDICATOR: ::healthboard::LazyIndicator = ::healthboard::LazyIndicator::new(#name, #policy);
            INDICATOR.begin()
        }
    }
}

/// The body. It keeps its own span, and with it the edition of its author. The braces around it have the edition of this crate,
/// 2024, in which the temporaries of a block's last expression are dropped before the block's variables. The label keeps the
/// compiler from finding the body's braces unnecessary.
///
/// Without `pin_type` the function never returns.
fn run(function: &Function, variables: &TokenStream, pin_type: Option<&TokenStream>) -> TokenStream {
    let block = &function.body.block;
    // The compiler points here if the block has no value, as in a plain function.
    let no_value = match function.signature.asyncness {
        None => function.returned_span(),
        Some(_) => Span::mixed_site().located_at(block.span()),
    };
    let body = quote_spanned!(no_value=> '_body: #block);
    match (function.signature.asyncness, pin_type) {
        (None, None) => quote_spanned! {Span::mixed_site()=>
            ::healthboard::attribute::call(::healthboard::attribute::NEVER, move || { #variables #body })
        },
        (None, Some(_)) => quote_spanned! {Span::mixed_site()=>
            ::healthboard::attribute::call(returned, move || { #variables #body })
        },
        (Some(_), None) => quote_spanned! {Span::mixed_site()=>
            ::healthboard::attribute::never_ready(async move { #variables #body }).await
        },
        (Some(_), Some(pin_type)) => quote_spanned! {Span::mixed_site()=>
            async move { #pin_type #variables #body }.await
        },
    }
}

fn record(function: &Function, arguments: &Arguments) -> TokenStream {
    match &arguments.classify {
        None => quote_spanned! {Span::mixed_site()=>
            use ::healthboard::attribute::{AnyError as _, AnyValue as _, DisplayError as _};
            (&&&::healthboard::attribute::Ended(&outcome)).record(running);
        },
        Some(classify) => {
            let outcome = quote_spanned!(function.returned_span()=> &outcome);
            quote_spanned! {Span::mixed_site()=>
                ::healthboard::attribute::record_classified(running, #outcome, #classify);
            }
        }
    }
}
