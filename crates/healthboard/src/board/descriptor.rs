//! The part of a slot that is written once: name and policy.

use crate::{Impact, Policy};
use std::time::Duration;

/// Bytes of an indicator's name; longer ones are cut.
pub(crate) const NAME: usize = 40;

const NAME_WORDS: usize = NAME / 8;

/// Name, ttl, window, stall, threshold and impact, refresh, checksum.
pub(crate) const WORDS: usize = 16;

const USED: usize = NAME_WORDS + 5;

/// The words of a descriptor.
pub(crate) fn encode(name: &str, policy: &Policy) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    let mut bytes = [0; NAME];
    let name = &name.as_bytes()[..name.floor_char_boundary(NAME)];
    bytes[..name.len()].copy_from_slice(name);
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_ne_bytes(chunk.try_into().unwrap_or_default());
    }
    let ns = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    words[NAME_WORDS] = ns(policy.ttl);
    words[NAME_WORDS + 1] = ns(policy.failure_window);
    words[NAME_WORDS + 2] = ns(policy.stall_after);
    words[NAME_WORDS + 3] = u64::from(policy.failure_threshold) << 32 | policy.impact as u64;
    words[NAME_WORDS + 4] = ns(policy.refresh_interval);
    words[WORDS - 1] = checksum(&words);
    words
}

/// Name and policy, or `None` where the words are not a whole descriptor.
pub(crate) fn decode(words: &[u64]) -> Option<(String, Policy)> {
    if words[WORDS - 1] != checksum(words) {
        return None;
    }
    let mut bytes = [0; NAME];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(NAME);
    let name = crate::scrub::printable(&String::from_utf8_lossy(&bytes[..end]));
    let impact = [Impact::Informational, Impact::Degrading, Impact::Critical]
        .into_iter()
        .find(|i| *i as u64 == words[NAME_WORDS + 3] & 0xffff_ffff)?;
    let policy = Policy {
        impact,
        ttl: Duration::from_nanos(words[NAME_WORDS]),
        failure_window: Duration::from_nanos(words[NAME_WORDS + 1]),
        stall_after: Duration::from_nanos(words[NAME_WORDS + 2]),
        failure_threshold: (words[NAME_WORDS + 3] >> 32) as u32,
        refresh_interval: Duration::from_nanos(words[NAME_WORDS + 4]),
    };
    (!name.is_empty()).then_some((name, policy))
}

fn checksum(words: &[u64]) -> u64 {
    words[..USED].iter().fold(super::SEED, |sum, word| super::mix(sum, *word))
}
