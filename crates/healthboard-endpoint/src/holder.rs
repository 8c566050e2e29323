//! The keeper's work in this crate: to be a standby first, and then to hold the endpoints.

use crate::ancestors::parent;
use crate::boards::Boards;
use crate::changes::Changes;
use crate::connection::Limits;
use crate::handover::{self, Inherited, StandbySocket};
use crate::http::{Answers, ServicePages};
use crate::listen::{self, Listener};
use crate::lock::Lock;
use crate::options::HttpOptions;
use crate::peer::Peer;
use crate::server::{ListenerId, Server};
use crate::standby;
use crate::systemd::Systemd;
use crate::tune::tune;
use healthboard::{Keeper, Uri};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant, SystemTime};

/// How often the holder checks its lock, its sockets and the status.
const TICK: Duration = Duration::from_secs(1);

/// The longest pause between two attempts to listen.
const MAX_LISTEN_PAUSE: Duration = Duration::from_secs(60);

/// A holder yields to a child that has been a standby for this long. It does not yield to children that live only briefly.
const YIELDS_TO_CHILD_AFTER: Duration = Duration::from_secs(3);

/// For how long a holder that stops serving still answers accepted connections.
const STEP_BACK_WITHIN: Duration = Duration::from_millis(100);

/// The pause after an error of the server.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// The most standbys accepted in one turn.
const MAX_ADMITTED_PER_TURN: usize = 16;

/// Serves until the boards are in another directory. May be called again, also after a panic, which closes everything that
/// was opened.
pub(crate) fn run(keeper: &Keeper, options: &HttpOptions, systemd: Option<&Systemd>) {
    let mut boards = Boards::new(keeper, options, systemd);
    let mut sockets = Vec::new();
    while boards.look_after() {
        let mut lock = None;
        if let Some(place) = boards.place() {
            let Some((taken, inherited)) = standby::wait(&mut boards, place, sockets) else { return };
            (lock, sockets) = (Some(taken), inherited);
        }
        match Server::new(Answers::new(boards.options()), Limits::DEFAULT) {
            // The sockets are kept, so that no connection is lost if the next holder dies at once.
            Ok(server) => sockets = Holder::new(&mut boards, lock, server).hold(sockets),
            Err(error) => {
                boards.cannot_serve(&error);
                boards.listening(Err(format!("cannot serve: {error}")));
                std::thread::sleep(ERROR_PAUSE);
            }
        }
    }
}

/// This process while it serves.
struct Holder<'a, 'b> {
    boards: &'a mut Boards<'b>,
    lock: Option<Lock>,
    server: Server,
    pages: ServicePages,
    listening: Vec<(Uri, Listener)>,
    /// The server's id of each socket in `listening`, in the same order.
    accepting: Vec<ListenerId>,
    missing: Vec<Missing>,
    standby_socket: Option<StandbySocket>,
    standbys: Vec<Standby>,
    changes: Changes,
    /// The newest error of each endpoint that could not be opened. It is logged once.
    errors: BTreeMap<String, String>,
}

/// A standby.
struct Standby {
    stream: UnixStream,
    is_child: bool,
    since: Instant,
}

/// An endpoint that could not be opened yet.
struct Missing {
    uri: Uri,
    pause: Duration,
    again: Instant,
}

impl<'a, 'b> Holder<'a, 'b> {
    fn new(boards: &'a mut Boards<'b>, lock: Option<Lock>, server: Server) -> Holder<'a, 'b> {
        Holder {
            pages: ServicePages::new(boards.options().clone()),
            boards,
            lock,
            server,
            listening: Vec::new(),
            accepting: Vec::new(),
            missing: Vec::new(),
            standby_socket: None,
            standbys: Vec::new(),
            changes: Changes::new(),
            errors: BTreeMap::new(),
        }
    }

    /// Serves until another process has to serve or the boards have moved. Returns the listening sockets.
    fn hold(mut self, mut inherited: Vec<Inherited>) -> Vec<Inherited> {
        let history = self.boards.take_over_history();
        self.changes = Changes::after(history, Instant::now(), SystemTime::now());
        for uri in self.boards.uris() {
            self.open(uri.clone(), &mut inherited, Duration::ZERO);
        }
        drop(inherited);
        self.report_endpoints();
        if let Err(error) = self.open_standby_socket() {
            self.boards.say(true, format!("no process can become a standby: {error}"));
        }
        let mut next = Instant::now();
        loop {
            if Instant::now() >= next {
                if !self.tick() {
                    return self.step_back();
                }
                next = Instant::now() + TICK;
            }
            let next = self.boards.pet().map_or(next, |interval| next.min(Instant::now() + interval));
            match self.turn(next) {
                Ok(true) => self.admit_standbys(),
                Ok(false) => {}
                Err(error) => {
                    self.boards.cannot_serve(&error);
                    std::thread::sleep(ERROR_PAUSE);
                }
            }
        }
    }

    /// One turn of the server. Returns whether a standby waits to be accepted.
    fn turn(&mut self, until: Instant) -> io::Result<bool> {
        let boards = &mut *self.boards;
        self.server.turn(until, &mut self.pages.site(&mut || boards.report()))
    }

    /// Stops accepting, and answers the accepted connections.
    fn step_back(mut self) -> Vec<Inherited> {
        self.accepting.drain(..).for_each(|listener| self.server.unlisten(listener));
        self.lock = None;
        self.close_standby_socket();
        self.standbys.clear();
        let until = Instant::now() + STEP_BACK_WITHIN;
        // Connections that are still open after that are closed.
        while Instant::now() < until && self.server.connections() > 0 && self.turn(until).is_ok() {}
        let kept = |(uri, listener): &(Uri, Listener)| {
            Some(Inherited { uri: uri.to_string(), socket: listener.as_fd().try_clone_to_owned().ok()? })
        };
        let kept = self.listening.iter().filter_map(kept).collect();
        // The next holder needs a moment to take the lock.
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        kept
    }

    /// Takes over the sockets that an earlier holder had for this URI, or opens new ones. If that fails, it is tried again
    /// after twice `pause`. A `pause` of zero means that this is the first attempt.
    fn open(&mut self, uri: Uri, inherited: &mut Vec<Inherited>, pause: Duration) {
        let name = uri.to_string();
        let (ours, others) = std::mem::take(inherited).into_iter().partition(|i| i.uri == name);
        *inherited = others;
        let mode = self.boards.options().socket_mode;
        let kept: Vec<Listener> =
            Vec::into_iter(ours).filter_map(|i| Listener::from_fd(&uri, i.socket, mode).ok()).collect();
        let opened = if kept.is_empty() { listen::bind(&uri, mode) } else { Ok(kept) };
        match opened.and_then(|listeners| self.accept(&uri, listeners)) {
            Ok(()) => {
                self.errors.remove(&name);
                if !pause.is_zero() {
                    self.boards.say(false, format!("listening on {uri} now"));
                }
            }
            Err(error) => {
                let pause = (pause * 2).clamp(TICK, MAX_LISTEN_PAUSE);
                let error = format!("cannot listen on {uri}: {error}");
                if self.errors.get(&name) != Some(&error) {
                    self.boards.say(true, format!("{error}; trying again until it works"));
                    self.errors.insert(name, error);
                }
                self.missing.push(Missing { uri, pause, again: Instant::now() + pause });
            }
        }
    }

    fn accept(&mut self, uri: &Uri, listeners: Vec<Listener>) -> io::Result<()> {
        let mut refused = Ok(());
        for listener in listeners {
            tune(&listener);
            match self.server.listen(listener.as_fd()) {
                Ok(accepting) => {
                    self.accepting.push(accepting);
                    self.listening.push((uri.clone(), listener));
                }
                Err(error) => refused = Err(error),
            }
        }
        // A name such as `localhost` has several addresses. One that works is not opened again.
        match refused {
            Err(error) if self.listening.iter().any(|(known, _)| known == uri) => {
                self.boards.say(true, format!("cannot listen on all addresses of {uri}: {error}"));
                Ok(())
            }
            refused => refused,
        }
    }

    /// Opens the socket for standbys, unless it is open.
    fn open_standby_socket(&mut self) -> io::Result<()> {
        let Some(place) = self.boards.place() else { return Ok(()) };
        if self.standby_socket.as_ref().is_some_and(|socket| socket.is_found(place.fd())) {
            return Ok(());
        }
        self.close_standby_socket();
        let standby_socket = StandbySocket::open(place.fd())?;
        self.server.watch_standbys(&standby_socket.listener)?;
        self.standby_socket = Some(standby_socket);
        Ok(())
    }

    fn close_standby_socket(&mut self) {
        if let Some(standby_socket) = self.standby_socket.take() {
            self.server.unwatch_standbys(&standby_socket.listener);
        }
    }

    /// Accepts waiting standbys.
    fn admit_standbys(&mut self) {
        for _ in 0..MAX_ADMITTED_PER_TURN {
            let Some(standby_socket) = &self.standby_socket else { return };
            match standby_socket.accept() {
                Ok((stream, peer)) => self.add_standby(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Most likely no descriptors are left. The next tick opens the socket again, since trying again at once
                // would spin.
                Err(_) => return self.close_standby_socket(),
            }
        }
    }

    fn add_standby(&mut self, stream: UnixStream, peer: Peer) {
        if handover::give(&stream, &self.listening).is_err() {
            return;
        }
        let is_child = peer.pid.is_some_and(is_child);
        self.standbys.push(Standby { stream, is_child, since: Instant::now() });
    }

    /// Runs once a second. Returns whether this process continues to serve.
    fn tick(&mut self) -> bool {
        if !self.boards.look_after() || !self.keeps_lock() {
            return false;
        }
        // A standby sends nothing, so an end, an error and data all mean that it is gone.
        self.standbys.retain_mut(|standby| {
            standby.stream.read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        });
        // A worker should serve rather than its master.
        if self
            .standbys
            .iter()
            .any(|standby| standby.is_child && standby.since.elapsed() >= YIELDS_TO_CHILD_AFTER)
        {
            return false;
        }
        self.open_missing();
        // An error was logged at the start, or is logged by the processes that cannot connect.
        // Either way it is not repeated here.
        let _ = self.open_standby_socket();
        let report = self.boards.report();
        if let Some(line) = self.changes.observe(Instant::now(), report.status, &report.message) {
            self.boards.say_change(line.warning, line.text, line.previous, &report);
        }
        let refused = self.server.take_refused_host().map(|host| {
            format!(
                "a request for the host `{host}` was refused, since a page in a browser could have sent it; to have such \
                 requests answered, set `allowed_hosts = {host}` in [healthcheck]"
            )
        });
        if let Some(notice) = refused.or_else(|| self.pages.take_notice()) {
            self.boards.say(true, notice);
        }
        self.boards.tick(&report);
        true
    }

    /// Reports the open endpoints to the keeper.
    fn report_endpoints(&self) {
        let endpoints: Vec<Uri> =
            self.listening.iter().filter_map(|(_, listener)| listener.local_uri().ok()).collect();
        // A service may have a board and no endpoint.
        let none = endpoints.is_empty() && !self.boards.uris().is_empty();
        let endpoints = if none {
            Err(Vec::from_iter(self.errors.values().map(String::as_str)).join("; "))
        } else {
            Ok(endpoints)
        };
        self.boards.listening(endpoints);
    }

    fn keeps_lock(&mut self) -> bool {
        let Some((lock, place)) = self.lock.as_mut().zip(self.boards.place()) else { return true };
        // A missing directory is no reason to stop answering, and neither is a failed beat.
        let is_held = lock.is_held(place.fd()).unwrap_or(true);
        if is_held {
            let _ = lock.beat();
        }
        is_held
    }

    /// Opens endpoints that could not be opened before, and makes removed sockets again.
    fn open_missing(&mut self) {
        let mut due = Vec::new();
        for i in (0..self.listening.len()).rev() {
            if !self.listening[i].1.is_reachable() {
                let (uri, _) = self.listening.swap_remove(i);
                self.server.unlisten(self.accepting.swap_remove(i));
                self.boards
                    .say(true, format!("the socket of {uri} was removed or replaced; making a new one"));
                due.push((uri, TICK));
            }
        }
        let now = Instant::now();
        self.missing.retain(|missing| {
            let wait = missing.again > now;
            if !wait {
                due.push((missing.uri.clone(), missing.pause));
            }
            wait
        });
        let listening = self.listening.len();
        for (uri, pause) in due {
            self.open(uri, &mut Vec::new(), pause);
        }
        if self.listening.len() > listening {
            self.report_endpoints();
            // The standbys are disconnected, so they connect again and get the new sockets.
            self.standbys.clear();
        }
    }
}

/// Whether this process is the parent of `pid`.
fn is_child(pid: u32) -> bool {
    parent(pid) == Some(std::process::id())
}
