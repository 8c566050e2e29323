//! Ctrl-C and SIGTERM: the first one makes a waiting job fail, so that it cleans up as after any error. The second one ends it.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, ensure};
use signal_hook::consts::TERM_SIGNALS;
use signal_hook::flag;

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on the first signal only makes [`check`] fail.
pub(crate) fn watch() -> Result<()> {
    let interrupted = INTERRUPTED.get_or_init(Arc::default);
    for signal in TERM_SIGNALS {
        // In this order: the first signal finds the flag unset and only sets it.
        flag::register_conditional_shutdown(*signal, 1, Arc::clone(interrupted))?;
        flag::register(*signal, Arc::clone(interrupted))?;
    }
    Ok(())
}

/// Whether a signal has come.
pub(crate) fn happened() -> bool {
    // Relaxed: the flag carries no other data with it.
    INTERRUPTED.get().is_some_and(|interrupted| interrupted.load(Ordering::Relaxed))
}

/// Fails once a signal has come.
pub(crate) fn check() -> Result<()> {
    ensure!(!happened(), "interrupted");
    Ok(())
}
