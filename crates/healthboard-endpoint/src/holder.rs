//! What the keeper does: stand by, then hold the endpoints.

use crate::boards::Boards;
use crate::changes::Changes;
use crate::connection::Limits;
use crate::handover::{self, Door, Inherited};
use crate::http::Answers;
use crate::listen::{self, Listener};
use crate::lock::Lock;
use crate::server::{ListenerId, Server};
use crate::standby;
use crate::tune::tune;
use healthboard::{Keeper, Uri};
use rustix::net::getsockname;
use rustix::net::sockopt::socket_peercred;
use std::io::{self, Read};
use std::net::SocketAddr;
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
pub(crate) fn run(keeper: &'static Keeper) {
    let mut boards = Boards::new(keeper);
    let mut sockets = Vec::new();
    while boards.is_current() {
        let mut lock = None;
        if let Some(place) = boards.place() {
            let Some((taken, inherited)) = standby::wait(&mut boards, place, sockets) else { return };
            (lock, sockets) = (Some(taken), inherited);
        }
        match Server::new(Answers::new(boards.options()), Limits::DEFAULT) {
            // Who steps back keeps the sockets: should the next holder die at once, no connection is lost.
            Ok(server) => sockets = Holder::new(&mut boards, lock, server).hold(sockets),
            Err(error) => {
                boards.say(true, format!("cannot serve: {error}; trying again"));
                std::thread::sleep(TROUBLE_PAUSE);
            }
        }
    }
}

/// The process that serves now.
struct Holder<'a> {
    boards: &'a mut Boards,
    lock: Option<Lock>,
    server: Server,
    listening: Vec<(Uri, Listener)>,
    /// One for each of `listening`.
    accepting: Vec<ListenerId>,
    missing: Vec<Missing>,
    door: Option<Door>,
    standing_by: Vec<StandingBy>,
    changes: Changes,
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

impl Holder<'_> {
    fn new(boards: &mut Boards, lock: Option<Lock>, server: Server) -> Holder<'_> {
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
        }
    }

    /// Serves for as long as it may; returns the sockets on which it did, for whoever serves next.
    fn hold(mut self, mut inherited: Vec<Inherited>) -> Vec<Inherited> {
        for uri in self.boards.uris() {
            self.open(uri.clone(), &mut inherited, Duration::ZERO);
        }
        drop(inherited);
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
            match self.turn(next) {
                Ok(true) => self.admit(),
                Ok(false) => {}
                Err(error) => {
                    self.boards.say(true, format!("cannot serve: {error}; trying again"));
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
        let kept: Vec<Listener> =
            Vec::into_iter(ours).filter_map(|i| Listener::from_fd(&uri, i.socket).ok()).collect();
        let opened =
            if kept.is_empty() { listen::bind(&uri, self.boards.options().socket_mode) } else { Ok(kept) };
        match opened.and_then(|listeners| self.accept(&uri, listeners)) {
            Ok(()) if !pause.is_zero() => self.boards.say(false, format!("listening on {uri} now")),
            Ok(()) => {}
            Err(error) => {
                let pause = (pause * 2).clamp(TICK, MAX_LISTEN_PAUSE);
                let seconds = pause.as_secs();
                self.boards
                    .say(true, format!("cannot listen on {uri}: {error}; trying again in {seconds} s"));
                self.missing.push(Missing { uri, pause, again: Instant::now() + pause });
            }
        }
    }

    fn accept(&mut self, uri: &Uri, listeners: Vec<Listener>) -> io::Result<()> {
        for listener in listeners {
            tune(&listener);
            self.accepting.push(self.server.listen(listener.as_fd())?);
            let address = getsockname(&listener).ok().and_then(|name| SocketAddr::try_from(name).ok());
            self.boards.listening(uri, address);
            self.listening.push((uri.clone(), listener));
        }
        Ok(())
    }

    /// Opens the door to those who stand by, unless it is open.
    fn open_door(&mut self) -> io::Result<()> {
        let Some(place) = self.boards.place() else { return Ok(()) };
        if self.door.as_ref().is_some_and(Door::is_found) {
            return Ok(());
        }
        self.close_door();
        let door = Door::open(place)?;
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
            match door.listener.accept() {
                Ok((stream, _)) => self.introduce(stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Most likely no descriptors. The next tick opens another door: trying again at once would only spin.
                Err(_) => return self.close_door(),
            }
        }
    }

    fn introduce(&mut self, stream: UnixStream) {
        let Ok(peer) = socket_peercred(&stream) else { return };
        // SAFETY: geteuid has no preconditions and cannot fail.
        let trusted = [unsafe { libc::geteuid() }, 0].contains(&peer.uid.as_raw());
        if !trusted
            || stream.set_nonblocking(true).is_err()
            || handover::give(&stream, &self.listening).is_err()
        {
            return;
        }
        let is_child = is_child(peer.pid.as_raw_pid());
        self.standing_by.push(StandingBy { stream, is_child, since: Instant::now() });
    }

    /// Once a second. Returns whether this process goes on serving.
    fn tick(&mut self) -> bool {
        if !self.boards.is_current() || !self.keeps_lock() {
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
        self.boards.tick();
        true
    }

    fn keeps_lock(&mut self) -> bool {
        let Some(lock) = &mut self.lock else { return true };
        let held = lock.is_held().and_then(|held| if held { lock.beat().map(|()| true) } else { Ok(false) });
        // A full disk, a directory that is gone: no reason to stop answering.
        held.unwrap_or(true)
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
            // Those who stand by come again, for what is new.
            self.standing_by.clear();
        }
    }
}

/// Whether this process is the parent of that one.
fn is_child(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold anything; after it come state and parent.
    let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
    parent == Some(std::process::id())
}
