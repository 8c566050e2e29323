//! The function around the user's function body.

use crate::arguments::{Arguments, Mistakes};
use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned as _;
use syn::{Attribute, Error, Result, ReturnType, Signature, Visibility};

/// The recording function, or the user's own with all that is wrong: then only that is reported, not its callers too.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut mistakes = Mistakes::default();
    let arguments = Arguments::parse(arguments).map_err(|error| mistakes.note(Err(error))).ok();
    let function = syn::parse2::<Function>(item.clone()).map_err(|error| mistakes.note(Err(error))).ok();
    if let Some(function) = &function {
        mistakes.note(function.check_not_const());
        mistakes.note(function.check_outcome_is_returned());
    }
    match (mistakes.none(), arguments, function) {
        (Ok(()), Some(arguments), Some(function)) => function.recording(&arguments),
        (result, ..) => {
            let errors = result.err().map(Error::into_compile_error);
            quote!(#item #errors)
        }
    }
}

/// A function whose body is not looked into.
struct Function {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    signature: Signature,
    body: TokenStream,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Function> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let not_a_function =
            |error: Error| Error::new(error.span(), "expected a function: `#[healthcheck]` records calls");
        let signature = input.parse().map_err(not_a_function)?;
        if !input.peek(syn::token::Brace) {
            return Err(
                input.error("expected a function with a body: `#[healthcheck]` goes on the implementation")
            );
        }
        Ok(Function { attributes, visibility, signature, body: input.parse()? })
    }
}

impl Function {
    fn recording(&self, arguments: &Arguments) -> TokenStream {
        let Function { attributes, visibility, signature, body } = self;
        let (name, policy) = (&arguments.name, arguments.policy());
        let body = match self.plain_return_type() {
            None => body.clone(),
            // Tells the compiler the type that `?` and `into` are to end in, which a closure would hide.
            Some(returned) => quote_spanned! {Span::mixed_site().located_at(returned.span())=>
                {
                    if false {
                        let returned: #returned = loop {};
                        return returned;
                    }
                    #body
                }
            },
        };
        // In a closure of its own, so that `return` and `?` end up here.
        let call = match signature.asyncness {
            Some(_) => quote!(async move #body.await),
            None => quote!((move || #body)()),
        };
        // Mixed site: the names here are invisible to the body, and the body's names here.
        quote_spanned! {Span::mixed_site()=>
            #(#attributes)*
            #visibility #signature {
                let running = {
                    static INDICATOR: ::healthboard::LazyIndicator = ::healthboard::LazyIndicator::new(#name, #policy);
                    ::healthboard::attribute::Running::begin(&INDICATOR)
                };
                #[allow(
                    unreachable_code,
                    clippy::diverging_sub_expression,
                    clippy::let_unit_value,
                    clippy::redundant_async_block,
                    clippy::redundant_closure_call,
                    clippy::unused_unit,
                    reason = "written by #[healthcheck] around any body"
                )]
                {
                    let outcome = #call;
                    {
                        use ::healthboard::attribute::{AnyError as _, AnyOutcome as _, DisplayError as _};
                        (&&&::healthboard::attribute::Outcome(&outcome)).end(running);
                    }
                    outcome
                }
            }
        }
    }

    /// The return type where it can be written inside the body as well.
    fn plain_return_type(&self) -> Option<TokenStream> {
        match &self.signature.output {
            ReturnType::Default => Some(quote!(())),
            ReturnType::Type(_, returned) if mentions(returned, &["impl"]) => None,
            ReturnType::Type(_, returned) => Some(returned.to_token_stream()),
        }
    }

    fn check_not_const(&self) -> Result<()> {
        match &self.signature.constness {
            Some(constness) => Err(Error::new_spanned(
                constness,
                "a `const fn` cannot record, since it may run in the compiler",
            )),
            None => Ok(()),
        }
    }

    /// An outcome recorded when the future is made would be false evidence.
    fn check_outcome_is_returned(&self) -> Result<()> {
        match &self.signature.output {
            ReturnType::Type(_, returned)
                if mentions(returned, &["Future", "BoxFuture", "LocalBoxFuture"]) =>
            {
                let text = "the outcome of a returned future is not known yet: write `async fn`, or put the attribute on the \
                            function that does the work";
                Err(Error::new_spanned(returned, text))
            }
            _ => Ok(()),
        }
    }
}

fn mentions(tokens: &impl ToTokens, words: &[&str]) -> bool {
    fn any(tokens: TokenStream, words: &[&str]) -> bool {
        tokens.into_iter().any(|tree| match tree {
            TokenTree::Ident(ident) => words.iter().any(|word| ident == word),
            TokenTree::Group(group) => any(group.stream(), words),
            _ => false,
        })
    }
    any(tokens.to_token_stream(), words)
}
