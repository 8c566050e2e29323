//! Reads the bytes of a board that another process writes.

use super::{Abandoned, Evidence, Life, Observed, Process};
use crate::board::descriptor;
use crate::board::layout::{BLOCK, BYTE_ORDER, Board, LAYOUT, MAGIC, SIZE, SLOTS, phase, unpack, word};
use crate::board::slot::{BEGUN, COUNT, Slot, is_cleared, tag};
use crate::board::sync::Ordering::Relaxed;
use crate::board::{checksum, text};
use crate::config::Policy;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The number of words of a slot, and the positions of its parts.
pub(super) const WORDS: usize = BLOCK / 8;
const HEADER_WORDS: usize = word::REFUSED_NAME + descriptor::NAME / 8 + 1;
const HEAD: usize = 16;
pub(super) const DESCRIPTOR: usize = HEAD + BEGUN;
pub(super) const TEXTS: usize = DESCRIPTOR + descriptor::WORDS;
pub(super) const TEXT_WORDS: usize = 2 + text::DATA;

/// Why a file is not accepted as a board of this service. The text says what was found and what was expected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Short { found: usize },
    NotABoard { found: u64 },
    ByteOrder,
    Layout { found: u64 },
    Size { found: u64 },
    Checksum,
    Foreign { found: &'static str },
    Owner { found: u32, expected: u32 },
    Io(std::io::ErrorKind),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Short { found } => write!(f, "found {found} bytes, expected {SIZE}"),
            Refused::NotABoard { found } => write!(f, "found magic {found:#018x}, expected {MAGIC:#018x}"),
            Refused::ByteOrder => f.write_str("found the other byte order, expected this machine's"),
            Refused::Layout { found } => write!(f, "found layout version {found}, this build reads {LAYOUT}"),
            Refused::Size { found } => write!(f, "found a stated size of {found} bytes, expected {SIZE}"),
            Refused::Checksum => f.write_str("found a header that does not match its checksum"),
            Refused::Foreign { found } => write!(f, "found {found}, expected a regular file"),
            Refused::Owner { found, expected } => write!(f, "found owner uid {found}, expected {expected}"),
            Refused::Io(kind) => write!(f, "{kind}"),
        }
    }
}

/// The used part of a checked header.
pub(super) struct Header {
    words: [u64; HEADER_WORDS],
}

impl Header {
    /// Checks the header at the start of a copy.
    pub(super) fn of(bytes: &[u8]) -> Result<Header, Refused> {
        if bytes.len() < BLOCK {
            return Err(Refused::Short { found: bytes.len() });
        }
        let words = words(&bytes[..BLOCK]);
        if words[word::MAGIC] == MAGIC.swap_bytes() || words[word::BYTE_ORDER] == BYTE_ORDER.swap_bytes() {
            return Err(Refused::ByteOrder);
        }
        if words[word::MAGIC] != MAGIC {
            return Err(Refused::NotABoard { found: words[word::MAGIC] });
        }
        if words[word::LAYOUT] != LAYOUT {
            return Err(Refused::Layout { found: words[word::LAYOUT] });
        }
        if words[word::SIZE] != SIZE as u64 {
            return Err(Refused::Size { found: words[word::SIZE] });
        }
        if words[word::BYTE_ORDER] != BYTE_ORDER
            || words[word::CHECKSUM] != checksum(&words[..word::CHECKSUM])
        {
            return Err(Refused::Checksum);
        }
        Ok(Header { words })
    }

    pub(super) fn boot_id(&self) -> [u64; 2] {
        [self.words[word::BOOT_ID], self.words[word::BOOT_ID + 1]]
    }

    /// The number of slots in use, at most [`SLOTS`].
    pub(super) fn used(&self) -> usize {
        usize::try_from(self.words[word::USED]).map_or(SLOTS, |used| used.min(SLOTS))
    }

    /// The process without its indicators. `room` is memory to reuse for them. `alive` says whether the lock is held.
    pub(super) fn process(&self, alive: bool, mut room: Vec<Observed>) -> Process {
        room.clear();
        let words = &self.words;
        let life = match (alive, words[word::PHASE]) {
            (_, phase::GOODBYE) | (false, phase::DRAINING) => Life::Stopped,
            (false, _) => Life::Dead,
            (true, phase::DRAINING) => Life::Draining,
            (true, _) => Life::Alive,
        };
        let name = &words[word::REFUSED_NAME..word::REFUSED_NAME + descriptor::NAME / 8];
        let whole = checksum(name) == words[word::REFUSED_NAME + name.len()];
        Process {
            pid: words[word::PID] as u32,
            pid_since: words[word::PID_SINCE],
            id: words[word::ID],
            parent_id: words[word::PARENT_ID],
            watches: words[word::WATCHES] != 0,
            life,
            started_ns: words[word::STARTED_NS],
            kept_ns: words[word::KEPT_NS],
            goodbye_ns: match words[word::GOODBYE_NS] {
                0 if life == Life::Stopped => words[word::KEPT_NS],
                said => said,
            },
            ttl_ns: words[word::TTL_NS],
            refused: u32::try_from(words[word::REFUSED]).unwrap_or(u32::MAX),
            refused_name: whole.then(|| unpack(name)).filter(|name| !name.is_empty()),
            indicators: room,
            stacks: None,
        }
    }
}

/// The most indicators that are kept in [`Shared`].
const MAX_SHARED: usize = 1024;

/// A decoded descriptor.
#[derive(Clone)]
struct Described {
    name: Arc<str>,
    policy: Arc<Policy>,
}

/// Decoded descriptors. Each is kept once for all boards, so that a verdict over many processes compares names that are in
/// the CPU's cache.
#[derive(Default)]
pub(super) struct Shared(BTreeMap<[u64; descriptor::WORDS], Described>);

impl Shared {
    fn get(&mut self, words: [u64; descriptor::WORDS]) -> Option<Described> {
        if let Some(known) = self.0.get(&words) {
            return Some(known.clone());
        }
        let (name, policy) = descriptor::decode(&words)?;
        if self.0.len() >= MAX_SHARED {
            self.0.clear();
        }
        let described = Described { name: name.into(), policy: policy.into() };
        Some(self.0.entry(words).or_insert(described).clone())
    }
}

/// The decoded descriptors of a board's slots, cached by their checksums, since they rarely change.
#[derive(Default)]
pub(super) struct Descriptors(Vec<Option<(u64, Described)>>);

impl Descriptors {
    /// The number of slots that have been read so far.
    pub(super) fn slots(&self) -> usize {
        self.0.len()
    }

    /// The indicator in this slot of a copy; `None` if its descriptor is not complete (yet).
    pub(super) fn observe(&mut self, index: usize, bytes: &[u8], shared: &mut Shared) -> Option<Observed> {
        // Texts are half of a slot, and mean something only after a failure.
        let head: [u64; TEXTS] = words(bytes);
        let descriptor: [u64; descriptor::WORDS] = head[DESCRIPTOR..].try_into().ok()?;
        let sum = descriptor[descriptor::WORDS - 1];
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        let known = &mut self.0[index];
        if known.as_ref().is_none_or(|(known, _)| *known != sum) {
            *known = Some((sum, shared.get(descriptor)?));
        }
        let (_, Described { name, policy }) = known.as_ref()?;
        let mut evidence = evidence_of(&head);
        if evidence.failures > 0 || evidence.earlier_failure_ns.is_some() {
            evidence = evidence_of(&words::<WORDS>(bytes));
        }
        Some(Observed { name: name.clone(), policy: policy.clone(), evidence })
    }
}

/// The process on a copy of its board. `alive` says whether the board's lock is held.
pub(super) fn process(
    header: &Header,
    bytes: &[u8],
    alive: bool,
    descriptors: &mut Descriptors,
    shared: &mut Shared,
    room: Vec<Observed>,
) -> Process {
    let mut process = header.process(alive, room);
    process.indicators.reserve(header.used());
    let slots = bytes[BLOCK..].chunks_exact(BLOCK).take(header.used()).enumerate();
    process.indicators.extend(slots.filter_map(|(index, slot)| descriptors.observe(index, slot, shared)));
    process
}

/// The process on a board in this process's own memory.
#[cfg(not(loom))]
pub(crate) fn own_process(board: &Board) -> Option<Process> {
    let bytes: Vec<u8> = board.words().iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect();
    Some(process(
        &Header::of(&bytes).ok()?,
        &bytes,
        true,
        &mut Descriptors::default(),
        &mut Shared::default(),
        Vec::new(),
    ))
}

/// The evidence in a slot of this process, without the text of its failure.
pub(crate) fn own_evidence(slot: &Slot) -> Evidence {
    let mut words = [0; DESCRIPTOR];
    for (word, atomic) in words.iter_mut().zip(slot.words()) {
        *word = atomic.load(Relaxed);
    }
    evidence_of(&words)
}

/// The evidence in the words of a slot, which may be any mixture of old and new.
pub(crate) fn evidence_of(words: &[u64]) -> Evidence {
    let [outcome, streak, last_failure, last_end, refreshed, work_failure] =
        [words[0], words[1], words[2], words[3], words[4], words[5]];
    let [since_ns, until_ns, refresh_begun, capacity, beyond] =
        [words[6], words[7], words[8], words[9], words[10]];
    let [ineffective_refresh, earlier_failure] = [words[11], words[12]];
    let some = |at: u64| (at != 0).then_some(at);
    let counted = (outcome & COUNT) as u32;
    let failures = if is_cleared(outcome, last_failure, refreshed, work_failure) { 0 } else { counted };

    let clamp = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let mut in_flight = (beyond & COUNT) as u32;
    let (mut oldest, mut youngest) = (u64::MAX, 0);
    for begun in words[HEAD..DESCRIPTOR].iter().copied().filter(|begun| *begun != 0) {
        in_flight = in_flight.saturating_add(1);
        oldest = oldest.min(begun);
        youngest = youngest.max(begun);
    }
    in_flight = in_flight.saturating_add(u32::from(refresh_begun != 0));
    let last_end_ns = some(last_end.max(outcome & !COUNT));

    Evidence {
        last_success_ns: some((outcome & !COUNT).max(refreshed).max(ineffective_refresh)),
        last_failure_ns: some(last_failure),
        earlier_failure_ns: some(earlier_failure),
        failures,
        failing_since_ns: some(streak & !COUNT)
            .filter(|_| failures > 0 && streak & COUNT == tag(outcome, refreshed)),
        last_end_ns,
        in_flight,
        oldest_ns: (oldest != u64::MAX).then_some(oldest),
        refresh_ns: some(refresh_begun),
        youngest_ns: some(youngest),
        beyond_ns: some(beyond & !COUNT).filter(|_| beyond & COUNT != 0),
        abandoned: some(since_ns)
            .filter(|since| Some(*since) >= last_end_ns && until_ns >= *since)
            .map(|since_ns| Abandoned { since_ns, until_ns }),
        capacity: clamp(capacity),
        error: match words.get(TEXTS..) {
            Some(texts) if (failures > 0 || earlier_failure != 0) && texts.len() >= 2 * TEXT_WORDS => {
                text::newest([&texts[..TEXT_WORDS], &texts[TEXT_WORDS..2 * TEXT_WORDS]])
                    .0
                    .filter(|error| !error.is_empty())
                    .map(Box::new)
            }
            _ => None,
        },
    }
}

fn words<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut words = [0; N];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_ne_bytes(chunk.try_into().unwrap_or_default());
    }
    words
}

#[cfg(test)]
#[cfg(not(loom))]
#[path = "board_tests.rs"]
mod tests;
