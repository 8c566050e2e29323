//! Entry points for fuzzing the reader with arbitrary bytes.

use super::Process;
use super::board::{DESCRIPTOR, Descriptors, Header, Shared, TEXT_WORDS, TEXTS, process};
use crate::board::layout::{BLOCK, BYTE_ORDER, LAYOUT, MAGIC, SIZE, word};
use crate::board::{checksum, descriptor, mix};

/// Reads these bytes as a board. Boards of even length count as those of living processes.
#[doc(hidden)]
pub fn fuzz_board(bytes: &[u8]) -> Option<Process> {
    let header = Header::of(bytes).ok()?;
    Some(process(
        &header,
        bytes,
        bytes.len().is_multiple_of(2),
        &mut Descriptors::default(),
        &mut Shared::default(),
        Vec::new(),
    ))
}

/// Corrects every checksum and the constant words. A fuzzer would not find these by itself, and would never reach the code
/// behind the checks.
#[doc(hidden)]
pub fn repair_board(bytes: &mut [u8]) {
    let mut blocks = bytes.chunks_exact_mut(BLOCK);
    if let Some(header) = blocks.next() {
        for (at, value) in [
            (word::MAGIC, MAGIC),
            (word::BYTE_ORDER, BYTE_ORDER),
            (word::LAYOUT, LAYOUT),
            (word::SIZE, SIZE as u64),
        ] {
            set(header, at, value);
        }
        seal(header, 0, word::CHECKSUM);
        seal(header, word::REFUSED_NAME, word::REFUSED_NAME + descriptor::NAME / 8);
    }
    for slot in blocks {
        seal(slot, DESCRIPTOR, TEXTS - 1);
        for text in [TEXTS, TEXTS + TEXT_WORDS] {
            let data = get(slot, text + 2, text + TEXT_WORDS);
            let sum = std::iter::once(get(slot, text, text + 1)[0]).chain(data).fold(crate::board::SEED, mix);
            set(slot, text + 1, sum);
        }
    }
}

/// Stores the checksum of the words `first..at` in the word `at`.
fn seal(block: &mut [u8], first: usize, at: usize) {
    let sum = checksum(&get(block, first, at));
    set(block, at, sum);
}

fn get(block: &[u8], first: usize, end: usize) -> Vec<u64> {
    let words = block[first * 8..end * 8].chunks_exact(8);
    words.map(|word| u64::from_ne_bytes(word.try_into().unwrap_or_default())).collect()
}

fn set(block: &mut [u8], at: usize, value: u64) {
    block[at * 8..at * 8 + 8].copy_from_slice(&value.to_ne_bytes());
}
