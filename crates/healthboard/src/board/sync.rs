//! The atomics of the board: std's, or loom's when the orderings are checked.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};

/// Whether a named mutation of the algorithm is switched on. Each mutation makes one loom model fail. Always `false` in a
/// normal build.
#[cfg(loom)]
pub(crate) fn mutant(name: &str) -> bool {
    use std::sync::LazyLock;
    static ACTIVE: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("HEALTHBOARD_MUTANT").ok());
    ACTIVE.as_deref() == Some(name)
}

#[cfg(not(loom))]
#[inline(always)]
pub(crate) const fn mutant(_name: &str) -> bool {
    false
}

/// The ordering, or `Relaxed` while this mutant is switched on.
#[inline(always)]
pub(crate) fn unless(name: &str, ordering: Ordering) -> Ordering {
    if mutant(name) { Ordering::Relaxed } else { ordering }
}
