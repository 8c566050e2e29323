//! The board: one small file in which one process keeps its indicators.
//!
//! All that is shared between threads or processes is here, and nothing here knows what it is for. [`slot`] has the chapter
//! on orderings; [`layout`] the file format; [`create`] how a board comes into being whole or not at all; [`read`] how a
//! reader makes sense of bytes it does not trust; [`directory`] all the boards of a service.

pub(crate) mod clock;
pub(crate) mod create;
pub(crate) mod descriptor;
pub(crate) mod directory;
pub(crate) mod layout;
#[cfg(loom)]
mod models;
pub(crate) mod read;
mod sigbus;
pub(crate) mod slot;
pub(crate) mod sync;
pub(crate) mod text;

pub(crate) const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// One step of the checksum: tells whole from torn, not honest from forged.
pub(crate) const fn mix(sum: u64, word: u64) -> u64 {
    (sum ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd).rotate_left(29)
}
