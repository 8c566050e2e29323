//! Chooses the media type that oslo.middleware would choose for an `Accept`, by the rules of WebOb 1.8 (RFC 7231, section
//! 5.3.2).
//!
//! An invalid `Accept` counts as none. If nothing is acceptable, the answer is text and never 406.

/// The formats of `/healthcheck`, in the order of preference among equals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offer {
    Text,
    Html,
    Json,
}

const OFFERS: [(Offer, &[u8], &[u8]); 3] = [
    (Offer::Text, b"text", b"plain"),
    (Offer::Html, b"text", b"html"),
    (Offer::Json, b"application", b"json"),
];

/// A media range and its weight in thousandths.
struct Range<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    has_parameters: bool,
    weight: u32,
}

/// Chooses the format by the values of all `Accept` lines.
pub(super) fn choose<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Offer {
    let Some(first) = values.next() else { return Offer::Text };
    let mut joined = first.to_vec();
    for value in values {
        joined.push(b',');
        joined.extend_from_slice(value);
    }
    let Some(ranges) = Parser { rest: &joined }.ranges() else { return Offer::Text };
    let mut best = (0, Offer::Text);
    for (offer, kind, subtype) in OFFERS {
        let mut specific = (0, 0);
        for range in &ranges {
            let same_kind = range.kind.eq_ignore_ascii_case(kind);
            // Of several equally specific ranges, the first counts.
            let specificity = match () {
                () if same_kind && range.subtype.eq_ignore_ascii_case(subtype) => {
                    3 * u8::from(!range.has_parameters)
                }
                () if range.subtype == b"*" && same_kind => 2,
                () if range.subtype == b"*" && range.kind == b"*" => 1,
                () => 0,
            };
            if specificity > specific.0 {
                specific = (specificity, range.weight);
            }
        }
        if specific.1 > best.0 {
            best = (specific.1, offer);
        }
    }
    best.1
}

/// Parses an `Accept` from its beginning. Each method returns `None` if the grammar does not match.
struct Parser<'a> {
    rest: &'a [u8],
}

impl<'a> Parser<'a> {
    /// `[ ( "," / range ) *( OWS "," [ OWS range ] ) ]`.
    fn ranges(mut self) -> Option<Vec<Range<'a>>> {
        let mut ranges = Vec::new();
        if !self.rest.is_empty() && self.byte(b',').is_none() {
            ranges.push(self.range()?);
        }
        while !self.rest.is_empty() {
            self.blanks();
            self.byte(b',')?;
            let after_comma = self.rest;
            self.blanks();
            match self.rest.first() {
                None | Some(b',') => self.rest = after_comma,
                Some(_) => ranges.push(self.range()?),
            }
        }
        Some(ranges)
    }

    fn range(&mut self) -> Option<Range<'a>> {
        let kind = self.token()?;
        self.byte(b'/')?;
        let subtype = self.token()?;
        let mut range = Range { kind, subtype, has_parameters: false, weight: 1000 };
        let mut has_weight = false;
        loop {
            let before = self.rest;
            self.blanks();
            if self.byte(b';').is_none() {
                self.rest = before;
                return Some(range);
            }
            self.blanks();
            let name = self.token()?;
            let has_value = self.byte(b'=').is_some();
            if !has_weight && name.eq_ignore_ascii_case(b"q") && has_value {
                range.weight = self.weight()?;
                has_weight = true;
            } else if has_value {
                self.value()?;
                range.has_parameters |= !has_weight;
            } else if !has_weight {
                // Only extensions, which follow the weight, may lack a value.
                return None;
            }
        }
    }

    /// `0`, `0.5`, `1.000`.
    fn weight(&mut self) -> Option<u32> {
        let whole = *self.rest.first().filter(|digit| b"01".contains(digit))?;
        self.rest = &self.rest[1..];
        let mut weight = u32::from(whole - b'0') * 1000;
        if self.byte(b'.').is_some() {
            for unit in [100, 10, 1] {
                let Some(digit) = self.rest.first().filter(|byte| byte.is_ascii_digit()) else { break };
                weight += u32::from(digit - b'0') * unit;
                self.rest = &self.rest[1..];
            }
        }
        (weight <= 1000).then_some(weight)
    }

    /// A token or a quoted string.
    fn value(&mut self) -> Option<()> {
        if self.byte(b'"').is_none() {
            return self.token().map(|_| ());
        }
        loop {
            let (byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            match byte {
                b'"' => return Some(()),
                b'\\' => self.rest = self.rest.split_first()?.1,
                _ => {}
            }
        }
    }

    fn token(&mut self) -> Option<&'a [u8]> {
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let length = self.rest.iter().take_while(|byte| is_token(byte)).count();
        let (token, rest) = self.rest.split_at(length);
        self.rest = rest;
        (length > 0).then_some(token)
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_ascii_start();
    }

    fn byte(&mut self, byte: u8) -> Option<()> {
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }
}
