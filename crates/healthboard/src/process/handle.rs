//! The handle of a service, and the free functions of the default service.

use super::notice::{Announcement, Notice};
use super::service::{DEFAULT, Service};
use crate::config::Uri;
use std::fmt;

/// The handle of a service. If the service was not started, recording does nothing. A handle is a reference that can be
/// copied. It stays valid for the life of the process and in forked children.
#[derive(Clone, Copy)]
pub struct Handle {
    pub(crate) service: &'static Service,
}

impl Handle {
    pub(super) fn of(service: &'static Service) -> Handle {
        Handle { service }
    }

    /// The name of the service; empty if none was started.
    pub fn name(&self) -> &'static str {
        self.service.name()
    }

    /// The endpoints on which any process of the service listens. Port 0 is replaced by the port that was assigned. Empty
    /// until the endpoints are known, and if there are none.
    pub fn endpoints(&self) -> Vec<Uri> {
        self.service.attached().map(|attached| attached.endpoints()).unwrap_or_default()
    }

    /// See [`tick`].
    pub fn tick(&self) -> Vec<Notice> {
        self.service.tick()
    }

    /// See [`attach`].
    pub fn attach(&self) -> bool {
        self.service.attach().is_some()
    }

    /// See [`ready`].
    pub fn ready(&self) {
        self.service.announce(Announcement::Ready);
    }

    /// See [`reloading`].
    pub fn reloading(&self) {
        self.service.announce(Announcement::Reloading);
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

/// Records `progress` of the default service, and returns the notices to log.
///
/// Call this about once a second from the loop whose progress matters: the event loop, the interpreter, the hub. Costs no
/// system call after the first use. It takes a lock that the keeper holds only briefly. A process that never calls it is
/// never reported as hung.
pub fn tick() -> Vec<Notice> {
    DEFAULT.tick()
}

/// The first half of [`tick`]: records `progress`. For callers that must not log, such as an event loop.
pub fn stamp() {
    DEFAULT.stamp();
}

/// The other half of [`tick`]: returns the notices to log.
pub fn take_notices() -> Vec<Notice> {
    DEFAULT.take_notices()
}

/// Makes the board of this process now rather than at its first recording, which may come hours later. Returns whether
/// the process has a board. Waits at most two seconds for it.
pub fn attach() -> bool {
    DEFAULT.attach().is_some()
}

/// Announces that the service has started, or reloaded, and works. The service manager is told within a second, but not
/// before an endpoint answers or the log says why none does. systemd needs this for units of `Type=notify` whose program
/// does not send `READY=1` itself.
pub fn ready() {
    DEFAULT.announce(Announcement::Ready);
}

/// Announces that the service is reloading its configuration. [`ready`] ends the reload.
pub fn reloading() {
    DEFAULT.announce(Announcement::Reloading);
}

/// Announces that this process is about to end: it is no longer ready, but still alive. Does nothing in a process without
/// a board.
pub fn drain() {
    DEFAULT.drain();
}

/// Announces that from now on this process only watches over the processes it forks, as a master does. It does no work
/// itself, so its evidence may become stale, and it serves the endpoints only while no worker does.
pub fn watch() {
    DEFAULT.watch();
}

/// Announces that this process ends in good order, so that its end does not count as a death.
pub fn goodbye() {
    DEFAULT.goodbye();
}

/// Announces that this process ends by a failure, so that its end counts as a death even if it was draining. A goodbye stays
/// in force.
pub fn crash() {
    DEFAULT.crash();
}

/// Like [`goodbye`], for the handler of a signal that ends the process: takes no lock and allocates nothing. The board of
/// a forked process is left for the holder to remove.
pub fn goodbye_in_signal_handler() {
    DEFAULT.goodbye_in_signal_handler();
}
