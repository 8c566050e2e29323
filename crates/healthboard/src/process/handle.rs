//! The handle of a service, and the free functions of the default service.

use super::notice::{Announcement, Notice};
use super::service::{DEFAULT, Service};
use crate::config::Uri;
use std::fmt;

/// The handle of a service. If the service was not started, recording does nothing. It is a reference to copy, valid
/// for ever, also in forked children.
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

    /// The endpoints that the service listens on, in any of its processes, with the ports that were found for port 0.
    /// Empty until they are known.
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

/// Call this about once a second from the loop whose progress matters: the event loop, the interpreter, the hub.
///
/// Records `progress` of the default service, and returns the notices to log. Costs no system call, and takes a lock
/// that only the keeper uses besides. A process that never calls it is never reported as hung.
pub fn tick() -> Vec<Notice> {
    DEFAULT.tick()
}

/// The first half of [`tick`]: stamps `progress`. For who must not log, such as an event loop.
pub fn stamp() {
    DEFAULT.stamp();
}

/// The other half of [`tick`]: what is to be logged.
pub fn take_notices() -> Vec<Notice> {
    DEFAULT.take_notices()
}

/// Makes the board of this process now and not only at its first recording, which may come hours later. Returns whether
/// the process has a board; waits at most two seconds for it.
pub fn attach() -> bool {
    DEFAULT.attach().is_some()
}

/// Says that the service has started, or reloaded, and works: the service manager is told so, within a second, once an
/// endpoint answers or the log says why none does. systemd needs it for units of `Type=notify` whose program does not
/// say so itself.
pub fn ready() {
    DEFAULT.announce(Announcement::Ready);
}

/// Says that the service reads its configuration again; [`ready`] ends that.
pub fn reloading() {
    DEFAULT.announce(Announcement::Reloading);
}

/// Says that this process is about to end: it is no longer ready, but still alive. A process without a board says
/// nothing.
pub fn drain() {
    DEFAULT.drain();
}

/// Says that from now on this process only watches over the processes it forks, as a master does: it does no work
/// itself, so its evidence may become stale, and it serves the endpoints only while no worker does.
pub fn watch() {
    DEFAULT.watch();
}

/// Says that this process ends in good order, so that its end is not a death.
pub fn goodbye() {
    DEFAULT.goodbye();
}

/// The same, for a handler of a signal that ends the process: takes no lock and allocates nothing. It leaves the board of a
/// forked process to be swept by the holder.
pub fn goodbye_in_signal_handler() {
    DEFAULT.goodbye_in_signal_handler();
}
