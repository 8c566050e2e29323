//! Turns the parameters into variables of the body.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens as _, quote_spanned};
use syn::punctuated::Punctuated;
use syn::{Attribute, FnArg, Ident, Pat, PatIdent, Token};

/// `let` statements that take over the parameters, one for each. The parameters keep their types, and their names where they
/// have one: `mut` and patterns move into the statements.
pub(crate) fn move_into_body(parameters: &mut Punctuated<FnArg, Token![,]>) -> TokenStream {
    parameters.iter_mut().enumerate().map(|(position, parameter)| take_over(position, parameter)).collect()
}

fn take_over(position: usize, parameter: &mut FnArg) -> TokenStream {
    let parameter = match parameter {
        FnArg::Receiver(receiver) => {
            // Captures all of it, and not only the fields that the body mentions.
            let this = receiver.self_token;
            return quote_spanned!(Span::mixed_site()=> let _ = &#this;);
        }
        FnArg::Typed(parameter) => parameter,
    };
    // Lint attributes move to the statement, where they apply; `cfg` stays on both.
    let attributes = parameter.attrs.clone();
    parameter.attrs.retain(is_condition);
    let conditions = &parameter.attrs;
    let plain = plain_name(&parameter.pat);
    let name =
        plain.clone().unwrap_or_else(|| Ident::new(&format!("argument{position}"), Span::mixed_site()));
    let pattern = std::mem::replace(&mut *parameter.pat, Pat::Verbatim(name.to_token_stream()));
    // A tuple, since clippy reports `let _name = _name`.
    if plain.is_some() {
        return quote_spanned!(Span::mixed_site()=> #(#attributes)* let (#pattern,) = (#name,););
    }
    // Parts that the pattern does not bind stay in a variable and are dropped when the body ends.
    quote_spanned! {Span::mixed_site()=>
        #(#conditions)* let (#name,) = (#name,);
        #(#attributes)* let #pattern = #name;
    }
}

fn plain_name(pattern: &Pat) -> Option<Ident> {
    let Pat::Ident(PatIdent { by_ref: None, subpat: None, ident, .. }) = pattern else { return None };
    let mut name = ident.clone();
    if name.to_string().starts_with('_') {
        // Clippy reports uses of such a name, but not of names made by macros.
        name.set_span(Span::mixed_site().located_at(name.span()));
    }
    Some(name)
}

fn is_condition(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") || attribute.path().is_ident("cfg_attr")
}
