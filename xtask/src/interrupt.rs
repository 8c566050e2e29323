//! Ctrl-C and SIGTERM: a job that waits is told, and cleans up as after any error. A second one ends it at once.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use signal_hook::consts::TERM_SIGNALS;
use signal_hook::flag;

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on [`check`] notices what would have ended this process.
pub(crate) fn watch() -> Result<()> {
    let interrupted = INTERRUPTED.get_or_init(Arc::default);
    for signal in TERM_SIGNALS {
        // In this order: the first signal finds the flag unset and only sets it.
        flag::register_conditional_shutdown(*signal, 1, Arc::clone(interrupted))?;
        flag::register(*signal, Arc::clone(interrupted))?;
    }
    Ok(())
}

/// Whether somebody wants this job to end.
pub(crate) fn happened() -> bool {
    // Relaxed: the flag carries no other data with it.
    INTERRUPTED.get().is_some_and(|interrupted| interrupted.load(Ordering::Relaxed))
}

/// An error once somebody wants this job to end.
pub(crate) fn check() -> Result<()> {
    ensure!(!happened(), "interrupted");
    Ok(())
}
