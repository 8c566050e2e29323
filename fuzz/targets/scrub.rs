//! Texts of errors. The first byte is the size limit.

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
    assert_eq!(printable(&clean), clean, "one line without invisible characters");

    // A secret is hidden whatever surrounds it. Left out: texts that contain the canary, and escape sequences, which
    // may swallow the key.
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
