//! The text of a failure on the board: written in words, accepted only with its checksum.

use super::sync::{AtomicU64, Ordering::Relaxed, mutant};
use crate::failure::Failure;

/// The most bytes of each part. Longer parts are cut at a character boundary.
pub(crate) const CLASS: usize = 64;
pub(crate) const CODE: usize = 16;
pub(crate) const TEXT: usize = 160;

#[cfg(not(loom))]
pub(crate) const DATA: usize = (CLASS + CODE + TEXT) / 8;
#[cfg(loom)]
pub(crate) const DATA: usize = 2;

/// Class, code and text, already scrubbed.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) class: &'a str,
    pub(crate) code: &'a str,
    pub(crate) text: &'a str,
}

/// A text on the board. `head` consists of its number (32 bits), the lengths of the class and of the code (8 bits each)
/// and the length of the text (16 bits).
#[repr(C)]
pub(crate) struct Text {
    head: AtomicU64,
    checksum: AtomicU64,
    data: [AtomicU64; DATA],
}

impl Text {
    /// The number of this text. Each text gets the next number, which wraps: see [`follows`].
    pub(crate) fn number(&self) -> u32 {
        (self.head.load(Relaxed) >> 32) as u32
    }

    /// Overwrites the whole buffer, so that no part of an earlier text remains.
    pub(crate) fn write(&self, number: u32, parts: Parts<'_>) {
        let mut bytes = [0_u8; DATA * 8];
        let mut at = 0;
        let mut lengths = [0_u64; 3];
        for (i, (part, most)) in
            [(parts.class, CLASS), (parts.code, CODE), (parts.text, TEXT)].into_iter().enumerate()
        {
            let most = most.min(bytes.len() - at);
            let part = &part.as_bytes()[..part.floor_char_boundary(most)];
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
            lengths[i] = part.len() as u64;
        }
        let head = u64::from(number) << 32 | lengths[0] << 24 | lengths[1] << 16 | lengths[2];
        let words = bytes.chunks_exact(8).map(|c| u64::from_ne_bytes(c.try_into().unwrap_or_default()));
        let mut sum = super::mix(super::SEED, head);
        self.head.store(head, Relaxed);
        for (word, value) in self.data.iter().zip(words) {
            word.store(value, Relaxed);
            sum = super::mix(sum, value);
        }
        self.checksum.store(sum, Relaxed);
    }

    /// The words in the order of the file.
    #[cfg(loom)]
    pub(crate) fn words(&self) -> impl Iterator<Item = &AtomicU64> {
        [&self.head, &self.checksum].into_iter().chain(&self.data)
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Text {
        Text {
            head: AtomicU64::new(0),
            checksum: AtomicU64::new(0),
            data: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

/// Whether `number` is newer than `other`; numbers wrap.
pub(crate) const fn follows(number: u32, other: u32) -> bool {
    number.wrapping_sub(other).cast_signed() > 0
}

/// The newest of two texts whose checksum matches, and whether a torn one was skipped.
pub(crate) fn newest(copies: [&[u64]; 2]) -> (Option<Failure>, bool) {
    let mut torn = false;
    let mut best: Option<(u32, Failure)> = None;
    for copy in copies {
        let (head, data) = (copy[0], &copy[2..]);
        if copy.iter().all(|word| *word == 0) {
            continue;
        }
        let sum = data.iter().fold(super::mix(super::SEED, head), |sum, word| super::mix(sum, *word));
        if sum != copy[1] && !mutant("text-without-checksum") {
            torn = true;
            continue;
        }
        let number = (head >> 32) as u32;
        if best.as_ref().is_none_or(|(other, _)| follows(number, *other)) {
            best = Some((number, decode(head, data)));
        }
    }
    (best.map(|(_, failure)| failure), torn)
}

fn decode(head: u64, data: &[u64]) -> Failure {
    let bytes: Vec<u8> = data.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let mut rest = bytes.as_slice();
    let mut part = |length: u64| {
        let (part, after) = rest.split_at((length as usize).min(rest.len()));
        rest = after;
        // A checksum does not stop a forger, so the text is cleaned again before it is shown.
        crate::scrub::printable(&String::from_utf8_lossy(part))
    };
    let (class, code) = (part(head >> 24 & 0xff), part(head >> 16 & 0xff));
    Failure { class, code, text: part(head & 0xffff), ..Failure::default() }
}
