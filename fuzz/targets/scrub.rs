//! Texts of errors. The first byte is the most bytes that may come out.

#![no_main]

use healthboard::{printable, scrub};
use libfuzzer_sys::fuzz_target;

/// A secret that no text has by chance.
const CANARY: &str = "qVz7";

fuzz_target!(|bytes: &[u8]| {
    let Some((most, text)) = bytes.split_first() else { return };
    let most = usize::from(*most);
    let text = String::from_utf8_lossy(text);
    let clean = scrub(&text, most);
    assert!(clean.len() <= most, "{} bytes, at most {most}: {clean:?}", clean.len());
    assert_eq!(printable(&clean), clean, "one line, and nothing in it that is not seen");

    // Whatever stands around a secret, it does not come out. What is not seen may hide one; a terminal's sequence may swallow
    // the key.
    if !printable(&text).contains(CANARY) && !text.contains('\u{1b}') {
        let middle = text.floor_char_boundary(text.len() / 2);
        let (before, after) = text.split_at(middle);
        for secret in
            [format!("{before} password={CANARY}{after}"), format!("{before} amqp://nova:{CANARY}@{after}")]
        {
            let clean = scrub(&secret, usize::MAX);
            assert!(!clean.contains(CANARY), "{secret:?} became {clean:?}");
        }
    }
});
