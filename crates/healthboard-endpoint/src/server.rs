//! Accepts connections, serves them in turn, and limits their number.
//!
//! It is one loop in one thread. Each turn accepts a bounded number of connections and answers requests for a bounded time,
//! so neither new nor existing connections wait for all of the others. A connection that has had an answer goes to the end
//! of the list.
//!
//! An active connection keeps its place. When all places of a listening socket are taken, the connection that has waited
//! longest for its peer is closed. While none waits, new connections stay in the kernel's queue.

use crate::connection::{Connection, Limits, Phase, SCRATCH_BYTES, Step, Turn};
use crate::http::{Answers, Ends, Site};
use crate::places::{Id, Places};
use crate::reactor::{Interest, Reactor};
use crate::transport::Transport;
#[cfg(feature = "agent")]
use crate::transport::tls::Tls;
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with, getsockname};
use rustix::process::{Resource, getrlimit};
use std::cmp::Reverse;
use std::collections::{HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// The most places of one listening socket, if there are enough descriptors.
const MAX_CONNECTIONS: usize = 2048;

/// The fewest places of one listening socket.
const MIN_CONNECTIONS: usize = 8;

/// The number of descriptors that are reserved for boards, locks and standbys.
const MIN_RESERVED_DESCRIPTORS: usize = 32;
const MAX_RESERVED_DESCRIPTORS: usize = 128;

/// The most connections that one listening socket accepts in one turn.
const MAX_ACCEPTS_PER_TURN: usize = 64;

/// For how long a listening socket accepts, and for how long connections make steps, in one turn. The step that exceeds it is
/// the last, so a new connection waits for few expensive answers.
const MAX_TURN: Duration = Duration::from_millis(2);

/// A connection that has waited for its peer for less than this is not closed to make room.
const GRACE: Duration = Duration::from_millis(20);

/// The pause after an error of `accept` that the server cannot resolve, since trying again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most bytes of answers that wait for their peers, over all connections. An answer that several wait for counts once.
const MAX_UNSENT: usize = 16 << 20;

/// The most connections in each phase that are examined to find one to close.
const MAX_CANDIDATES: usize = 16;

/// A wait that was to block and is shorter than this did not, because an event was already pending.
const MIN_BLOCKING_WAIT: Duration = Duration::from_micros(2);

/// The token of the socket for standbys; no connection and no listening socket has it.
const STANDBY_SOCKET: u64 = u64::MAX;

/// The token of the descriptor that wakes requests that have to wait.
const WAKES: u64 = u64::MAX - 1;

/// Tokens of listening sockets begin here. Those of connections are lower.
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
    /// The connections with something to do. Each is in the list once.
    ready: VecDeque<Id>,
    scratch: Vec<u8>,
    #[cfg(feature = "agent")]
    tls: Option<Tls>,
}

/// A listening socket.
struct Accepting {
    socket: OwnedFd,
    /// `None` for a unix socket.
    port: Option<u16>,
    /// Whether a connection waits to be accepted.
    is_ready: bool,
    /// If set, the socket is not watched, and no connection is accepted before this time.
    paused_until: Option<Instant>,
}

/// The id of a listening socket.
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
            #[cfg(feature = "agent")]
            tls: None,
        })
    }

    /// From now on accepts connections from this listening socket, which must not block.
    pub(crate) fn listen(&mut self, socket: BorrowedFd<'_>) -> io::Result<ListenerId> {
        let socket = socket.try_clone_to_owned()?;
        let is_unused = |index: &usize| self.listeners[*index].is_none() && self.places.count(*index) == 0;
        let index = (0..self.listeners.len()).find(is_unused).unwrap_or(self.listeners.len());
        let port = SocketAddr::try_from(getsockname(&socket)?).ok().map(|own| own.port());
        self.reactor.add(&socket, LISTENERS | index as u64, Interest::Read)?;
        if index == self.listeners.len() {
            self.listeners.push(None);
        }
        self.listeners[index] = Some(Accepting { socket, port, is_ready: false, paused_until: None });
        self.share_places();
        Ok(ListenerId(index))
    }

    /// Stops accepting connections from it. Accepted connections are still served.
    pub(crate) fn unlisten(&mut self, listener: ListenerId) {
        if let Some(accepting) = self.listeners.get_mut(listener.0).and_then(Option::take) {
            // Other processes may have the same socket, so closing it does not remove it from epoll.
            self.reactor.remove(&accepting.socket);
        }
        self.share_places();
    }

    /// Watches the socket for standbys as well.
    pub(crate) fn watch_standbys(&self, socket: impl AsFd) -> io::Result<()> {
        self.reactor.add(socket, STANDBY_SOCKET, Interest::Read)
    }

    pub(crate) fn unwatch_standbys(&self, socket: impl AsFd) {
        self.reactor.remove(socket);
    }

    /// How many connections are open.
    pub(crate) fn connections(&self) -> usize {
        self.places.total()
    }

    /// See [`Answers::take_refused_host`].
    pub(crate) fn take_refused_host(&mut self) -> Option<String> {
        self.answers.take_refused_host()
    }

    /// Waits for something to do, at most until `until`, and does a bounded part of it. Returns whether a standby waits to
    /// be accepted.
    ///
    /// # Errors
    ///
    /// The wait failed.
    pub(crate) fn turn(&mut self, until: Instant, site: &mut dyn Site) -> io::Result<bool> {
        let before = Instant::now();
        let timeout = self.time_to_wait(before, until);
        let mut standby_waits = false;
        let mut is_woken = false;
        for token in self.reactor.wait(timeout)? {
            if token == STANDBY_SOCKET {
                standby_waits = true;
            } else if token == WAKES {
                is_woken = true;
            } else if token >= LISTENERS {
                let listener = self.listeners.get_mut((token - LISTENERS) as usize);
                if let Some(Some(accepting)) = listener {
                    accepting.is_ready = true;
                }
            } else if self.places.set_ready(Id::from_token(token)) {
                self.ready.push_back(Id::from_token(token));
            }
        }
        if is_woken {
            self.wake();
        }
        let now = Instant::now();
        self.resume(now);
        // After a wait that blocked, only one connection is accepted. The next wait says whether there is another, so a
        // single probe does not cost an additional `accept` that fails.
        let has_blocked = !timeout.is_zero() && now - before > MIN_BLOCKING_WAIT;
        let at_most = if has_blocked { 1 } else { MAX_ACCEPTS_PER_TURN };
        for index in 0..self.listeners.len() {
            self.accept(index, at_most, now, site);
        }
        let began = Instant::now();
        for _ in 0..self.ready.len() {
            let Some(id) = self.ready.pop_front() else { break };
            self.places.clear_ready(id);
            self.step(id, now, site);
            if began.elapsed() > MAX_TURN {
                break;
            }
        }
        self.expire(now);
        Ok(standby_waits)
    }

    /// The time until something is due.
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

    /// Accepts at most `at_most` connections from one listening socket, for at most [`MAX_TURN`]. Each makes its first step at
    /// once, since its request has usually arrived by then.
    fn accept(&mut self, index: usize, at_most: usize, now: Instant, site: &mut dyn Site) {
        let (mut left, mut has_made_room) = (at_most, false);
        let began = Instant::now();
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
            match acceptfrom_with(&accepting.socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok((socket, peer)) => {
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).map(|peer| peer.ip());
                    let ends = Ends { peer, port: accepting.port };
                    left -= 1;
                    has_made_room = false;
                    let Some(transport) = self.transport() else { continue };
                    let id = self.places.insert(index, Connection::new(socket, ends, transport, now));
                    self.step(id, now, site);
                    // Usually the connection is closed again by now.
                    if self.places.count(index) > self.capacity
                        && let Some(longest) = self.longest_waiting(index..=index, now)
                    {
                        self.close(longest);
                    }
                    if began.elapsed() > MAX_TURN {
                        break;
                    }
                }
                Err(Errno::AGAIN) => {
                    accepting.is_ready = false;
                    return;
                }
                // No descriptors or no memory are left. Closing one connection may be enough. If it is not, no second one is
                // closed.
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
                // The connection has ended already, or a firewall refuses it.
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
                // Another process with the same socket may have shut it down.
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

    /// Makes one step of a connection and acts on its result.
    fn step(&mut self, id: Id, now: Instant, site: &mut dyn Site) {
        let Some(connection) = self.places.get(id) else { return };
        let step = connection.step(&mut Turn {
            now,
            limits: &self.limits,
            answers: &mut self.answers,
            site,
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
                let begins = self.places.wait(id, phase, answered, now);
                if !self.watch(id, phase) {
                    self.close(id);
                } else if begins && phase == Phase::Answer {
                    self.limit_unsent();
                }
            }
            Step::Close => self.close(id),
        }
    }

    /// Closes those of the connections with an unsent answer that have waited longest, so that the answers of the others take
    /// at most [`MAX_UNSENT`]. The connection that has waited least stays in any case.
    fn limit_unsent(&mut self) {
        let waiting = |index| self.places.waiting(index, Phase::Answer);
        let mut all: Vec<_> = (0..self.places.listeners()).flat_map(waiting).collect();
        let held = |connection: &mut Connection| connection.buffers().map(|(_, bytes)| bytes).sum::<usize>();
        // Most often that is enough to know, although shared buffers count several times.
        if all.iter().filter_map(|(id, ..)| self.places.get(*id).map(held)).sum::<usize>() <= MAX_UNSENT {
            return;
        }
        all.reverse();
        all.sort_by_key(|(_, since, _)| Reverse(*since));
        let (mut counted, mut unsent) = (HashSet::new(), 0);
        for (id, ..) in all {
            let Some(connection) = self.places.get(id) else { continue };
            let new: Vec<_> =
                connection.buffers().filter(|(address, _)| !counted.contains(address)).collect();
            let bytes: usize = new.iter().map(|(_, bytes)| bytes).sum();
            if unsent + bytes > MAX_UNSENT && !counted.is_empty() {
                self.close(id);
            } else {
                unsent += bytes;
                counted.extend(new.into_iter().map(|(address, _)| address));
            }
        }
    }

    /// Makes the reactor watch for the event that the connection waits for. Returns false if that fails.
    fn watch(&mut self, id: Id, phase: Phase) -> bool {
        let Some(connection) = self.places.get(id) else { return true };
        let interest = connection.interest(phase);
        let watched = match (connection.watched, interest) {
            (watched, interest) if watched == interest => return true,
            (Some(_), Some(interest)) => self.reactor.modify(&*connection, id.token(), interest),
            (None, Some(interest)) => self.reactor.add(&*connection, id.token(), interest),
            (_, None) => {
                self.reactor.remove(&*connection);
                Ok(())
            }
        };
        connection.watched = interest;
        watched.is_ok()
    }

    /// The transport of a new connection; `None` if it cannot be made.
    fn transport(&self) -> Option<Transport> {
        #[cfg(feature = "agent")]
        if let Some(tls) = &self.tls {
            return tls.session();
        }
        Some(Transport::Plain)
    }

    /// Sets whether connections that are accepted from now on use TLS. Forgets kept answers.
    #[cfg(feature = "agent")]
    pub(crate) fn set_tls(&mut self, tls: Option<Tls>) {
        self.tls = tls;
        self.answers.forget();
    }

    /// Watches this descriptor as well. When it becomes readable, the requests that have to wait are tried again.
    #[cfg(feature = "agent")]
    pub(crate) fn watch_wakes(&self, descriptor: impl AsFd) -> io::Result<()> {
        self.reactor.add(descriptor, WAKES, Interest::Read)
    }

    /// Tries the requests that have to wait again.
    pub(crate) fn wake(&mut self) {
        for index in 0..self.places.listeners() {
            let waiting: Vec<Id> = self.places.waiting(index, Phase::Later).map(|(id, _, _)| id).collect();
            for id in waiting {
                if self.places.set_ready(id) {
                    self.ready.push_back(id);
                }
            }
        }
    }

    fn close(&mut self, id: Id) {
        let Some(index) = self.places.listener(id) else { return };
        self.places.remove(id);
        if self.places.count(index) < self.capacity
            && let Some(Some(accepting)) = self.listeners.get_mut(index)
            && let Some(until) = &mut accepting.paused_until
        {
            // A place is free again.
            *until = Instant::now();
        }
    }

    /// Closes connections that have timed out. A connection in the middle of a head is answered 408.
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

    /// Whether another connection can be accepted. That is so even if all places are taken, provided that a connection could
    /// be closed for it: most new connections end before that is necessary. At most one connection exceeds the capacity.
    fn has_room(&mut self, index: usize, now: Instant) -> bool {
        if self.places.count(index) > self.capacity {
            let Some(longest) = self.longest_waiting(index..=index, now) else { return false };
            self.close(longest);
        }
        let since = |phase| self.places.first(index, phase).map(|(_, since, _)| since);
        self.places.count(index) < self.capacity
            || Phase::ALL.into_iter().filter_map(since).any(|since| since + GRACE <= now)
    }

    /// The connection that has waited longest for its peer, if it has waited for at least [`GRACE`]. Connections with a new
    /// request do not count.
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
                    if self.places.get(id).is_some_and(|connection| !connection.has_unread_request(phase)) {
                        longest = Some((since, id));
                        break;
                    }
                }
            }
        }
        longest.map(|(_, id)| id)
    }

    /// Stops accepting until a connection can be closed for a new one, but at most for [`ACCEPT_PAUSE`].
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
            {
                let token = LISTENERS | index as u64;
                accepting.is_ready = self.reactor.add(&accepting.socket, token, Interest::Read).is_ok();
                accepting.paused_until = (!accepting.is_ready).then_some(now + ACCEPT_PAUSE);
            }
        }
    }

    /// Gives every listening socket the same number of places, so that a crowd at one does not affect the others.
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
