//! Making sense of a board that somebody else writes: on a copy, with every byte under suspicion.

use super::descriptor;
use super::layout::{BLOCK, BYTE_ORDER, Board, LAYOUT, MAGIC, SIZE, SLOTS, checksum, phase, word};
use super::slot::{COUNT, LANES, Slot, tag};
use super::sync::Ordering::Relaxed;
use super::text;
use crate::{Evidence, Life, Observed, Process};
use std::fmt;

pub(crate) const WORDS: usize = BLOCK / 8;
pub(crate) const LANE: usize = 8;
const DESCRIPTOR: usize = LANE * (1 + LANES);
pub(crate) const TEXTS: usize = DESCRIPTOR + descriptor::WORDS;
const TEXT_WORDS: usize = 2 + text::DATA;

/// Why a file is not taken for a board of this service. Each names what was found and what was expected.
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

/// A checked header.
pub(crate) struct Header {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) started_ns: u64,
    pub(crate) ttl_ns: u64,
    pub(crate) boot_id: [u64; 2],
    pub(crate) phase: u64,
    pub(crate) used: usize,
    pub(crate) exhausted: u32,
    pub(crate) watches: bool,
}

/// Checks the header at the front of a copy.
pub(crate) fn header(bytes: &[u8]) -> Result<Header, Refused> {
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
    if words[word::BYTE_ORDER] != BYTE_ORDER || words[word::CHECKSUM] != checksum(&words[..word::CHECKSUM]) {
        return Err(Refused::Checksum);
    }
    Ok(Header {
        pid: words[word::PID] as u32,
        parent: (words[word::PID] >> 32) as u32,
        started_ns: words[word::STARTED_NS],
        ttl_ns: words[word::TTL_NS],
        boot_id: [words[word::BOOT_ID], words[word::BOOT_ID + 1]],
        phase: words[word::PHASE],
        used: usize::try_from(words[word::USED]).map_or(SLOTS, |used| used.min(SLOTS)),
        exhausted: u32::try_from(words[word::EXHAUSTED]).unwrap_or(u32::MAX),
        watches: words[word::WATCHES] != 0,
    })
}

/// What the board says. `alive` is what its lock said. `None` for a process that has left in good order.
pub(crate) fn process(header: &Header, bytes: &[u8], alive: bool) -> Option<Process> {
    let life = match (alive, header.phase) {
        (true, phase::RUNNING) => Life::Alive,
        (true, phase::DRAINING) => Life::Draining,
        (false, phase::RUNNING) => Life::Dead,
        _ => return None,
    };
    let indicators = bytes[BLOCK..].chunks_exact(BLOCK).take(header.used).filter_map(slot).collect();
    Some(Process {
        pid: header.pid,
        parent: header.parent,
        watches: header.watches,
        life,
        started_ns: header.started_ns,
        ttl_ns: header.ttl_ns,
        exhausted: header.exhausted,
        indicators,
    })
}

/// What a board in this process's own memory says.
pub(crate) fn own_process(board: &Board) -> Option<Process> {
    let bytes: Vec<u8> = board.words().iter().flat_map(|word| word.load(Relaxed).to_ne_bytes()).collect();
    process(&header(&bytes).ok()?, &bytes, true)
}

/// The evidence in a slot of this process, without the text of its failure.
pub(crate) fn own_evidence(slot: &Slot) -> Evidence {
    let mut words = [0; DESCRIPTOR];
    let times = [&slot.outcome, &slot.streak, &slot.last_failure, &slot.last_end];
    for (word, time) in words.iter_mut().zip(times) {
        *word = time.load(Relaxed);
    }
    for (i, lane) in slot.lanes.iter().enumerate() {
        words[(i + 1) * LANE] = lane.0.load(Relaxed);
    }
    evidence(&words)
}

/// One slot of a copy; `None` where it has no whole descriptor (yet).
fn slot(bytes: &[u8]) -> Option<Observed> {
    let words = words(bytes);
    let (name, policy) = descriptor::decode(&words[DESCRIPTOR..TEXTS])?;
    Some(Observed { name, policy, evidence: evidence(&words) })
}

/// What the words of a slot amount to, whatever mixture of old and new they are.
pub(crate) fn evidence(words: &[u64]) -> Evidence {
    let [outcome, streak, last_failure, last_end] = [words[0], words[1], words[2], words[3]];
    let some = |at: u64| (at != 0).then_some(at);
    let last_success_ns = some(outcome & !COUNT);
    let last_failure_ns = some(last_failure);
    let failures = (outcome & COUNT) as u32;

    let mut in_flight = 0_u32;
    let mut busy_since: Option<u64> = None;
    for lane in (1..=LANES).map(|i| words[i * LANE]).filter(|lane| lane & COUNT != 0) {
        in_flight = in_flight.saturating_add((lane & COUNT) as u32);
        busy_since = Some(busy_since.map_or(lane & !COUNT, |since| since.min(lane & !COUNT)));
    }
    let last_end_ns = some(last_end).max(last_success_ns).max(last_failure_ns);

    Evidence {
        last_success_ns,
        last_failure_ns,
        failures,
        failing_since_ns: some(streak & !COUNT).filter(|_| failures > 0 && streak & COUNT == tag(outcome)),
        in_flight,
        waiting_since_ns: busy_since.map(|since| last_end_ns.map_or(since, |end| since.max(end))),
        error: match words.get(TEXTS..) {
            Some(texts) if failures > 0 && texts.len() >= 2 * TEXT_WORDS => {
                text::newest([&texts[..TEXT_WORDS], &texts[TEXT_WORDS..2 * TEXT_WORDS]]).0.unwrap_or_default()
            }
            _ => Default::default(),
        },
    }
}

fn words(bytes: &[u8]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_ne_bytes(chunk.try_into().unwrap_or_default());
    }
    words
}

#[cfg(test)]
mod tests;
