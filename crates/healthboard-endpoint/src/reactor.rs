//! Waiting for many descriptors at once: a thin layer over level-triggered epoll.

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// The most events that one wait takes from the kernel. The kernel returns the others in later waits.
const MAX_EVENTS: usize = 256;

/// Tells which descriptors can be read or written.
pub(crate) struct Reactor {
    epoll: OwnedFd,
    events: Vec<Event>,
}

/// The events to watch for. An error or the end of both directions is always reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Interest {
    Read,
    Write,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<Reactor> {
        Ok(Reactor { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(MAX_EVENTS) })
    }

    /// Watches a descriptor. A closed descriptor is removed automatically if no duplicate of it is open. A listening socket,
    /// which other processes may share, must be removed explicitly.
    pub(crate) fn add(&self, descriptor: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, EventData::new_u64(token), interest.flags())?)
    }

    pub(crate) fn modify(&self, descriptor: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, descriptor, EventData::new_u64(token), interest.flags())?)
    }

    pub(crate) fn remove(&self, descriptor: impl AsFd) {
        // An error means that it is not watched or is closed.
        let _ = epoll::delete(&self.epoll, descriptor);
    }

    /// Waits for at most this long, rounded up to milliseconds, and returns the tokens of the ready descriptors. None if a
    /// signal interrupts the wait.
    pub(crate) fn wait(&mut self, at_most: Duration) -> io::Result<impl ExactSizeIterator<Item = u64> + '_> {
        self.events.clear();
        let timeout =
            Timespec { tv_sec: at_most.as_secs().cast_signed(), tv_nsec: at_most.subsec_nanos().into() };
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(self.events.iter().map(|event| event.data.u64())),
            Err(error) => Err(error.into()),
        }
    }
}

impl Interest {
    fn flags(self) -> EventFlags {
        match self {
            Interest::Read => EventFlags::IN,
            Interest::Write => EventFlags::OUT,
        }
    }
}
