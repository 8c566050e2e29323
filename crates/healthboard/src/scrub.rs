//! Removes secrets from the texts of errors: libraries do not know where the message of an exception will be shown.
//!
//! In doubt it hides too much. A rule gets the text from the start of a word on, and returns how many bytes to keep and how
//! many bytes after these to hide. There is a single pass over a bounded text. The rules are in `rules.rs`.

mod rules;

use std::borrow::Cow;

/// Replaces a hidden part.
const HIDDEN: &str = "***";

/// The most bytes of a text that are read; the rest is dropped. An SQL statement may come with a megabyte of parameters.
const LONGEST: usize = 4096;

/// `text` as one line for people, without secrets and control characters, in at most `max_bytes`.
///
/// Hidden are credentials in URLs, values of keys like `password` or `X-Auth-Token` in any notation, SQL statements with
/// their parameters, private keys, and words that look random. Secrets are hidden before the text is cut, so no part of
/// one is left.
///
/// ```
/// use healthboard::scrub;
///
/// assert_eq!(scrub("cannot reach rabbit://nova:s3cret@mq:5672/", 200), "cannot reach rabbit://***@mq:5672/");
/// assert_eq!(scrub("{'user': 'nova', 'password': 'a b'}", 200), "{'user': 'nova', 'password': '***'}");
/// ```
pub fn scrub(text: &str, max_bytes: usize) -> String {
    let text = visible(whole_words(text));
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while !rest.is_empty() {
        if let Some((stays, hidden)) = rules::first(&text[..text.len() - rest.len()], rest) {
            clean.push_str(&rest[..stays]);
            clean.push_str(HIDDEN);
            rest = &rest[stays + hidden..];
        } else {
            let (word, after) = rest.split_at(rules::step(rest));
            clean.push_str(word);
            rest = after;
        }
    }
    cut(&one_line(&clean), max_bytes)
}

/// The name of a class, a code or an indicator as one word of at most `max_bytes`.
///
/// Characters other than letters, digits and `_.:-` become `_`. The rules for secrets do not apply: an identifier may look
/// random.
pub(crate) fn identifier(text: &str, max_bytes: usize) -> String {
    let good = |c: char| if c.is_alphanumeric() || "_.:-".contains(c) { c } else { '_' };
    let word: String = text.chars().take(max_bytes).map(good).collect();
    word[..word.floor_char_boundary(max_bytes)].to_owned()
}

/// `text` in one line, without control sequences and invisible characters. Markup such as `<` stays.
pub fn printable(text: &str) -> String {
    // Fast path for the common case, since every answer passes through here.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    one_line(&visible(text)).into_owned()
}

/// The beginning of a long text, without the word that the cut would split: the rules need whole words.
fn whole_words(text: &str) -> &str {
    if text.len() <= LONGEST {
        return text;
    }
    let text = &text[..text.floor_char_boundary(LONGEST)];
    text.rfind(char::is_whitespace).map_or("", |end| &text[..end])
}

/// Removes terminal sequences and invisible characters. They change how a text is displayed, and could split a key in two.
fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
                chars.next_if(|c| matches!(c, '@'..='~'));
            }
            _ if is_invisible(c) => (),
            _ => visible.push(c),
        }
    }
    visible
}

fn is_invisible(c: char) -> bool {
    let formats = ['\u{ad}', '\u{61c}', '\u{180e}', '\u{feff}'];
    let ranges = [
        '\u{200b}'..='\u{200f}',
        '\u{202a}'..='\u{202e}',
        '\u{2060}'..='\u{206f}',
        '\u{e0000}'..='\u{e007f}',
    ];
    c == '\0' || !c.is_ascii() && (formats.contains(&c) || ranges.iter().any(|range| range.contains(&c)))
}

/// Replaces line ends and control characters by spaces.
fn one_line(text: &str) -> Cow<'_, str> {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    if text.contains(breaks) { text.replace(breaks, " ").into() } else { text.into() }
}

/// At most `max_bytes` of a text, ending in an ellipsis if it was cut and there is room for one.
pub(crate) fn cut(text: &str, max_bytes: usize) -> String {
    const ELLIPSIS: &str = "…";
    if text.len() <= max_bytes {
        return text.to_owned();
    }
    match max_bytes.checked_sub(ELLIPSIS.len()) {
        Some(room) => text[..text.floor_char_boundary(room)].to_owned() + ELLIPSIS,
        None => text[..text.floor_char_boundary(max_bytes)].to_owned(),
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
