//! Chooses the format by `Accept` (RFC 9110, section 12.5.1). There is always a format: a probe is never answered 406.

use healthboard::format::Exposition;

/// The formats of the verdict, the default first. Among formats of equal quality the first is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    HealthJson,
    Text,
    Html,
}

impl Media {
    pub(super) const ALL: [Media; 4] = [Media::Json, Media::HealthJson, Media::Text, Media::Html];

    /// The value of `Content-Type`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Media::Json => "application/json",
            Media::HealthJson => "application/health+json",
            Media::Text => super::response::TEXT,
            Media::Html => super::response::HTML,
        }
    }

    fn kinds(self) -> (&'static str, &'static str) {
        match self {
            Media::Json => ("application", "json"),
            Media::HealthJson => ("application", "health+json"),
            Media::Text => ("text", "plain"),
            Media::Html => ("text", "html"),
        }
    }
}

/// The format of metrics. It is OpenMetrics only if the client asks for that by name.
pub(crate) fn exposition<'a>(accept: impl Iterator<Item = &'a [u8]> + Clone) -> Exposition {
    let quality = |kind, subkind| quality(accept.clone(), kind, subkind);
    let open = quality("application", "openmetrics-text");
    let named = accept
        .clone()
        .any(|line| line.windows(16).any(|part| part.eq_ignore_ascii_case(b"openmetrics-text")));
    if named && open > 0 && open >= quality("text", "plain") {
        Exposition::OpenMetrics
    } else {
        Exposition::Text
    }
}

/// The format with the highest quality, or else JSON. `accept` has the values of all `Accept` lines.
pub(crate) fn preferred<'a>(accept: impl Iterator<Item = &'a [u8]> + Clone) -> Media {
    let mut best = (Media::Json, 0);
    for media in Media::ALL {
        let (kind, subkind) = media.kinds();
        let quality = quality(accept.clone(), kind, subkind);
        if quality > best.1 {
            best = (media, quality);
        }
    }
    best.0
}

/// The quality of one format, in thousandths. The most specific range decides, even if its quality is lower. If a format is
/// named several times, in versions that are not distinguished here, the highest quality counts.
fn quality<'a>(accept: impl Iterator<Item = &'a [u8]> + Clone, kind: &str, subkind: &str) -> u16 {
    let lines = accept.filter_map(|line| std::str::from_utf8(line).ok());
    let ranges = lines.flat_map(|line| line.split(',')).filter_map(range);
    let matching = ranges.filter_map(|(a, b, quality)| match (a, b) {
        ("*", "*") => Some((0, quality)),
        (a, "*") if a.eq_ignore_ascii_case(kind) => Some((1, quality)),
        (a, b) if a.eq_ignore_ascii_case(kind) && b.eq_ignore_ascii_case(subkind) => Some((2, quality)),
        _ => None,
    });
    matching.max().map_or(0, |(_, quality)| quality)
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
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Html),
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

    #[test]
    fn openmetrics_is_for_who_asks_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (line, open) in [
            (prometheus, true),
            ("application/openmetrics-text", true),
            ("Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", true),
            ("*/*", false),
            ("", false),
            ("application/*", false),
            ("text/plain;version=0.0.4", false),
            ("text/plain, application/openmetrics-text;q=0.1", false),
            ("application/openmetrics-text;q=0", false),
        ] {
            let expected = if open { Exposition::OpenMetrics } else { Exposition::Text };
            assert_eq!(exposition([line.as_bytes()].into_iter()), expected, "{line}");
        }
    }
}
