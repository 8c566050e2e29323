//! The handle of a service, and the free functions of the default one.

use super::notice::{Notice, Transition};
use super::service::{DEFAULT, Service};
use crate::config::Uri;
use std::fmt;

/// A service that was started, or was not: then everything it records goes nowhere. As cheap to copy as a reference, valid
/// for ever, also in forked children.
#[derive(Clone, Copy)]
pub struct Handle {
    pub(crate) service: &'static Service,
}

impl Handle {
    pub(super) fn of(service: &'static Service) -> Handle {
        Handle { service }
    }

    /// What operators call the service; empty where none was started.
    pub fn name(&self) -> &'static str {
        self.service.name()
    }

    /// What is listened on, by whichever process of the service, with the ports that were found for port 0. Empty as long as it is
    /// not known.
    pub fn endpoints(&self) -> Vec<Uri> {
        self.service.attached().map(|attached| attached.endpoints()).unwrap_or_default()
    }

    /// The newest changes of the service's status, 32 at most and the newest last, as far as this process has served the
    /// endpoints and seen them.
    pub fn transitions(&self) -> Vec<Transition> {
        self.service.attached().map(|attached| attached.transitions()).unwrap_or_default()
    }

    /// See [`tick`].
    pub fn tick(&self) -> Vec<Notice> {
        self.service.tick()
    }

    /// See [`attach`].
    pub fn attach(&self) -> bool {
        self.service.attach().is_some()
    }

    /// See [`drain`].
    pub fn drain(&self) {
        self.service.drain();
    }

    /// See [`watch`].
    pub fn watch(&self) {
        self.service.watch();
    }

    /// See [`goodbye`].
    pub fn goodbye(&self) {
        self.service.goodbye();
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handle").field(&self.name()).finish()
    }
}

/// To be called about once a second from the very thing whose progress matters: the event loop, the interpreter, the hub.
///
/// Stamps `progress` of the default service, and returns what is to be logged. Costs a few nanoseconds and no system call. A
/// service in which nobody calls it has no `progress`, so nobody is told when it hangs.
pub fn tick() -> Vec<Notice> {
    DEFAULT.tick()
}

/// Gives this process its board now and not only at its first recording: it may have nothing to record for hours. Returns
/// whether it has one.
pub fn attach() -> bool {
    DEFAULT.attach().is_some()
}

/// Says that this process is going to end: not ready any more, still alive.
pub fn drain() {
    DEFAULT.drain();
}

/// Says that from now on this process only watches over those that it forks, as a master does: it does no work itself, so
/// that what it has recorded may grow old, and it serves the endpoints only while no worker does.
pub fn watch() {
    DEFAULT.watch();
}

/// Says that this process ends in good order: its absence is no fault from here on.
pub fn goodbye() {
    DEFAULT.goodbye();
}

/// The same, for a handler of a signal that ends the process: takes no lock and allocates nothing. It leaves the board of a
/// forked process to be swept by the holder.
pub fn goodbye_in_signal_handler() {
    DEFAULT.goodbye_in_signal_handler();
}
