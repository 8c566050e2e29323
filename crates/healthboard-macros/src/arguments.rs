//! The arguments of the attribute: `("database", impact = "degrading", ttl = 60, classify = outcome)`.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::{Error, Expr, ExprLit, ExprPath, Ident, Lit, LitStr, Result, Token};

const MAX_NAME: usize = 64;

/// The parsed arguments.
pub(crate) struct Arguments {
    pub(crate) name: String,
    impact: Option<TokenStream>,
    ttl: Option<u64>,
    pub(crate) classify: Option<ExprPath>,
}

impl Arguments {
    /// Reports all mistakes at once.
    pub(crate) fn parse(tokens: TokenStream) -> Result<Arguments> {
        Arguments::from_stream.parse2(tokens)
    }

    /// A constant expression for the policy.
    pub(crate) fn policy(&self) -> TokenStream {
        let impact = self.impact.iter();
        let ttl = self.ttl.iter();
        quote! {
            ::healthboard::Policy {
                #(impact: ::healthboard::Impact::#impact,)*
                #(ttl: ::core::time::Duration::from_secs(#ttl),)*
                ..::healthboard::Policy::DEFAULT
            }
        }
    }

    fn from_stream(input: ParseStream<'_>) -> Result<Arguments> {
        if !input.peek(LitStr) {
            let span = if input.is_empty() { Span::call_site() } else { input.span() };
            return Err(Error::new(
                span,
                "expected the indicator's name first: `#[healthcheck(\"database\")]`",
            ));
        }
        let mut mistakes = Mistakes::default();
        let name: LitStr = input.parse()?;
        mistakes.note(check_name(&name));
        let mut arguments = Arguments { name: name.value(), impact: None, ttl: None, classify: None };
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let key: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let value: Expr = input.parse()?;
            match key.to_string().as_str() {
                "impact" => mistakes.once(&key, &mut arguments.impact, impact(&value)),
                "ttl" => mistakes.once(&key, &mut arguments.ttl, seconds(&value)),
                "classify" => mistakes.once(&key, &mut arguments.classify, function(value)),
                _ => mistakes.note(Err(Error::new(
                    key.span(),
                    format!("unknown argument `{key}`, expected `impact`, `ttl` or `classify`"),
                ))),
            }
        }
        mistakes.none().map(|()| arguments)
    }
}

/// Collects errors.
#[derive(Default)]
pub(crate) struct Mistakes(Option<Error>);

impl Mistakes {
    pub(crate) fn note(&mut self, result: Result<()>) {
        self.keep(result);
    }

    pub(crate) fn keep<T>(&mut self, result: Result<T>) -> Option<T> {
        match (result, &mut self.0) {
            (Ok(value), _) => return Some(value),
            (Err(error), Some(errors)) => errors.combine(error),
            (Err(error), none) => *none = Some(error),
        }
        None
    }

    pub(crate) fn none(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }

    fn once<T>(&mut self, key: &Ident, place: &mut Option<T>, value: Result<T>) {
        if place.is_some() {
            self.note(Err(Error::new(key.span(), format!("`{key}` is given twice"))));
        }
        if let Some(value) = self.keep(value) {
            *place = Some(value);
        }
    }
}

fn check_name(name: &LitStr) -> Result<()> {
    let text = name.value();
    if text == "progress" {
        return Err(Error::new(name.span(), "`progress` is built in: `healthboard::tick` stamps it"));
    }
    let good = (1..=MAX_NAME).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c));
    if good {
        Ok(())
    } else {
        Err(Error::new(name.span(), "expected a name of 1 to 64 letters, digits and `_.:-`"))
    }
}

fn impact(value: &Expr) -> Result<TokenStream> {
    let text = match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => text.value(),
        _ => String::new(),
    };
    match text.as_str() {
        "critical" => Ok(quote!(Critical)),
        "degrading" => Ok(quote!(Degrading)),
        "informational" => Ok(quote!(Informational)),
        _ => Err(at(value, "expected `\"critical\"`, `\"degrading\"` or `\"informational\"`")),
    }
}

fn seconds(value: &Expr) -> Result<u64> {
    let seconds = match value {
        Expr::Lit(ExprLit { lit: Lit::Int(seconds), .. }) if seconds.suffix().is_empty() => {
            seconds.base10_parse().ok()
        }
        _ => None,
    };
    seconds.ok_or_else(|| at(value, "expected whole seconds, 0 (for ever) or more"))
}

fn function(value: Expr) -> Result<ExprPath> {
    match value {
        Expr::Path(path) => Ok(path),
        other => Err(at(&other, "expected the path of a function `fn(&E) -> healthboard::Outcome`")),
    }
}

fn at(value: &Expr, text: &str) -> Error {
    Error::new_spanned(value.to_token_stream(), text)
}
