//! Reads boards. It works on copies and trusts no byte of them. Reading changes nothing.

mod board;
#[cfg(not(loom))]
mod directory;
mod evidence;
#[cfg(any(test, fuzzing))]
#[cfg(not(loom))]
mod fuzz;
#[cfg(not(loom))]
mod stack_files;

pub(crate) use crate::board::slot::BEGUN as KNOWN_AGES;
#[cfg(not(loom))]
pub(crate) use board::{own_evidence, own_process};
#[cfg(not(loom))]
pub use directory::Directory;
#[cfg(not(loom))]
pub(crate) use directory::{Memory, open};
pub use evidence::{Abandoned, Evidence, Life, Observed, Process};
#[cfg(any(test, fuzzing))]
#[cfg(not(loom))]
pub use fuzz::{fuzz_board, repair_board};

#[cfg(loom)]
pub(crate) use board::evidence_of;

/// For how long a master counts as draining after all its workers have ended while they were draining. A server's master
/// ends within seconds of its workers; one that still runs then takes work again.
pub(crate) const DRAINS_FOR_NS: u64 = 10_000_000_000;
