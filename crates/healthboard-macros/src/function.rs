//! The user's function, and checks whether it can be recorded.

use crate::arguments::Mistakes;
use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::{AttrStyle, Attribute, Error, Result, ReturnType, Signature, Type, Visibility};

pub(crate) struct Function {
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) visibility: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: Body,
}

/// The body. It is not parsed, except for inner attributes such as `#![allow(…)]`.
pub(crate) struct Body {
    /// Converted to outer attributes: a block inside a function may not have inner ones.
    pub(crate) inner_attributes: Vec<Attribute>,
    pub(crate) block: Group,
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

impl Parse for Body {
    fn parse(input: ParseStream<'_>) -> Result<Body> {
        let Some(group) = block(input.parse()?) else {
            return Err(input.error("expected a function's body"));
        };
        let split =
            |input: ParseStream<'_>| Ok((Attribute::parse_inner(input)?, input.parse::<TokenStream>()?));
        let (mut inner_attributes, statements) = split.parse2(group.stream())?;
        if inner_attributes.is_empty() {
            return Ok(Body { inner_attributes, block: group });
        }
        for attribute in &mut inner_attributes {
            attribute.style = AttrStyle::Outer;
        }
        let mut rest = Group::new(group.delimiter(), statements);
        rest.set_span(group.span());
        Ok(Body { inner_attributes, block: rest })
    }
}

/// The block in these tokens. A block that a macro has captured is in a group without delimiters.
fn block(tokens: TokenStream) -> Option<Group> {
    match tokens.into_iter().next()? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => block(group.stream()),
        TokenTree::Group(group) => Some(group),
        _ => None,
    }
}

impl Function {
    /// Reports all errors at once.
    pub(crate) fn check(&self) -> Result<()> {
        let mut mistakes = Mistakes::default();
        mistakes.note(self.check_not_const());
        mistakes.note(self.check_outcome_is_returned());
        mistakes.note(self.check_no_track_caller());
        mistakes.none()
    }

    pub(crate) fn never_returns(&self) -> bool {
        let ReturnType::Type(_, returned) = &self.signature.output else { return false };
        let mut returned = &**returned;
        // A type that a macro has captured.
        while let Type::Group(group) = returned {
            returned = &group.elem;
        }
        matches!(returned, Type::Never(_))
    }

    pub(crate) fn receiver_is_mutable(&self) -> bool {
        self.signature.receiver().is_some_and(|receiver| receiver.mutability.is_some())
    }

    /// Where the compiler should report that a type is not the function's return type.
    pub(crate) fn returned_span(&self) -> Span {
        let here = match &self.signature.output {
            ReturnType::Default => self.signature.ident.span(),
            ReturnType::Type(_, returned) => returned.span(),
        };
        Span::mixed_site().located_at(here)
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

    fn check_no_track_caller(&self) -> Result<()> {
        match self.attributes.iter().find(|attribute| attribute.path().is_ident("track_caller")) {
            Some(attribute) => {
                let text = "`#[track_caller]` does not reach the body of a recorded function: put `#[healthcheck]` on a \
                            function that this one calls";
                Err(Error::new_spanned(attribute.path(), text))
            }
            None => Ok(()),
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
