//! A stand-in for kubelet: the timing rules of its probes, and of restarts.
//!
//! As in `pkg/kubelet/prober/worker.go`: each probe has a worker, which asks once a period, from `initialDelaySeconds` after the start
//! on. A result counts from the threshold of equal ones on. Until the startup probe has succeeded, the others do not ask; then
//! readiness asks at once. A container is not ready, and counts as alive, until a probe says otherwise. A container whose startup or
//! liveness probe has failed gets SIGTERM, SIGKILL after the grace period, and a successor. All times are divided by `pace`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};
use std::{fmt, mem};

use anyhow::{Result, ensure};

use super::manifest::{Container, Probe};
use super::service::Service;
use crate::daemon::Daemon;
use crate::processes::Signal;

/// How often a condition is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// What kubelet has done or found.
#[derive(Debug, Clone)]
pub(super) enum Seen {
    Ready,
    /// With what the readiness probe said.
    NotReady(String),
    /// With the probe that failed, and what it said.
    Killed(String),
    /// It has ended by itself.
    Ended,
}

pub(super) struct Kubelet {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// How many of the things seen were waited for.
    known: usize,
    /// Longer than any of its probes takes to act.
    patience: Duration,
}

struct Shared {
    service: Service,
    pace: u32,
    grace: Duration,
    stop: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// The number of the container: each restart makes a new one.
    number: usize,
    begun: Instant,
    started: bool,
    ready: bool,
    condemned: bool,
    seen: Vec<(Instant, Seen)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Startup,
    Liveness,
    Readiness,
}

impl Kubelet {
    pub(super) fn start(container: &Container, service: &Service, pace: u32) -> Result<Self> {
        let daemon = service.start()?;
        let shared = Arc::new(Shared {
            service: service.clone(),
            pace,
            grace: container.grace / pace,
            stop: AtomicBool::new(false),
            state: Mutex::new(State::new(0, container.startup.is_none())),
        });
        let has_startup = container.startup.is_some();
        let probes = [
            (Kind::Liveness, Some(&container.liveness)),
            (Kind::Readiness, Some(&container.readiness)),
            (Kind::Startup, container.startup.as_ref()),
        ];
        let mut threads = Vec::new();
        for (kind, probe) in probes {
            let Some(probe) = probe.cloned() else { continue };
            let shared = Arc::clone(&shared);
            threads.push(thread::spawn(move || shared.work(kind, &probe)));
        }
        let keeper = Arc::clone(&shared);
        threads.push(thread::spawn(move || keeper.keep(daemon, !has_startup)));
        let longest = container.startup.as_ref().unwrap_or(&container.liveness).gives_up_after();
        // A service needs a moment of its own, whatever the pace is.
        let patience = longest / pace + Duration::from_secs(30);
        Ok(Self { shared, threads, known: 0, patience })
    }

    /// Everything so far.
    pub(super) fn seen(&self) -> Vec<(Instant, Seen)> {
        self.shared.state().seen.clone()
    }

    pub(super) fn restarts(&self) -> usize {
        self.shared.state().number
    }

    /// Waits for the next thing of this kind.
    pub(super) fn until(&mut self, wanted: fn(&Seen) -> bool) -> Result<(Instant, Seen)> {
        let end = Instant::now() + self.patience;
        loop {
            let seen = self.seen();
            while let Some(next) = seen.get(self.known) {
                self.known += 1;
                if wanted(&next.1) {
                    return Ok(next.clone());
                }
            }
            ensure!(Instant::now() < end, "not in {} s: {seen:?}", self.patience.as_secs());
            sleep(POLL_INTERVAL);
        }
    }

    /// Stops probing, and the service.
    pub(super) fn stop(self) {
        // Relaxed: the flag carries no other data with it.
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

impl State {
    fn new(number: usize, started: bool) -> Self {
        let begun = Instant::now();
        Self { number, begun, started, ready: false, condemned: false, seen: Vec::new() }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// One worker.
    fn work(&self, kind: Kind, probe: &Probe) {
        let (mut number, mut last, mut run, mut on_hold) = (0, None, 0, false);
        let (delay, period, timeout) =
            (probe.initial_delay() / self.pace, probe.period() / self.pace, probe.timeout() / self.pace);
        let mut tick = Instant::now();
        while !self.stopped() {
            let (current, begun, started) = {
                let state = self.state();
                (state.number, state.begun, state.started)
            };
            if current != number {
                (number, last, run, on_hold) = (current, None, 0, false);
            }
            // Startup asks until it has succeeded, the others from then on.
            let asks = (kind == Kind::Startup) != started;
            if asks && !on_hold && begun.elapsed() >= delay {
                let result = probe.ask(&self.service.target, timeout);
                let passed = result.is_ok();
                run = if last == Some(passed) { run + 1 } else { 1 };
                last = Some(passed);
                if run >= if passed { probe.success_threshold } else { probe.failure_threshold } {
                    let why = result.err().map(|why| format!("{why:#}")).unwrap_or_default();
                    on_hold = self.conclude(kind, number, passed, &why);
                }
            }
            tick = (tick + period).max(Instant::now());
            while Instant::now() < tick && !self.stopped() {
                sleep(POLL_INTERVAL);
                if kind == Kind::Readiness && !started && self.state().started {
                    tick = Instant::now();
                }
            }
        }
    }

    /// Acts on a result that counts. Returns whether the worker has to wait for a new container.
    fn conclude(&self, kind: Kind, number: usize, passed: bool, why: &str) -> bool {
        let mut state = self.state();
        if state.number != number {
            return false;
        }
        match kind {
            Kind::Startup if passed => state.started = true,
            Kind::Startup | Kind::Liveness if !passed && !mem::replace(&mut state.condemned, true) => {
                state.seen.push((Instant::now(), Seen::Killed(format!("{kind:?}: {why}"))));
            }
            Kind::Readiness if mem::replace(&mut state.ready, passed) != passed => {
                let seen = if passed { Seen::Ready } else { Seen::NotReady(why.to_owned()) };
                state.seen.push((Instant::now(), seen));
            }
            _ => {}
        }
        !passed && kind != Kind::Readiness
    }

    /// Restarts the container when a probe or it itself has ended it.
    fn keep(&self, mut daemon: Daemon, starts_started: bool) {
        while !self.stopped() {
            let condemned = self.state().condemned;
            let ended = matches!(daemon.try_wait(), Ok(Some(_)));
            if ended && !condemned {
                self.state().seen.push((Instant::now(), Seen::Ended));
            }
            if condemned && !ended {
                let _ = daemon.signal(Signal::TERM);
                let end = Instant::now() + self.grace;
                while Instant::now() < end && !matches!(daemon.try_wait(), Ok(Some(_))) {
                    sleep(POLL_INTERVAL);
                }
                let _ = daemon.signal(Signal::KILL);
            }
            if condemned || ended {
                drop(daemon);
                let Ok(next) = self.service.start() else { return };
                daemon = next;
                let mut state = self.state();
                let seen = mem::take(&mut state.seen);
                *state = State { seen, ..State::new(state.number + 1, starts_started) };
            }
            sleep(POLL_INTERVAL);
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Ready => f.write_str("ready"),
            Seen::NotReady(why) => write!(f, "not ready: {why}"),
            Seen::Killed(why) => write!(f, "killed: {why}"),
            Seen::Ended => f.write_str("ended"),
        }
    }
}
