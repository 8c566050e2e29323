//! `("database", impact = "degrading", ttl = 60)`.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::{ParseStream, Parser};
use syn::{Error, Ident, LitInt, LitStr, Result, Token};

/// What the indicator is made of.
pub(crate) struct Arguments {
    pub(crate) name: String,
    impact: Option<TokenStream>,
    ttl: Option<u64>,
}

impl Arguments {
    /// All mistakes at once.
    pub(crate) fn parse(tokens: TokenStream) -> Result<Arguments> {
        Arguments::from_stream.parse2(tokens)
    }

    /// An expression for the policy, constant.
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
        let mut arguments = Arguments { name: name.value(), impact: None, ttl: None };
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let key: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let known = match key.to_string().as_str() {
                "impact" => mistakes.once(&key, &mut arguments.impact, impact(&input.parse()?)),
                "ttl" => mistakes.once(&key, &mut arguments.ttl, seconds(&input.parse()?)),
                _ => false,
            };
            if !known {
                mistakes.note(Err(Error::new(
                    key.span(),
                    format!("unknown argument `{key}`, expected `impact` or `ttl`"),
                )));
                input.parse::<syn::Lit>()?;
            }
        }
        mistakes.none().map(|()| arguments)
    }
}

/// Errors, gathered.
#[derive(Default)]
pub(crate) struct Mistakes(Option<Error>);

impl Mistakes {
    pub(crate) fn note(&mut self, result: Result<()>) {
        if let Err(error) = result {
            match &mut self.0 {
                Some(errors) => errors.combine(error),
                none => *none = Some(error),
            }
        }
    }

    pub(crate) fn none(self) -> Result<()> {
        self.0.map_or(Ok(()), Err)
    }

    fn once<T>(&mut self, key: &Ident, place: &mut Option<T>, value: Result<T>) -> bool {
        if place.is_some() {
            self.note(Err(Error::new(key.span(), format!("`{key}` is given twice"))));
        }
        self.note(value.map(|value| *place = Some(value)));
        true
    }
}

fn check_name(name: &LitStr) -> Result<()> {
    let text = name.value();
    if text == "progress" {
        return Err(Error::new(name.span(), "`progress` is built in: `healthboard::tick` stamps it"));
    }
    let good = (1..=40).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c));
    if good {
        Ok(())
    } else {
        Err(Error::new(name.span(), "expected a name of 1 to 40 letters, digits, `_`, `-` and `.`"))
    }
}

fn impact(value: &LitStr) -> Result<TokenStream> {
    match value.value().as_str() {
        "critical" => Ok(quote!(Critical)),
        "degrading" => Ok(quote!(Degrading)),
        "informational" => Ok(quote!(Informational)),
        _ => Err(Error::new(value.span(), "expected `critical`, `degrading` or `informational`")),
    }
}

fn seconds(value: &LitInt) -> Result<u64> {
    value.base10_parse().map_err(|_| Error::new(value.span(), "expected whole seconds, 0 (for ever) or more"))
}
