//! Reading boards: on copies, with every byte under suspicion. Reading changes nothing.

mod board;
mod directory;
mod evidence;

pub(crate) use crate::board::slot::BEGUN as KNOWN_AGES;
#[cfg(any(test, fuzzing))]
pub use board::fuzz_board;
pub(crate) use board::{own_evidence, own_process};
pub use directory::Directory;
pub use evidence::{Abandoned, Evidence, Life, Observed, Process};

#[cfg(loom)]
pub(crate) use board::evidence_of;
