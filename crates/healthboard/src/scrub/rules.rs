//! How secrets are recognised. Each rule gets the text from the start of a word on, and returns how many bytes to keep and
//! how many bytes after these to hide.

type Found = Option<(usize, usize)>;

/// The result of the first rule that matches here. If the hidden part contains a key, the end of that key's value is
/// unknown, and the rest of the line is hidden too.
pub(super) fn first(before: &str, text: &str) -> Found {
    let rules: [fn(&str) -> Found; 7] = [statement, account, private_key, flag, key_and_value, url, random];
    let begins = before.is_empty() || before.ends_with(is_delimiter);
    let found =
        rules.iter().find_map(|rule| rule(text)).or_else(|| if begins { user_at_host(text) } else { None });
    let (stays, hidden) = found.filter(|(_, hidden)| *hidden > 0)?;
    let mut words = text[stays..stays + hidden].split(|c| !is_part_of_word(c));
    let keys = words.any(|word| is_secret(word) || is_perhaps_secret(word));
    Some((stays, if keys { hidden.max(line(&text[stays..])) } else { hidden }))
}

/// Bytes to skip before the rules are applied again: a word, or one character between words.
pub(super) fn step(text: &str) -> usize {
    match word(text).len() {
        0 => text.chars().next().map_or(0, char::len_utf8),
        length => length,
    }
}

/// `[SQL: …]` and `[parameters: …]`: statements contain values.
fn statement(text: &str) -> Found {
    let start = ["[SQL:", "[parameters:", "[generated in", "[cached since"];
    let start = start.iter().find(|start| text.starts_with(**start))?;
    Some((start.len(), text.len() - start.len()))
}

/// `IDENTIFIED BY 'x'`, `IDENTIFIED WITH y AS 'x'`, `SET PASSWORD FOR y = 'x'`: the rest of a statement about an account.
fn account(text: &str) -> Found {
    let starts = [["identified", "by"], ["identified", "with"], ["identified", "via"], ["set", "password"]];
    let first = word(text);
    let after = text[first.len()..].trim_start();
    let second = word(after);
    let stays = text.len() - after.len() + second.len();
    let is_start =
        |[one, two]: [&str; 2]| first.eq_ignore_ascii_case(one) && second.eq_ignore_ascii_case(two);
    starts.into_iter().any(is_start).then_some((stays, text.len() - stays))
}

/// A PEM block, or its beginning.
fn private_key(text: &str) -> Found {
    let label = text.strip_prefix("-----BEGIN ")?;
    label[..label.floor_char_boundary(40)].contains("PRIVATE KEY").then_some((0, text.len()))
}

/// Credentials, or else everything after `?` or `#`, in a URL. A password may contain any of `/?#@` and, if it is not
/// encoded, blanks and quotes. So the last `@` of the line counts.
fn url(text: &str) -> Found {
    let scheme = word(text).len();
    let after = text[scheme..].strip_prefix("://").filter(|_| scheme > 0)?;
    let stays = scheme + 3;
    let chunk = &after[..after.find(is_delimiter).unwrap_or(after.len())];
    let authority = &chunk[..chunk.find(['/', '?', '#']).unwrap_or(chunk.len())];
    let (_, port) = authority.rsplit_once(':').filter(|_| !authority.starts_with('[')).unwrap_or_default();
    if (!port.is_empty() || chunk.contains('@'))
        && let Some(at) = after[..line(after)].rfind('@')
    {
        return Some((stays, at));
    }
    if !port.trim_end_matches([',', '.', ';', ')', ']', '}']).bytes().all(|b| b.is_ascii_digit()) {
        // This is not a port but a password, in a URL that was cut.
        return Some((stays, line(after)));
    }
    let query = chunk.find(['?', '#'])? + 1;
    Some((stays + query, chunk.len() - query))
}

/// `nova:secret@10.0.0.7`, `scott/tiger@db`, without a scheme. Applied only at the start of the text and after a delimiter.
fn user_at_host(text: &str) -> Found {
    let chunk = &text[..text.find(is_delimiter).unwrap_or(text.len())];
    let at = chunk.rfind('@')?;
    chunk[..at].contains([':', '/']).then_some((0, at))
}

/// `--password x`, `-p x`, `-px`, `-u user:x` in a command line.
fn flag(text: &str) -> Found {
    let flag = word(text);
    if let Some(long) = flag.strip_prefix("--").filter(|long| is_secret(long)) {
        return Some((long.len() + 2, line(&text[long.len() + 2..])));
    }
    let value = flag.strip_prefix("-p").or_else(|| flag.strip_prefix("-u"))?;
    match value.is_empty() {
        true => Some((2, line(&text[2..]))),
        false => Some((2, text.find(char::is_whitespace).unwrap_or(text.len()) - 2)),
    }
}

/// `password=x`, `"token": "x"`, `X-Auth-Token: x`, `('secret', 'x')`, `<adminPass>x<`, `password for nova is "x"`, `Bearer x`.
fn key_and_value(text: &str) -> Found {
    let key = word(text);
    let (strong, weak) = (is_secret(key), is_perhaps_secret(key));
    if !strong && !weak {
        return None;
    }
    let after = &text[key.len()..];
    let scheme =
        ["bearer", "basic", "digest", "negotiate"].iter().any(|scheme| key.eq_ignore_ascii_case(scheme));
    let start = separator(after).or_else(|| {
        if scheme && after.starts_with(char::is_whitespace) {
            Some(0)
        } else {
            strong.then(|| later(after)).flatten()
        }
    })?;
    let (stays, hidden) = value(&after[start..]);
    // In a list of pairs the next word may be a key again: `("name", "token"), ("value", "x")`.
    let hidden = if after[..start].ends_with(',') { line(&after[start + stays..]) } else { hidden };
    Some((key.len() + start + stays, hidden))
}

/// A word that looks random: JWT, fernet, cloud keys, long hexadecimal numbers.
fn random(text: &str) -> Found {
    let word = word(text);
    let has = |is: fn(&u8) -> bool| word.as_bytes().iter().any(is);
    let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_digit);
    let hexadecimal = word.bytes().all(|b| b.is_ascii_hexdigit());
    let known = ["eyJ", "gAAAA", "AKIA", "ASIA", "ghp_", "gho_", "glpat-", "xox", "sk-"];
    let random = word.len() >= 24 && mixed
        || word.len() >= 32 && hexadecimal
        || word.len() >= 12 && known.iter().any(|known| word.starts_with(known));
    // Up to the next delimiter, to include the other parts of a JWT and the padding of base64.
    random.then(|| (0, text.find(is_delimiter).unwrap_or(text.len())))
}

/// Keys whose value is always a secret.
fn is_secret(key: &str) -> bool {
    let secret = [
        "passw",
        "passphrase",
        "passcode",
        "pwd",
        "secret",
        "token",
        "credential",
        "cookie",
        "authorization",
        "bearer",
        "api_key",
        "api-key",
        "apikey",
        "access_key",
        "access-key",
        "accesskey",
        "private_key",
        "private-key",
        "privatekey",
        "auth_key",
        "connection_string",
        "connectionstring",
    ];
    secret.iter().any(|part| contains(key, part))
}

/// Keys whose value is a secret if a separator follows.
fn is_perhaps_secret(key: &str) -> bool {
    let ends =
        ["pass", "key", "auth", "sig", "signature", "session", "sessionid", "basic", "digest", "negotiate"];
    let ends_with = |end: &str| {
        let at = key.len().checked_sub(end.len());
        at.is_some_and(|at| key.as_bytes()[at..].eq_ignore_ascii_case(end.as_bytes()))
    };
    let whole = ["pw", "pin", "otp", "sid", "sas", "jwt", "cred", "creds", "parameters", "params"];
    ends.iter().any(|end| ends_with(end))
        || whole.iter().any(|whole| key.eq_ignore_ascii_case(whole))
        || contains(key, "_auth")
}

fn contains(key: &str, part: &str) -> bool {
    key.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

/// Where the value begins if a separator follows the key, possibly after closing quotes and brackets.
fn separator(after: &str) -> Option<usize> {
    let escapes = ["&quot;", "&#34;", "&#39;", "&apos;", "%22", "%27"];
    let mut rest = after;
    let mut quoted = false;
    loop {
        let escape = escapes.iter().find_map(|escape| rest.strip_prefix(escape));
        quoted |= escape.is_some() || rest.starts_with(['"', '\'']);
        match escape.or_else(|| rest.strip_prefix(['"', '\'', '`', '\\', ']', ')', ' ', '\t'])) {
            Some(shorter) => rest = shorter,
            None => break,
        }
    }
    let separators = ["=>", ":=", "==", "=", ":", ">", "%3D", "%3d", "%3A", "%3a"];
    let rest = separators
        .iter()
        .find_map(|separator| rest.strip_prefix(separator))
        .or_else(|| rest.strip_prefix(',').filter(|_| quoted))?;
    Some(after.len() - rest.len())
}

/// Where the value begins if there are other words in between: at a quote, after a separator, or at a word that does not
/// consist of lower-case letters.
fn later(after: &str) -> Option<usize> {
    if !after.starts_with([' ', '\t', '[', '(']) {
        return None;
    }
    let near = &after[..after.floor_char_boundary(line(after).min(48))];
    if let Some(at) = near.find(['"', '\'', '`', ':', '=']) {
        return Some(at + usize::from(near[at..].starts_with([':', '='])));
    }
    let odd = |word: &str| {
        let word = word.trim_end_matches(['.', ',', ';', ')', '!']);
        !word.is_empty() && !word.bytes().all(|b| b.is_ascii_lowercase())
    };
    let odd = near.split_whitespace().take(3).find(|word| odd(word))?;
    Some(odd.as_ptr() as usize - after.as_ptr() as usize)
}

/// How many bytes precede the value, and its length. A quoted value ends with its quote. Any other value ends with its
/// line, since it may contain blanks.
fn value(text: &str) -> (usize, usize) {
    let blank = text.len() - text.trim_start().len();
    let text = &text[blank..];
    let prefix = text.len() - text.trim_start_matches(['b', 'B', 'u', 'U', 'r', 'R']).len();
    let slashes = text[prefix..].len() - text[prefix..].trim_start_matches('\\').len();
    let open = prefix + slashes;
    let Some(quote) = text[open..].chars().next().filter(|c| prefix <= 2 && matches!(c, '"' | '\'' | '`'))
    else {
        return (blank, line(text));
    };
    let inner = &text[open + 1..];
    let end = inner.match_indices(quote).find_map(|(at, _)| {
        let escapes = at - inner[..at].trim_end_matches('\\').len();
        let ends = !inner[at + 1..].starts_with(|c: char| c.is_alphanumeric() || c == quote);
        (escapes <= slashes && ends).then_some(at - escapes)
    });
    match end {
        // Nothing is hidden in an empty value.
        Some(end) => (blank + open + 1, end),
        None => (blank + open + 1, inner.len()),
    }
}

/// The length of the rest of the line, including continuation lines: indented lines, and all further lines if the line ends
/// with an opening bracket, a comma or the like.
fn line(text: &str) -> usize {
    let ends = |(at, _): (usize, _)| {
        let next = text[at..].trim_start_matches(['\r', '\n']);
        (!next.starts_with([' ', '\t'])).then_some(at)
    };
    let end = text.match_indices(['\r', '\n']).find_map(ends).unwrap_or(text.len());
    if text[..end].trim_end().ends_with(['{', '[', '(', '|', '>', '\\', ',']) { text.len() } else { end }
}

fn word(text: &str) -> &str {
    &text[..text.find(|c| !is_part_of_word(c)).unwrap_or(text.len())]
}

fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

fn is_delimiter(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '`' | '<' | '>' | '|' | '\\')
}
