//! The part of a slot that is written once: name and policy.

use super::layout::{pack, unpack};
use crate::config::{Impact, Policy};
use std::time::Duration;

/// Bytes of an indicator's name.
#[cfg(not(loom))]
pub(crate) const NAME: usize = crate::config::MAX_INDICATOR_NAME;
#[cfg(loom)]
pub(crate) const NAME: usize = 8;

const NAME_WORDS: usize = NAME / 8;

/// The words of a descriptor: the name, then one word each for ttl, failure window, stall after, slow after, threshold
/// and impact, refresh interval, one unused, and the checksum.
pub(crate) const WORDS: usize = NAME_WORDS + 8;

/// The words of a descriptor.
pub(crate) fn encode(name: &str, policy: &Policy) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    pack(name, &mut words[..NAME_WORDS]);
    let ns = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
    words[NAME_WORDS] = ns(policy.ttl);
    words[NAME_WORDS + 1] = ns(policy.failure_window);
    words[NAME_WORDS + 2] = ns(policy.stall_after);
    words[NAME_WORDS + 3] = ns(policy.slow_after);
    words[NAME_WORDS + 4] = u64::from(policy.failure_threshold) << 32 | policy.impact as u64;
    words[NAME_WORDS + 5] = ns(policy.refresh_interval);
    words[WORDS - 1] = super::checksum(&words[..WORDS - 1]);
    words
}

/// Name and policy; `None` if the words are not a complete descriptor.
pub(crate) fn decode(words: &[u64]) -> Option<(String, Policy)> {
    if words[WORDS - 1] != super::checksum(&words[..WORDS - 1]) {
        return None;
    }
    let name = unpack(&words[..NAME_WORDS]);
    let impact = Impact::ALL.into_iter().find(|i| *i as u64 == words[NAME_WORDS + 4] & 0xffff_ffff)?;
    let policy = Policy {
        impact,
        ttl: Duration::from_nanos(words[NAME_WORDS]),
        failure_window: Duration::from_nanos(words[NAME_WORDS + 1]),
        stall_after: Duration::from_nanos(words[NAME_WORDS + 2]),
        slow_after: Duration::from_nanos(words[NAME_WORDS + 3]),
        failure_threshold: (words[NAME_WORDS + 4] >> 32) as u32,
        refresh_interval: Duration::from_nanos(words[NAME_WORDS + 5]),
    };
    (!name.is_empty()).then_some((name, policy))
}
