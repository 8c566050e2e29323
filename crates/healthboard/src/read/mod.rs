//! Reading boards: on copies, with every byte under suspicion. Reading changes nothing.

mod board;
#[cfg(not(loom))]
mod directory;
mod evidence;

pub(crate) use crate::board::slot::BEGUN as KNOWN_AGES;
#[cfg(all(any(test, fuzzing), not(loom)))]
pub use board::fuzz_board;
#[cfg(not(loom))]
pub(crate) use board::{own_evidence, own_process};
#[cfg(not(loom))]
pub use directory::Directory;
pub use evidence::{Abandoned, Evidence, Life, Observed, Process};

#[cfg(loom)]
pub(crate) use board::evidence_of;
