//! The board: one small file in which one process keeps its indicators.
//!
//! Every atomic that threads or processes share is here, with its orderings. Nothing here depends on recording or
//! reading. [`slot`] justifies the orderings of the board itself, [`page`] and [`registry`] those of a process's own
//! memory. [`layout`] is the file format, and [`create`] makes a board.

#[cfg(not(loom))]
pub(crate) mod anchor;
pub(crate) mod clock;
#[cfg(not(loom))]
pub(crate) mod create;
pub(crate) mod descriptor;
pub(crate) mod layout;
#[cfg(not(loom))]
pub(crate) mod lock;
#[cfg(loom)]
mod models;
pub(crate) mod page;
#[cfg(not(loom))]
pub(crate) mod place;
pub(crate) mod registry;
#[cfg(not(loom))]
pub(crate) mod sigbus;
pub(crate) mod slot;
pub(crate) mod sync;
pub(crate) mod text;

pub(crate) const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// One step of the checksum, which detects torn data but not forged data.
pub(crate) const fn mix(sum: u64, word: u64) -> u64 {
    (sum ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29)
}

/// The checksum of these words.
pub(crate) fn checksum(words: &[u64]) -> u64 {
    words.iter().fold(SEED, |sum, word| mix(sum, *word))
}
