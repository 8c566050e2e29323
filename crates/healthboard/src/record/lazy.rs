//! An indicator for a `static`.

use super::{Indicator, Operation};
use crate::board::sync::{AtomicU32, Ordering::Relaxed};
use crate::config::Policy;
use crate::failure::Failure;
use crate::process::DEFAULT;

/// An [`Indicator`] of the default service for a `static`, registered on first use.
#[derive(Debug)]
pub struct LazyIndicator {
    name: &'static str,
    policy: Policy,
    /// The index plus one; zero before the first use.
    registered: AtomicU32,
}

impl LazyIndicator {
    /// See [`Indicator::register`].
    pub const fn new(name: &'static str, policy: Policy) -> LazyIndicator {
        LazyIndicator { name, policy, registered: AtomicU32::new(0) }
    }

    /// The handle.
    #[inline]
    pub fn get(&self) -> Indicator {
        // Relaxed: only the index is used, and the memory it leads to is published by its own atomics.
        match self.registered.load(Relaxed) {
            0 => self.register(),
            registered => Indicator { service: &DEFAULT, index: registered - 1 },
        }
    }

    #[cold]
    fn register(&self) -> Indicator {
        let indicator = Indicator::register(self.name, self.policy);
        self.registered.store(indicator.index + 1, Relaxed);
        indicator
    }

    /// See [`Indicator::record_ok`].
    #[inline]
    pub fn record_ok(&self) {
        self.get().record_ok();
    }

    /// See [`Indicator::record_fail`].
    pub fn record_fail(&self, failure: &Failure) {
        self.get().record_fail(failure);
    }

    /// See [`Indicator::begin`].
    #[inline]
    pub fn begin(&self) -> Operation {
        self.get().begin()
    }
}
