//! What the keeper does: stand by, then hold the endpoints.

use crate::boards::Boards;
use crate::changes::Changes;
use crate::connection::Limits;
use crate::handover::{self, Door, Inherited};
use crate::http::Answers;
use crate::listen::{self, Listener};
use crate::lock::Lock;
use crate::options::HttpOptions;
use crate::peer::Peer;
use crate::server::{ListenerId, Server};
use crate::standby;
use crate::tune::tune;
use crate::watchdog::{self, Watchdog};
use healthboard::{Keeper, PROGRESS, Status, Uri, now_ns};
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How often the holder looks after its lock, its sockets and the status.
const TICK: Duration = Duration::from_secs(1);

/// The longest pause between two attempts to listen.
const MAX_LISTEN_PAUSE: Duration = Duration::from_secs(60);

/// A process yields to a child that has stood by for so long. One that lives for less would leave nobody to serve.
const YIELDS_TO_CHILD_AFTER: Duration = Duration::from_secs(3);

/// For so long the holder answers those whom it has accepted before it steps back.
const STEP_BACK_WITHIN: Duration = Duration::from_millis(100);

/// How long the holder rests when it cannot be had to work at all.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// Those who come to stand by and are admitted in one turn.
const MAX_ADMITTED_PER_TURN: usize = 16;

/// Serves until another keeper takes over in this process. It may be called again after a panic: whatever it had opened is
/// closed by then.
pub(crate) fn run(keeper: &Keeper, options: &HttpOptions, watchdog: Option<&Watchdog>) {
    let mut boards = Boards::new(keeper, options);
    let mut sockets = Vec::new();
    while boards.look_after() {
        let mut lock = None;
        if let Some(place) = boards.place() {
            let Some((taken, inherited)) = standby::wait(&mut boards, place, sockets) else { return };
            (lock, sockets) = (Some(taken), inherited);
        }
        match Server::new(Answers::new(boards.options().clone()), Limits::DEFAULT) {
            // Who steps back keeps the sockets: should the next holder die at once, no connection is lost.
            Ok(server) => sockets = Holder::new(&mut boards, lock, server, watchdog.cloned()).hold(sockets),
            Err(error) => {
                boards.cannot_serve(&error);
                boards.listening(Err(format!("cannot serve: {error}")));
                std::thread::sleep(TROUBLE_PAUSE);
            }
        }
    }
}

/// The process that serves now.
struct Holder<'a, 'b> {
    boards: &'a mut Boards<'b>,
    lock: Option<Lock>,
    server: Server,
    listening: Vec<(Uri, Listener)>,
    /// One for each of `listening`.
    accepting: Vec<ListenerId>,
    missing: Vec<Missing>,
    door: Option<Door>,
    standing_by: Vec<StandingBy>,
    changes: Changes,
    watchdog: Option<Watchdog>,
    /// Why an endpoint could not be opened.
    why_not: String,
}

/// A process that stands by.
struct StandingBy {
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
    fn new(
        boards: &'a mut Boards<'b>,
        lock: Option<Lock>,
        server: Server,
        watchdog: Option<Watchdog>,
    ) -> Holder<'a, 'b> {
        Holder {
            boards,
            lock,
            server,
            listening: Vec::new(),
            accepting: Vec::new(),
            missing: Vec::new(),
            door: None,
            standing_by: Vec::new(),
            changes: Changes::new(),
            watchdog,
            why_not: String::new(),
        }
    }

    /// Serves for as long as it may; returns the sockets on which it did, for whoever serves next.
    fn hold(mut self, mut inherited: Vec<Inherited>) -> Vec<Inherited> {
        for uri in self.boards.uris() {
            self.open(uri.clone(), &mut inherited, Duration::ZERO);
        }
        drop(inherited);
        self.tell_endpoints();
        if let Err(error) = self.open_door() {
            self.boards.say(true, format!("no process can stand by: {error}"));
        }
        let mut next = Instant::now();
        loop {
            if Instant::now() >= next {
                if !self.tick() {
                    return self.step_back();
                }
                next = Instant::now() + TICK;
            }
            let next = self.pet().map_or(next, |interval| next.min(Instant::now() + interval));
            match self.turn(next) {
                Ok(true) => self.admit(),
                Ok(false) => {}
                Err(error) => {
                    self.boards.cannot_serve(&error);
                    std::thread::sleep(TROUBLE_PAUSE);
                }
            }
        }
    }

    /// Returns whether somebody is at the door.
    fn turn(&mut self, until: Instant) -> io::Result<bool> {
        let boards = &mut *self.boards;
        self.server.turn(until, &mut || boards.report())
    }

    /// Tells systemd that the service progresses, if it does. Returns how soon to do so again.
    fn pet(&mut self) -> Option<Duration> {
        let watchdog = self.watchdog.as_mut()?;
        let now_ns = now_ns();
        if watchdog.is_due(now_ns) {
            let report = self.boards.report();
            let progress = report.details.get(PROGRESS).map_or(Status::Ok, |progress| progress.status);
            watchdog.pet(now_ns, progress);
        }
        Some(watchdog.interval())
    }

    /// Answers whom it has accepted, and nobody more.
    fn step_back(mut self) -> Vec<Inherited> {
        self.accepting.drain(..).for_each(|listener| self.server.unlisten(listener));
        self.lock = None;
        self.close_door();
        self.standing_by.clear();
        let until = Instant::now() + STEP_BACK_WITHIN;
        // Those who only keep their connections open are not waited for any longer than that.
        while Instant::now() < until && self.server.connections() > 0 && self.turn(until).is_ok() {}
        let kept = |(uri, listener): &(Uri, Listener)| {
            Some(Inherited { uri: uri.to_string(), socket: listener.as_fd().try_clone_to_owned().ok()? })
        };
        let kept = self.listening.iter().filter_map(kept).collect();
        // The next holder needs a moment to take the lock.
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        kept
    }

    /// Takes over the sockets that an earlier holder had for this URI, or opens new ones.
    fn open(&mut self, uri: Uri, inherited: &mut Vec<Inherited>, pause: Duration) {
        let name = uri.to_string();
        let (ours, others) = std::mem::take(inherited).into_iter().partition(|i| i.uri == name);
        *inherited = others;
        let mode = self.boards.options().socket_mode;
        let kept: Vec<Listener> =
            Vec::into_iter(ours).filter_map(|i| Listener::from_fd(&uri, i.socket, mode).ok()).collect();
        let opened = if kept.is_empty() { listen::bind(&uri, mode) } else { Ok(kept) };
        match opened.and_then(|listeners| self.accept(&uri, listeners)) {
            Ok(()) if !pause.is_zero() => self.boards.say(false, format!("listening on {uri} now")),
            Ok(()) => {}
            Err(error) => {
                let pause = (pause * 2).clamp(TICK, MAX_LISTEN_PAUSE);
                let seconds = pause.as_secs();
                self.boards
                    .say(true, format!("cannot listen on {uri}: {error}; trying again in {seconds} s"));
                self.why_not = format!("cannot listen on {uri}: {error}");
                self.missing.push(Missing { uri, pause, again: Instant::now() + pause });
            }
        }
    }

    fn accept(&mut self, uri: &Uri, listeners: Vec<Listener>) -> io::Result<()> {
        for listener in listeners {
            tune(&listener);
            self.accepting.push(self.server.listen(listener.as_fd())?);
            self.listening.push((uri.clone(), listener));
        }
        Ok(())
    }

    /// Opens the door to those who stand by, unless it is open.
    fn open_door(&mut self) -> io::Result<()> {
        let Some(place) = self.boards.place() else { return Ok(()) };
        if self.door.as_ref().is_some_and(|door| door.is_found(place.fd())) {
            return Ok(());
        }
        self.close_door();
        let door = Door::open(place.fd())?;
        self.server.watch_door(&door.listener)?;
        self.door = Some(door);
        Ok(())
    }

    fn close_door(&mut self) {
        if let Some(door) = self.door.take() {
            self.server.unwatch_door(&door.listener);
        }
    }

    /// Somebody wants to stand by.
    fn admit(&mut self) {
        for _ in 0..MAX_ADMITTED_PER_TURN {
            let Some(door) = &self.door else { return };
            match door.accept() {
                Ok((stream, peer)) => self.introduce(stream, peer),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Most likely no descriptors. The next tick opens another door: trying again at once would only spin.
                Err(_) => return self.close_door(),
            }
        }
    }

    fn introduce(&mut self, stream: UnixStream, peer: Peer) {
        if handover::give(&stream, &self.listening).is_err() {
            return;
        }
        let is_child = peer.pid.is_some_and(is_child);
        self.standing_by.push(StandingBy { stream, is_child, since: Instant::now() });
    }

    /// Once a second. Returns whether this process goes on serving.
    fn tick(&mut self) -> bool {
        if !self.boards.look_after() || !self.keeps_lock() {
            return false;
        }
        // Whoever stands by says nothing: an end, an error and a word all mean that it does not.
        self.standing_by.retain_mut(|by| {
            by.stream.read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        });
        // A service's workers serve rather than the process that only watches over them.
        if self.standing_by.iter().any(|by| by.is_child && by.since.elapsed() >= YIELDS_TO_CHILD_AFTER) {
            return false;
        }
        self.open_missing();
        // Where it cannot be opened, that has been said or will be by those who cannot stand by.
        let _ = self.open_door();
        let report = self.boards.report();
        if let Some(line) = self.changes.observe(Instant::now(), report.status, &report.message) {
            self.boards.say(line.warning, line.text);
        }
        if let Some(notice) = self.server.take_notice() {
            self.boards.say(true, notice);
        }
        self.boards.tick(&report);
        true
    }

    /// Tells whoever has started the service where it listens.
    fn tell_endpoints(&self) {
        let endpoints: Vec<Uri> =
            self.listening.iter().filter_map(|(_, listener)| listener.local_uri().ok()).collect();
        let endpoints = if endpoints.is_empty() { Err(self.why_not.clone()) } else { Ok(endpoints) };
        self.boards.listening(endpoints);
    }

    fn keeps_lock(&mut self) -> bool {
        let Some((lock, place)) = self.lock.as_mut().zip(self.boards.place()) else { return true };
        // A directory that is gone is no reason to stop answering, and neither is a beat that fails.
        let is_held = lock.is_held(place.fd()).unwrap_or(true);
        if is_held {
            let _ = lock.beat();
        }
        is_held
    }

    /// Opens what could not be opened before, and again what somebody has removed.
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
            self.tell_endpoints();
            // Those who stand by come again, for what is new.
            self.standing_by.clear();
        }
    }
}

/// Whether this process is the parent of that one.
fn is_child(pid: u32) -> bool {
    watchdog::parent(pid) == Some(std::process::id())
}
