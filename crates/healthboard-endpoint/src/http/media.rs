//! Chooses the format by `Accept` (RFC 9110, section 12.5.1). There is always one: a probe is never answered 406.

/// The formats of the verdict, the default first; of two with equal quality the first is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Json,
    HealthJson,
    Text,
}

const ALL: [(Media, &str, &str); 3] = [
    (Media::Json, "application", "json"),
    (Media::HealthJson, "application", "health+json"),
    (Media::Text, "text", "plain"),
];

/// The format with the highest quality, else JSON. `accept` are the values of all its lines.
pub(super) fn preferred<'a>(accept: impl Iterator<Item = &'a [u8]> + Clone) -> Media {
    let lines = || accept.clone().filter_map(|line| std::str::from_utf8(line).ok());
    let ranges = || lines().flat_map(|line| line.split(',')).filter_map(range);
    let mut best = (Media::Json, 0);
    for (media, kind, subkind) in ALL {
        // The most specific range decides, even if its quality is lower.
        let matching = ranges().filter_map(|(a, b, quality)| match (a, b) {
            ("*", "*") => Some((0, quality)),
            (a, "*") if a.eq_ignore_ascii_case(kind) => Some((1, quality)),
            (a, b) if a.eq_ignore_ascii_case(kind) && b.eq_ignore_ascii_case(subkind) => Some((2, quality)),
            _ => None,
        });
        let quality = matching.max().map_or(0, |(_, quality)| quality);
        if quality > best.1 {
            best = (media, quality);
        }
    }
    best.0
}

/// Type, subtype and quality in thousandths; `None` if this is not a media range.
fn range(text: &str) -> Option<(&str, &str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subkind) = parts.next()?.split_once('/')?;
    let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let quality = quality.map_or(Some(1.0), |q| q.parse::<f32>().ok().filter(|q| (0.0..=1.0).contains(q)))?;
    Some((kind, subkind, (quality * 1000.0) as u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_with_the_highest_quality_is_chosen() {
        use Media::*;
        let cases: [(&[&'static str], Media); 18] = [
            (&[], Json),
            (&["*/*"], Json),
            (&["application/*"], Json),
            (&["text/*"], Text),
            (&["text/plain"], Text),
            (&["TEXT/Plain; charset=utf-8"], Text),
            (&["application/health+json"], HealthJson),
            (&["application/json;q=0.5, application/health+json"], HealthJson),
            (&["text/plain;q=0.9", "application/json;q=0.8"], Text),
            (&["text/plain, application/json"], Json),
            (&["*/*, application/json;q=0"], HealthJson),
            (&["application/*;q=0.2, */*;q=0.1, text/plain;q=0.3"], Text),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Json),
            // Unknown formats and invalid ranges: the default.
            (&["image/png"], Json),
            (&["*/*;q=0"], Json),
            (&["text/plain;q=2"], Json),
            (&["text/plain;q=x"], Json),
            (&["text, /, ;;;q=, ,"], Json),
        ];
        for (lines, media) in cases {
            assert_eq!(preferred(lines.iter().map(|line| line.as_bytes())), media, "{lines:?}");
        }
    }
}
