//! The state that recording reaches from a handle: the table of indicators, the page of this process, the clock.
//!
//! # Orderings
//!
//! All accesses are `Relaxed`. The page is zeroes from the kernel and holds nothing but atomics, so every thread that
//! loads its address finds a valid page. The test's clock is a single word. Only the keeper uses the id.

use super::clock;
use super::page::Page;
use super::registry::Registry;
use super::sync::{AtomicPtr, AtomicU64, Ordering::Relaxed};

/// The anchor of one service of a process. Forked children inherit it, with a wiped page.
pub(crate) struct Anchor<P: 'static> {
    page: AtomicPtr<Page<P>>,
    clock: AtomicPtr<AtomicU64>,
    /// The id of the board that this process made last. In a forked child without a board yet, that of its parent's board.
    newest_id: AtomicU64,
    pub(crate) registry: Registry,
}

impl<P> Anchor<P> {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Anchor<P> {
        Anchor {
            page: AtomicPtr::new(std::ptr::null_mut()),
            clock: AtomicPtr::new(std::ptr::null_mut()),
            newest_id: AtomicU64::new(0),
            registry: Registry::new(),
        }
    }

    /// The page; `None` until health is started.
    #[inline]
    pub(crate) fn page(&self) -> Option<&'static Page<P>> {
        // SAFETY: null or from `open`, which takes `&'static Page`.
        unsafe { self.page.load(Relaxed).as_ref() }
    }

    /// Makes recording use this page from now on.
    pub(crate) fn open(&self, page: &'static Page<P>) {
        self.page.store(std::ptr::from_ref(page).cast_mut(), Relaxed);
    }

    /// The current time: the test's clock if one is set, else the kernel's.
    #[inline]
    pub(crate) fn now_ns(&self) -> u64 {
        /// Kept out of the path that uses the kernel's clock.
        #[cold]
        fn own(clock: &AtomicU64) -> u64 {
            clock.load(Relaxed)
        }
        // SAFETY: null or from `follow`, which takes `&'static AtomicU64`.
        match unsafe { self.clock.load(Relaxed).as_ref() } {
            None => clock::now_ns(),
            Some(clock) => own(clock),
        }
    }

    /// Makes recording take the time from this clock from now on.
    pub(crate) fn follow(&self, clock: &'static AtomicU64) {
        self.clock.store(std::ptr::from_ref(clock).cast_mut(), Relaxed);
    }

    /// Stores the id of this process's board and returns the id of its parent's board, 0 if there is none.
    pub(crate) fn replace_id(&self, id: u64) -> u64 {
        self.newest_id.swap(id, Relaxed)
    }
}
