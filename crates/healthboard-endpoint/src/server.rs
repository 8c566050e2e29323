//! Accepting connections, serving them in turn, and keeping no more of them than there are places for.
//!
//! One thread and one loop. In each turn a bounded number of connections is accepted and requests are answered for a bounded
//! time, so neither newcomers nor those who are connected wait for all of the others. A connection that has had an answer
//! goes to the end of the line.
//!
//! Whoever does its share keeps its place. When all places of a listening socket are taken, the connection whose peer has
//! owed something for longest makes room; while no peer owes anything, newcomers wait in the kernel's queue.

use crate::connection::{Connection, Limits, Phase, SCRATCH_BYTES, Step, Turn};
use crate::http::Answers;
use crate::places::{Id, Places};
use crate::reactor::{Interest, Reactor};
use healthboard::Report;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use rustix::process::{Resource, getrlimit};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// Places of one listening socket, where descriptors allow.
const MAX_CONNECTIONS: usize = 2048;

/// Places of one listening socket in a process with hardly any descriptors.
const MIN_CONNECTIONS: usize = 8;

/// Descriptors that are left to boards, locks and those who stand by.
const MIN_RESERVED_DESCRIPTORS: usize = 32;
const MAX_RESERVED_DESCRIPTORS: usize = 128;

/// Connections that one listening socket accepts in one turn.
const MAX_ACCEPTS_PER_TURN: usize = 64;

/// How long connections have their steps in one turn. Newcomers wait for one turn.
const MAX_TURN: Duration = Duration::from_millis(2);

/// Steps between two looks at the clock.
const STEPS_PER_LOOK: usize = 8;

/// A peer that has owed something for less is not closed to make room.
const GRACE: Duration = Duration::from_millis(20);

/// How long accepting rests when it fails and nothing can be done about it: trying again at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that are looked at, in each phase, for one to make room.
const MAX_CANDIDATES: usize = 16;

/// A wait that is shorter than this was none: somebody was there already.
const IN_A_HURRY_BELOW: Duration = Duration::from_micros(2);

/// The token of the door; no connection and no listening socket has it.
const DOOR: u64 = u64::MAX;

/// Tokens of listening sockets are from here on; generations of connections stay below.
const LISTENERS: u64 = 1 << 63;

/// Serves the connections of any number of listening sockets.
pub(crate) struct Server {
    reactor: Reactor,
    answers: Answers,
    limits: Limits,
    listeners: Vec<Option<Accepting>>,
    /// The most places of a listening socket.
    max_connections: usize,
    /// Places of each listening socket.
    capacity: usize,
    places: Places,
    /// Connections with something to do. Each is in it once.
    ready: VecDeque<Id>,
    scratch: Vec<u8>,
}

/// A listening socket.
struct Accepting {
    socket: OwnedFd,
    /// Whether somebody waits to be accepted.
    is_ready: bool,
    /// No connection is accepted before.
    paused_until: Option<Instant>,
}

/// Which listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListenerId(usize);

impl Server {
    pub(crate) fn new(answers: Answers, limits: Limits) -> io::Result<Server> {
        Ok(Server {
            reactor: Reactor::new()?,
            answers,
            limits,
            listeners: Vec::new(),
            max_connections: MAX_CONNECTIONS,
            capacity: MAX_CONNECTIONS,
            places: Places::default(),
            ready: VecDeque::new(),
            scratch: vec![0; SCRATCH_BYTES],
        })
    }

    /// Accepts from a listening socket, which does not block, from now on.
    pub(crate) fn listen(&mut self, socket: BorrowedFd<'_>) -> io::Result<ListenerId> {
        let socket = socket.try_clone_to_owned()?;
        let is_unused = |index: &usize| self.listeners[*index].is_none() && self.places.count(*index) == 0;
        let index = (0..self.listeners.len()).find(is_unused).unwrap_or(self.listeners.len());
        self.reactor.add(&socket, LISTENERS | index as u64, Interest::Read)?;
        if index == self.listeners.len() {
            self.listeners.push(None);
        }
        self.listeners[index] = Some(Accepting { socket, is_ready: false, paused_until: None });
        self.share_places();
        Ok(ListenerId(index))
    }

    /// Accepts from it no more. Those who have been accepted are served on.
    pub(crate) fn unlisten(&mut self, listener: ListenerId) {
        if let Some(accepting) = self.listeners.get_mut(listener.0).and_then(Option::take) {
            // Other processes may have the same socket: closing it does not make the kernel forget it.
            self.reactor.remove(&accepting.socket);
        }
        self.share_places();
    }

    /// Also says when this can be read.
    pub(crate) fn watch_door(&self, door: impl AsFd) -> io::Result<()> {
        self.reactor.add(door, DOOR, Interest::Read)
    }

    pub(crate) fn unwatch_door(&self, door: impl AsFd) {
        self.reactor.remove(door);
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.places.total()
    }

    /// See [`Answers::take_notice`].
    pub(crate) fn take_notice(&mut self) -> Option<String> {
        self.answers.take_notice()
    }

    /// Waits for something to do, at most until then, and does a bounded part of it. Returns whether the door can be read.
    ///
    /// # Errors
    ///
    /// The kernel does not let us wait.
    pub(crate) fn turn(&mut self, until: Instant, report: &mut dyn FnMut() -> Report) -> io::Result<bool> {
        let before = Instant::now();
        let timeout = self.time_to_wait(before, until);
        let mut door = false;
        for token in self.reactor.wait(timeout)? {
            if token == DOOR {
                door = true;
            } else if token >= LISTENERS {
                let listener = self.listeners.get_mut((token - LISTENERS) as usize);
                if let Some(Some(accepting)) = listener {
                    accepting.is_ready = true;
                }
            } else if self.places.set_ready(Id::from_token(token)) {
                self.ready.push_back(Id::from_token(token));
            }
        }
        let now = Instant::now();
        self.resume(now);
        // After a wait, one at a time: the next wait says whether there is another, and a single probe costs no accept that
        // finds nobody.
        let at_most = if now - before > IN_A_HURRY_BELOW { 1 } else { MAX_ACCEPTS_PER_TURN };
        for index in 0..self.listeners.len() {
            self.accept(index, at_most, now, report);
        }
        for steps in 1..=self.ready.len() {
            let Some(id) = self.ready.pop_front() else { break };
            self.places.clear_ready(id);
            self.step(id, now, report);
            if steps.is_multiple_of(STEPS_PER_LOOK) && now.elapsed() > MAX_TURN {
                break;
            }
        }
        self.expire(now);
        Ok(door)
    }

    /// Until something is due.
    fn time_to_wait(&self, now: Instant, until: Instant) -> Duration {
        if !self.ready.is_empty() {
            return Duration::ZERO;
        }
        let mut next = until;
        for listener in 0..self.places.listeners() {
            for phase in Phase::ALL {
                if let Some((_, since, _)) = self.places.first(listener, phase) {
                    next = next.min(since + self.limits.of(phase));
                }
            }
        }
        for accepting in self.listeners.iter().flatten() {
            next = accepting.paused_until.map_or(next, |paused| next.min(paused));
        }
        next.saturating_duration_since(now)
    }

    /// Accepts at most so many from one listening socket; each newcomer has its first step at once, since most have said
    /// what they want when they are accepted.
    fn accept(&mut self, index: usize, at_most: usize, now: Instant, report: &mut dyn FnMut() -> Report) {
        let (mut left, mut has_made_room) = (at_most, false);
        while left > 0 {
            let Some(accepting) = &mut self.listeners[index] else { return };
            if !accepting.is_ready {
                return;
            }
            if !self.has_room(index, now) {
                self.pause(index, now);
                return;
            }
            let Some(accepting) = &mut self.listeners[index] else { return };
            match accept_with(&accepting.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(socket) => {
                    left -= 1;
                    has_made_room = false;
                    let id = self.places.insert(index, Connection::new(socket, now));
                    self.step(id, now, report);
                    // Most are gone already.
                    if self.places.count(index) > self.capacity
                        && let Some(longest) = self.longest_waiting(index..=index, now)
                    {
                        self.close(longest);
                    }
                }
                Err(Errno::AGAIN) => {
                    accepting.is_ready = false;
                    return;
                }
                // No descriptors or no memory. What one connection sets free may be enough, and the next is not closed in vain.
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    let all = 0..=self.places.listeners().saturating_sub(1);
                    match self.longest_waiting(all, now) {
                        Some(longest) if !has_made_room => {
                            has_made_room = true;
                            self.close(longest);
                        }
                        _ => {
                            self.pause(index, now);
                            return;
                        }
                    }
                }
                // The connection has ended before it began, or a firewall does not like it.
                Err(
                    Errno::CONNABORTED
                    | Errno::INTR
                    | Errno::PERM
                    | Errno::PROTO
                    | Errno::NOPROTOOPT
                    | Errno::OPNOTSUPP
                    | Errno::NETDOWN
                    | Errno::NETUNREACH
                    | Errno::HOSTDOWN
                    | Errno::HOSTUNREACH
                    | Errno::NONET,
                ) => left -= 1,
                // Somebody who has the same socket may have shut it down.
                Err(_) => {
                    self.pause(index, now);
                    return;
                }
            }
        }
        if let Some(accepting) = &mut self.listeners[index] {
            // The next wait says whether there are more.
            accepting.is_ready = false;
        }
    }

    /// One step of a connection, and what comes of it.
    fn step(&mut self, id: Id, now: Instant, report: &mut dyn FnMut() -> Report) {
        let Some(connection) = self.places.get(id) else { return };
        let step = connection.step(&mut Turn {
            now,
            limits: &self.limits,
            answers: &mut self.answers,
            report,
            scratch: &mut self.scratch,
        });
        self.follow(id, step, now);
    }

    fn follow(&mut self, id: Id, step: Step, now: Instant) {
        match step {
            Step::Again => {
                self.places.leave(id);
                if self.places.set_ready(id) {
                    self.ready.push_back(id);
                }
            }
            Step::Wait { phase, answered } => {
                self.places.wait(id, phase, answered, now);
                if !self.watch(id, phase.interest()) {
                    self.close(id);
                }
            }
            Step::Close => self.close(id),
        }
    }

    /// Has the reactor watch for what a connection waits for.
    fn watch(&mut self, id: Id, interest: Interest) -> bool {
        let Some(connection) = self.places.get(id) else { return true };
        let watched = match connection.watched {
            Some(watched) if watched == interest => return true,
            Some(_) => self.reactor.modify(&*connection, id.token(), interest),
            None => self.reactor.add(&*connection, id.token(), interest),
        };
        connection.watched = Some(interest);
        watched.is_ok()
    }

    fn close(&mut self, id: Id) {
        let Some(index) = self.places.listener(id) else { return };
        self.places.remove(id);
        if self.places.count(index) < self.capacity
            && let Some(Some(accepting)) = self.listeners.get_mut(index)
            && let Some(until) = &mut accepting.paused_until
        {
            // There is a place again.
            *until = Instant::now();
        }
    }

    /// Closes those whose time is up; who is in the middle of a head is told why.
    fn expire(&mut self, now: Instant) {
        for index in 0..self.places.listeners() {
            for phase in Phase::ALL {
                let limit = self.limits.of(phase);
                while let Some((id, since, is_ready)) = self.places.first(index, phase) {
                    if since + limit > now || is_ready {
                        break;
                    }
                    let step = match self.places.get(id) {
                        Some(connection) if phase == Phase::Head => connection.time_out(&self.answers),
                        _ => Step::Close,
                    };
                    self.follow(id, step, now);
                }
            }
        }
    }

    /// Whether a newcomer can be accepted. All places may be taken, if it looks as if somebody could make room: most
    /// newcomers are gone before that is needed. At most one connection is there without a place of its own.
    fn has_room(&mut self, index: usize, now: Instant) -> bool {
        if self.places.count(index) > self.capacity {
            let Some(longest) = self.longest_waiting(index..=index, now) else { return false };
            self.close(longest);
        }
        let since = |phase| self.places.first(index, phase).map(|(_, since, _)| since);
        self.places.count(index) < self.capacity
            || Phase::ALL.into_iter().filter_map(since).any(|since| since + GRACE <= now)
    }

    /// The connection whose peer has owed something for longest, if that is long enough.
    fn longest_waiting(&mut self, listeners: std::ops::RangeInclusive<usize>, now: Instant) -> Option<Id> {
        let mut longest: Option<(Instant, Id)> = None;
        for index in listeners {
            for phase in Phase::ALL {
                let waiting: Vec<(Id, Instant)> = self
                    .places
                    .waiting(index, phase)
                    .take_while(|(_, since, _)| *since + GRACE <= now)
                    .filter(|(_, _, is_ready)| !is_ready)
                    .take(MAX_CANDIDATES)
                    .map(|(id, since, _)| (id, since))
                    .collect();
                for (id, since) in waiting {
                    if longest.is_some_and(|(than, _)| than <= since) {
                        break;
                    }
                    if self.places.get(id).is_some_and(|connection| !connection.was_heard(phase)) {
                        longest = Some((since, id));
                        break;
                    }
                }
            }
        }
        longest.map(|(_, id)| id)
    }

    /// Accepts nobody until somebody can make room, or for a while.
    fn pause(&mut self, index: usize, now: Instant) {
        let first = |phase| self.places.first(index, phase).map(|(_, since, _)| since + GRACE);
        let next = Phase::ALL.into_iter().filter_map(first).filter(|next| *next > now).min();
        let until = next.unwrap_or(now + ACCEPT_PAUSE).min(now + ACCEPT_PAUSE);
        let Some(Some(accepting)) = self.listeners.get_mut(index) else { return };
        accepting.is_ready = false;
        accepting.paused_until = Some(until);
        self.reactor.remove(&accepting.socket);
    }

    fn resume(&mut self, now: Instant) {
        for (index, accepting) in self.listeners.iter_mut().enumerate() {
            if let Some(accepting) = accepting
                && accepting.paused_until.is_some_and(|until| until <= now)
                && self.reactor.add(&accepting.socket, LISTENERS | index as u64, Interest::Read).is_ok()
            {
                accepting.paused_until = None;
                accepting.is_ready = true;
            }
        }
    }

    /// Each listening socket has as many places as any other, so that a crowd at one does not reach the others.
    fn share_places(&mut self) {
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let reserved = (descriptors / 8).clamp(MIN_RESERVED_DESCRIPTORS, MAX_RESERVED_DESCRIPTORS);
        let listeners = self.listeners.iter().flatten().count().max(1);
        let share = descriptors.saturating_sub(reserved) / listeners;
        self.capacity = share.max(MIN_CONNECTIONS).min(self.max_connections);
    }
}

#[cfg(test)]
mod tests;
