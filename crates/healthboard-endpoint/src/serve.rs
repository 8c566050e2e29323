//! What the keeper does: stand by, then hold the endpoints.

use crate::handover::{self, Door, Inherited};
use crate::http::Answers;
use crate::listen::Listener;
use crate::lock::Lock;
use crate::pauses::Pauses;
use crate::{accept, listen, standby};
use healthboard::{Directory, Keeper, Life, Report, Status, Uri, judge, now_ns};
use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use tokio::net::UnixStream;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::{Instant, timeout_at};

/// How often the holder looks after its lock, its sockets and the status.
const TICK: Duration = Duration::from_secs(1);

/// Every so many ticks the holder sweeps the directory.
const SWEEP: u32 = 10;

/// The longest pause between two attempts to listen.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A process yields to a child that has stood by for so long: one that lives for less would leave nobody to serve.
const GROWN: Duration = Duration::from_secs(3);

/// Who steps back leaves this much time to the next holder to take the lock, and to its own connections to end.
const AFTER_YOU: Duration = Duration::from_millis(100);

/// Serves until another keeper takes over in this process.
pub(crate) fn run(keeper: &'static Keeper) {
    let Some(directory) = keeper.directory() else {
        // A board in memory: nobody to take turns with.
        hold(keeper, None, Vec::new(), Pauses::default());
        return;
    };
    let mut kept = Vec::new();
    loop {
        let mut pauses = Pauses::default();
        let Some((lock, inherited)) = standby::wait(keeper, directory, kept, &mut pauses) else { return };
        // Who steps back keeps the sockets: should the next holder die at once, no connection is lost.
        kept = hold(keeper, Some(lock), inherited, pauses);
    }
}

/// Serves for as long as it may; returns the sockets on which it did.
fn hold(
    keeper: &'static Keeper,
    lock: Option<Lock>,
    inherited: Vec<Inherited>,
    pauses: Pauses,
) -> Vec<Inherited> {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => LocalSet::new().block_on(&runtime, Holder::new(keeper, lock, pauses).hold(inherited)),
        Err(error) => {
            keeper.say(true, format!("cannot serve: {error}"));
            inherited
        }
    }
}

/// The process that serves now.
struct Holder {
    keeper: &'static Keeper,
    lock: Option<Lock>,
    boards: Rc<RefCell<Boards>>,
    answers: Rc<Answers>,
    listening: Vec<(Uri, Listener)>,
    accepting: Vec<JoinHandle<()>>,
    missing: Vec<Missing>,
    door: Option<Door>,
    standing_by: Vec<StandingBy>,
    ticks: u32,
    said: Status,
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

impl Holder {
    fn new(keeper: &'static Keeper, lock: Option<Lock>, pauses: Pauses) -> Holder {
        let boards = Rc::new(RefCell::new(Boards::new(keeper, pauses)));
        let answers = Answers::new(keeper.settings(), {
            let boards = boards.clone();
            move || boards.borrow_mut().report()
        });
        Holder {
            keeper,
            lock,
            boards,
            answers: Rc::new(answers),
            listening: Vec::new(),
            accepting: Vec::new(),
            missing: Vec::new(),
            door: None,
            standing_by: Vec::new(),
            ticks: 0,
            said: Status::Ok,
        }
    }

    async fn hold(mut self, mut inherited: Vec<Inherited>) -> Vec<Inherited> {
        for uri in &self.keeper.settings().uris {
            self.open(uri.clone(), &mut inherited, Duration::ZERO);
        }
        drop(inherited);
        if let Err(error) = self.open_door() {
            self.keeper.say(true, format!("no process can stand by: {error}"));
        }
        let mut next = Instant::now();
        loop {
            match timeout_at(next, accept_from(self.door.as_ref())).await {
                Ok(stream) => self.admit(stream),
                Err(_) if self.tick() => next = Instant::now() + TICK,
                Err(_) => return self.step_back().await,
            }
        }
    }

    /// Answers whom it has accepted, and nobody more. Returns the sockets, for whoever serves next.
    async fn step_back(mut self) -> Vec<Inherited> {
        self.accepting.drain(..).for_each(|task| task.abort());
        self.lock = None;
        self.door = None;
        self.standing_by.clear();
        tokio::time::sleep(AFTER_YOU).await;
        let kept = |(uri, listener): &(Uri, Listener)| {
            Some(Inherited { uri: uri.to_string(), socket: listener.as_fd().try_clone_to_owned().ok()? })
        };
        self.listening.iter().filter_map(kept).collect()
    }

    /// Takes over the sockets that an earlier holder had for this URI, or opens new ones.
    fn open(&mut self, uri: Uri, inherited: &mut Vec<Inherited>, pause: Duration) {
        let name = uri.to_string();
        let (ours, others) = std::mem::take(inherited).into_iter().partition(|i| i.uri == name);
        *inherited = others;
        let kept: Vec<Listener> =
            Vec::into_iter(ours).filter_map(|i| Listener::from_fd(&uri, i.socket).ok()).collect();
        let opened =
            if kept.is_empty() { listen::bind(&uri, self.keeper.settings().socket_mode) } else { Ok(kept) };
        match opened.and_then(|listeners| self.accept(&uri, listeners)) {
            Ok(()) if !pause.is_zero() => self.keeper.say(false, format!("listening on {uri} now")),
            Ok(()) => {}
            Err(error) => {
                let pause = (pause * 2).clamp(TICK, LONGEST_PAUSE);
                let seconds = pause.as_secs();
                self.keeper
                    .say(true, format!("cannot listen on {uri}: {error}; trying again in {seconds} s"));
                self.missing.push(Missing { uri, pause, again: Instant::now() + pause });
            }
        }
    }

    fn accept(&mut self, uri: &Uri, listeners: Vec<Listener>) -> io::Result<()> {
        for listener in listeners {
            self.accepting.push(spawn_local(accept::accept(&listener, self.answers.clone())?));
            self.listening.push((uri.clone(), listener));
        }
        Ok(())
    }

    /// Opens the door to those who stand by, unless it is open.
    fn open_door(&mut self) -> io::Result<()> {
        if let Some(directory) = self.keeper.directory()
            && !self.door.as_ref().is_some_and(Door::is_found)
        {
            self.door = Some(Door::open(directory)?);
        }
        Ok(())
    }

    /// Somebody wants to stand by.
    fn admit(&mut self, stream: io::Result<UnixStream>) {
        let Ok(stream) = stream else { return };
        let Ok(peer) = stream.peer_cred() else { return };
        // SAFETY: geteuid has no preconditions and cannot fail.
        if ![unsafe { libc::geteuid() }, 0].contains(&peer.uid())
            || handover::give(&stream, &self.listening).is_err()
        {
            return;
        }
        let is_child = peer.pid().is_some_and(is_child);
        self.standing_by.push(StandingBy { stream, is_child, since: Instant::now() });
    }

    /// Whether this process goes on serving.
    fn tick(&mut self) -> bool {
        if !self.keeper.is_current() || !self.keeps_lock() {
            return false;
        }
        // Whoever stands by says nothing: an end, an error and a word all mean that it does not.
        let silent = |e: &io::Error| e.kind() == io::ErrorKind::WouldBlock;
        self.standing_by.retain(|by| by.stream.try_read(&mut [0]).is_err_and(|e| silent(&e)));
        // A service's workers serve rather than the process that only watches over them.
        if self.standing_by.iter().any(|by| by.is_child && by.since.elapsed() >= GROWN) {
            return false;
        }
        self.open_missing();
        // Where it cannot be opened, that has been said or will be by those who cannot stand by.
        let _ = self.open_door();
        let mut boards = self.boards.borrow_mut();
        let report = boards.report();
        if report.status != self.said {
            self.said = report.status;
            let cause = if report.message.is_empty() { "all is well again" } else { &report.message };
            self.keeper.say(report.status > Status::Ok, format!("{}: {cause}", report.status.name()));
        }
        if self.ticks.is_multiple_of(SWEEP) {
            boards.sweep(self.keeper);
        }
        self.ticks = self.ticks.wrapping_add(1);
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
        for i in (0..self.listening.len())
            .rev()
            .filter(|i| !self.listening[*i].1.is_reachable())
            .collect::<Vec<_>>()
        {
            let (uri, _) = self.listening.swap_remove(i);
            self.accepting.swap_remove(i).abort();
            self.keeper.say(true, format!("the socket of {uri} was removed or replaced; making a new one"));
            due.push((uri, TICK));
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

impl Drop for Holder {
    fn drop(&mut self) {
        self.accepting.iter().for_each(JoinHandle::abort);
    }
}

/// Where reports come from.
struct Boards {
    keeper: &'static Keeper,
    directory: Option<Directory>,
    pauses: Pauses,
    refused: Vec<String>,
}

impl Boards {
    fn new(keeper: &'static Keeper, pauses: Pauses) -> Boards {
        let directory = keeper.directory().map(Directory::new);
        Boards { keeper, directory, pauses, refused: Vec::new() }
    }

    fn report(&mut self) -> Report {
        let pid = std::process::id();
        // An unreadable directory is no fault of the service, whose own board is at hand anyway.
        let mut processes = self.directory.as_mut().and_then(|d| d.read().ok()).unwrap_or_default();
        // Not what an earlier process of this pid has left.
        if !processes.iter().any(|p| p.pid == pid && p.life != Life::Dead) {
            processes.extend(self.keeper.process());
        }
        let at = self.pauses.at(now_ns());
        let mut report = judge(&self.keeper.settings().service, &processes, at, SystemTime::now());
        report.processes.serving = Some(pid);
        // This process has said goodbye, and nobody is left to serve.
        report.draining |= processes.iter().all(|p| p.life == Life::Dead);
        report
    }

    fn sweep(&mut self, keeper: &Keeper) {
        let Some(directory) = &mut self.directory else { return };
        directory.sweep(now_ns());
        let refused = directory.refused();
        for new in refused.iter().filter(|line| !self.refused.contains(line)) {
            keeper.say(true, new.clone());
        }
        self.refused = refused;
    }
}

async fn accept_from(door: Option<&Door>) -> io::Result<UnixStream> {
    match door {
        Some(door) => match door.listener.accept().await {
            Ok((stream, _)) => Ok(stream),
            // Most likely no descriptors: the caller's deadline is the pause.
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// Whether this process is the parent of that one.
fn is_child(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in parentheses, may hold anything; after it come state and parent.
    let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
    parent == Some(std::process::id())
}
