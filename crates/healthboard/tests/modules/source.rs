//! A parser for the parts of Rust's syntax that name things: tokens, declared modules, and paths.

use std::path::{Path, PathBuf};

/// One source file of a crate that is not only for tests.
pub(crate) struct Source {
    /// The path from the crate's `src`.
    pub(crate) file: String,
    /// The path of its module; empty for the root.
    pub(crate) module: Vec<String>,
    pub(crate) tokens: Vec<String>,
}

/// Every file that the root declares, directly or not.
pub(crate) fn sources(root: &Path) -> Vec<Source> {
    let directory = root.parent().expect("a file in a directory");
    let mut found = Vec::new();
    let mut open = vec![(root.to_owned(), Vec::<String>::new())];
    while let Some((path, module)) = open.pop() {
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let (tokens, declared) = without_tests(&tokens(&text));
        for name in declared {
            let inner = [&module[..], &[name]].concat();
            open.push((file_of(directory, &inner), inner));
        }
        let file = path.strip_prefix(directory).expect("below the root").display().to_string();
        found.push(Source { file, module, tokens });
    }
    found
}

fn file_of(directory: &Path, module: &[String]) -> PathBuf {
    let stem = directory.join(module.join("/"));
    let plain = stem.with_extension("rs");
    if plain.exists() { plain } else { stem.join("mod.rs") }
}

impl Source {
    /// Every path that begins in this crate, from the crate's root.
    pub(crate) fn paths(&self) -> Vec<Vec<String>> {
        let mut paths = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            let starts = matches!(token.as_str(), "crate" | "super" | "self");
            let inner = at > 0 && self.tokens[at - 1] == "::";
            if starts && !inner && self.tokens.get(at + 1).is_some_and(|next| next == "::") {
                tree(&self.tokens, at, &[], &mut paths);
            }
        }
        paths.into_iter().map(|path| self.resolve(&path)).collect()
    }

    /// Every path as it is written, of any crate; `use` trees are expanded.
    pub(crate) fn written(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let is_name = |token: &str| token.starts_with(|c: char| c.is_alphabetic() || c == '_');
        for (at, token) in self.tokens.iter().enumerate() {
            if is_name(token) && (at == 0 || self.tokens[at - 1] != "::") {
                tree(&self.tokens, at, &[], &mut paths);
            }
        }
        paths.into_iter().map(|path| path.join("::")).collect()
    }

    fn resolve(&self, path: &[String]) -> Vec<String> {
        let mut from = match path[0].as_str() {
            "crate" => Vec::new(),
            _ => self.module.clone(),
        };
        let mut rest = path;
        while let Some(first) = rest.first() {
            match first.as_str() {
                "crate" | "self" => {}
                "super" => _ = from.pop(),
                _ => break,
            }
            rest = &rest[1..];
        }
        from.extend_from_slice(rest);
        from
    }
}

/// Adds the paths of the tree that begins at this token; returns where it ends.
fn tree(tokens: &[String], mut at: usize, before: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = before.to_vec();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                at += 1;
                while tokens.get(at).is_some_and(|token| token != "}") {
                    let end = tree(tokens, at, &path, paths);
                    // `as name`, commas, and other tokens.
                    at = end.max(at + 1);
                    while tokens.get(at).is_some_and(|token| token != "," && token != "}") {
                        at += 1;
                    }
                    at += usize::from(tokens.get(at).is_some_and(|token| token == ","));
                }
                return at + 1;
            }
            Some(name) => path.push(name.to_owned()),
            None => return at,
        }
        at += 1;
        if tokens.get(at).is_none_or(|token| token != "::") {
            paths.push(path);
            return at;
        }
        at += 1;
        if tokens.get(at).is_some_and(|token| token == "<") {
            paths.push(path);
            return at;
        }
    }
}

/// The tokens without code that only tests and models compile, and the names of the modules with their own files.
fn without_tests(tokens: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut kept, mut declared) = (Vec::new(), Vec::new());
    let mut for_tests = false;
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == "#" && tokens.get(at + 1).is_some_and(|token| token == "[") {
            let end = closing(tokens, at + 1);
            for_tests |= is_for_tests(&tokens[at..end]);
            kept.extend_from_slice(&tokens[at..end]);
            at = end;
            continue;
        }
        if tokens[at] == "mod" && tokens.get(at + 2).is_some_and(|token| token == ";" || token == "{") {
            let name = tokens[at + 1].clone();
            match (tokens[at + 2] == ";", for_tests) {
                (true, false) => declared.push(name),
                (false, true) => at = closing(tokens, at + 2) - 3,
                _ => {}
            }
            at += 3;
            for_tests = false;
            continue;
        }
        // An attribute applies to the item that follows; `pub(crate)` may stand between it and `mod`.
        for_tests &= matches!(tokens[at].as_str(), "pub" | "(" | "crate" | ")");
        kept.push(tokens[at].clone());
        at += 1;
    }
    (kept, declared)
}

fn is_for_tests(attribute: &[String]) -> bool {
    let says = |word: &str| {
        attribute.iter().enumerate().any(|(at, token)| {
            token == word && !(at >= 2 && attribute[at - 2] == "not" && attribute[at - 1] == "(")
        })
    };
    says("cfg") && (says("test") || says("loom"))
}

/// The index after the bracket that closes the one at `at`.
fn closing(tokens: &[String], at: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in tokens.iter().enumerate().skip(at) {
        match token.as_str() {
            "{" | "[" | "(" => depth += 1,
            "}" | "]" | ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

/// Names, strings, `::` and single characters; no comments and no spaces. A string begins with a quotation mark.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let find = |from: usize, end: &str| {
        let end: Vec<char> = end.chars().collect();
        (from..chars.len()).find(|at| chars[*at..].starts_with(&end)).map_or(chars.len(), |at| at + end.len())
    };
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let next = chars.get(at + 1).copied().unwrap_or(' ');
        let end = match chars[at] {
            c if c.is_whitespace() => {
                at += 1;
                continue;
            }
            '/' if next == '/' => {
                at = find(at, "\n");
                continue;
            }
            '/' if next == '*' => {
                at = find(at, "*/");
                continue;
            }
            'r' if next == '"' => find(at + 2, "\""),
            'r' if next == '#' => find(at + 2, "\"#"),
            '"' => {
                let mut end = at + 1;
                while end < chars.len() && chars[end] != '"' {
                    end += if chars[end] == '\\' { 2 } else { 1 };
                }
                end + 1
            }
            // A character, not a lifetime.
            '\'' if next == '\\' => find(at + 3, "'"),
            '\'' if chars.get(at + 2) == Some(&'\'') => at + 3,
            ':' if next == ':' => at + 2,
            c if is_name(c) => (at..chars.len()).find(|i| !is_name(chars[*i])).unwrap_or(chars.len()),
            _ => at + 1,
        };
        let end = end.min(chars.len());
        tokens.push(chars[at..end].iter().collect());
        at = end;
    }
    tokens
}

#[test]
fn paths_are_found_however_they_are_written() {
    let text = r##"
        //! See [`crate::comment::X`].
        #[cfg(test)]
        mod tests { use crate::inner::Y; }
        #[cfg(all(test, not(loom)))]
        #[path = "x.rs"]
        mod more;
        #[cfg(not(loom))]
        pub(crate) mod own;
        /* crate::block::Z */
        use crate::{a::{self, b::C as D}, e};
        use super::f::{G, h::*};
        pub(crate) fn i(x: &'static str) -> crate::j::K<'_, super::super::l::M> {
            let _ = ("crate::text::N", '"', 'a', r#"crate::raw::O"#);
            crate::p::<Q>::r()
        }
    "##;
    let (tokens, declared) = without_tests(&tokens(text));
    assert_eq!(declared, ["own"]);
    let source = Source { file: String::new(), module: vec!["v".into(), "w".into()], tokens };
    let paths: Vec<String> = source.paths().into_iter().map(|path| path.join("::")).collect();
    assert_eq!(
        paths,
        ["a::self", "a::b::C", "e", "v::f::G", "v::f::h::*", "j::K", "l::M", "p"].map(str::to_owned)
    );
}
