//! Starting a service.

use super::attached::Attached;
use super::handle::Handle;
use super::keeper::Keeper;
use super::notice::Notice;
use super::runtime_dir::Candidates;
use super::service::{DEFAULT, Service};
use crate::board::create;
use crate::board::layout::Fixed;
use crate::board::page::Page;
use crate::board::sigbus::MAX_SERVICES;
use crate::board::sync::AtomicU64;
use crate::config::{ErrorDetail, Policy, SettingError, Settings, Uri};
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::time::{Duration, Instant};

/// How long a start waits for an open endpoint.
const MAX_WAIT_FOR_ENDPOINT: Duration = Duration::from_secs(2);

/// How long a start waits for another start.
const MAX_WAIT_FOR_START: Duration = Duration::from_secs(1);

/// Serves the endpoints in the keeper's thread, until [`Keeper::look_after`] returns false.
type Serve = Box<dyn Fn(&Keeper) + Send + Sync>;

/// How a service was started; the same in all its processes.
pub(crate) struct Started {
    pub(super) settings: Settings,
    pub(super) serve: Serve,
    pub(super) candidates: Candidates,
    /// The number of the service in this process; `MAX_SERVICES` for one in memory.
    pub(super) number: usize,
    /// Why a process records nothing. Never `lock` it: a child that was forked while another thread held it would wait
    /// indefinitely.
    why_without: Mutex<String>,
}

impl Started {
    pub(super) fn set_why_without(&self, why: &str) {
        if let Ok(mut without) = self.why_without.try_lock() {
            why.clone_into(&mut without);
        }
    }

    fn why_without(&self) -> String {
        self.why_without.try_lock().map(|why| why.clone()).unwrap_or_default()
    }
}

/// A service that is never started, so recording for it does nothing.
static NOWHERE: Service = Service::new();

/// Every started service of this process. Locked while one is started.
static SERVICES: Mutex<Vec<&'static Service>> = Mutex::new(Vec::new());

/// The list of services; `None` if it is still locked after a second. In a child that was forked while another thread
/// held the lock, it stays locked.
fn services() -> Option<MutexGuard<'static, Vec<&'static Service>>> {
    let begin = Instant::now();
    loop {
        match SERVICES.try_lock() {
            Ok(services) => return Some(services),
            Err(TryLockError::Poisoned(services)) => return Some(services.into_inner()),
            Err(TryLockError::WouldBlock) if begin.elapsed() < MAX_WAIT_FOR_START => {
                std::thread::sleep(Duration::from_micros(50));
            }
            Err(TryLockError::WouldBlock) => return None,
        }
    }
}

/// How many services have a keeper in this process. 1 if the list of services is locked, which can be permanent in a forked
/// child.
pub(super) fn keepers() -> usize {
    let Ok(services) = SERVICES.try_lock() else { return 1 };
    services.iter().filter(|service| service.attached().is_some()).count()
}

/// Configures and starts a service.
///
/// ```
/// use healthboard::{Policy, Service};
/// use std::time::Duration;
///
/// let builder = Service::builder("my-service")
///     .uri("unix:///run/my-service/health.sock".parse()?)
///     .policy(Policy { ttl: Duration::from_secs(60), ..Policy::DEFAULT })
///     .from_env();
/// // use healthboard_endpoint::Start;
/// // let health = builder.start()?;
/// # Ok::<(), String>(())
/// ```
#[must_use = "nothing is started yet"]
pub struct Builder {
    settings: Settings,
}

impl Builder {
    pub(super) fn new(name: &str) -> Builder {
        Builder { settings: Settings::new(name) }
    }

    /// Replaces all settings made so far with these.
    pub fn settings(mut self, settings: Settings) -> Builder {
        self.settings = settings;
        self
    }

    /// Adds an endpoint: see [`Settings::add_uri`]. Without any, the service stays off.
    pub fn uri(mut self, uri: Uri) -> Builder {
        self.settings.add_uri(&uri);
        self
    }

    /// The endpoints set so far.
    pub fn uris(&self) -> &[Uri] {
        &self.settings.uris
    }

    /// Sets the directory of the boards. The default is `$RUNTIME_DIRECTORY`, else `/run/healthboard` if that exists
    /// and can be used, else a private directory of the user.
    pub fn runtime_dir(mut self, path: impl Into<PathBuf>) -> Builder {
        self.settings.runtime_dir = Some(path.into());
        self
    }

    /// Sets how much of an error is kept.
    pub fn error_detail(mut self, detail: ErrorDetail) -> Builder {
        self.settings.error_detail = detail;
        self
    }

    /// Sets the default policy of indicators. Only fields that differ from [`Policy::DEFAULT`] are set, and the impact is
    /// ignored. An indicator's own policy takes precedence.
    pub fn policy(mut self, policy: Policy) -> Builder {
        self.settings.set_default_policy(policy);
        self
    }

    /// Sets the policy of this indicator. Only fields that differ from [`Policy::DEFAULT`] are set.
    pub fn indicator_policy(mut self, name: &str, policy: Policy) -> Builder {
        self.settings.set_policy(name, policy);
        self
    }

    /// Sets an option as text, as in a configuration file: see [`Settings::set`]. Refused values are named in the
    /// service's log.
    pub fn option(mut self, option: &str, value: &str) -> Builder {
        self.settings.set_or_refuse(option, value);
        self
    }

    /// Sets every option that the environment names, such as `HEALTHBOARD_TTL`: see [`Settings::set_from_env`]. It
    /// overrides what was set before.
    pub fn from_env(mut self) -> Builder {
        self.settings.set_from_env(std::env::vars_os());
        self
    }

    /// Takes the values that were refused so far: see [`Settings::take_refused`].
    pub fn take_refused(&mut self) -> Vec<SettingError> {
        self.settings.take_refused()
    }

    /// Handles the options that the core does not know: see [`Settings::claim`]. For the crate that serves the
    /// endpoints.
    pub fn claim(
        mut self,
        known: &[&str],
        try_set: impl FnMut(&str, &str) -> Result<bool, String>,
    ) -> Builder {
        self.settings.claim(known, try_set);
        self
    }

    /// Starts the service in this process and in all processes that it forks. `serve` serves the endpoints.
    ///
    /// The keeper thread makes the board and then runs `serve`, which must return when [`Keeper::look_after`] returns
    /// false. If no directory can be used, the board is in memory and only this process is served. Costs about a
    /// millisecond; waits at most two seconds for the board and two for the endpoints.
    ///
    /// # Errors
    ///
    /// The error says what could not be started. Everything else still runs: see [`StartError::handle`].
    pub fn start_with(
        mut self,
        serve: impl Fn(&Keeper) + Send + Sync + 'static,
    ) -> Result<Handle, StartError> {
        if !self.settings.is_enabled() {
            return Err(StartError::Disabled(self.settings.take_refused()));
        }
        let refused = self.settings.take_refused();
        let candidates = Candidates::from_env(self.settings.runtime_dir.clone());
        let Some(mut services) = services() else {
            let why = "another start was under way when this process was forked, or does not end";
            return Err(StartError::NoThread(why.to_owned()));
        };
        if let Some(running) = services.iter().find(|service| service.name() == self.settings.service()) {
            let started =
                running.started.get().filter(|_| running.anchor.page().is_some_and(Page::is_without));
            return Err(match started {
                Some(started) => StartError::NoThread(started.why_without()),
                None => StartError::AlreadyStarted(Handle::of(running)),
            });
        }
        let number = services.len();
        let page = match Page::map() {
            Ok(page) if number < MAX_SERVICES => page,
            Ok(_) => {
                return Err(StartError::NoThread(format!("{MAX_SERVICES} services are running already")));
            }
            Err(error) => return Err(StartError::NoThread(format!("no memory: {error}"))),
        };
        let service: &'static Service =
            if DEFAULT.started.get().is_none() { &DEFAULT } else { Box::leak(Box::new(Service::new())) };
        let (settings, serve, why_without) = (self.settings, Box::new(serve), Mutex::default());
        let started = Started { settings, serve, candidates, number, why_without };
        // The list of services is locked, so no other thread sets it.
        let _ = service.started.set(started);
        service.say_later(refused.iter().map(|error| Notice::new(true, error.to_string())));
        services.push(service);
        drop(services);
        service.anchor.open(page);
        service.register_progress();
        let handle = Handle::of(service);
        if service.attach().is_none() {
            let why = service.started.get().map(Started::why_without).filter(|why| !why.is_empty());
            let error = StartError::NoThread(why.unwrap_or_else(|| "its thread does not come up".to_owned()));
            let text = error.to_string();
            let early = service.take_early();
            service.say_later(early.into_iter().filter(|notice| notice.text != text));
            return Err(error);
        }
        let Some(attached) = service.attached() else { return Ok(handle) };
        let endpoints = attached.wait_for_endpoints(MAX_WAIT_FOR_ENDPOINT);
        let (why, error): (_, fn(_, _) -> _) = match (attached.directory(), endpoints) {
            (Err(why), _) => (why, StartError::NoDirectory),
            (_, Some(Err(why))) => (why, StartError::NoEndpoint),
            _ => return Ok(handle),
        };
        attached.forget(&why);
        Err(error(handle, why))
    }

    /// Makes a service in this process's memory, for tests. It has no thread, no file and no endpoint, and takes the time
    /// from `clock`.
    ///
    /// [`Handle::report`] judges what was recorded. The service is never the default service, and any number of them may
    /// exist at once. Its memory, 40 KiB, is never freed.
    pub fn in_memory(self, clock: &Clock) -> Handle {
        self.put_in_memory(Box::leak(Box::new(Service::new())), clock)
    }

    /// Like [`in_memory`](Builder::in_memory), for the default service, so that a test sees what the code under test
    /// records. A further call begins with an empty board and keeps the settings of the first call. `None` if the default
    /// service was started with [`start_with`](Builder::start_with).
    pub fn default_in_memory(self, clock: &Clock) -> Option<Handle> {
        let is_real = DEFAULT.started.get().is_some_and(|started| started.number != MAX_SERVICES);
        (!is_real).then(|| self.put_in_memory(&DEFAULT, clock))
    }

    fn put_in_memory(self, service: &'static Service, clock: &Clock) -> Handle {
        let board = create::map(None, None);
        if let (Ok(board), Ok(page)) = (board, Page::map()) {
            // Recording may read the clock at any later time, so it is never freed.
            service.anchor.follow(Box::leak(Box::new(clock.0.clone())));
            let id = create::nonce();
            board.write_header(&Fixed {
                service: self.settings.service().to_owned(),
                boot_id: create::boot_id(),
                pid: std::process::id(),
                pid_since: 0,
                started_ns: service.anchor.now_ns(),
                ttl_ns: u64::try_from(Policy::DEFAULT.ttl.as_nanos()).unwrap_or(u64::MAX),
                id,
                parent_id: 0,
            });
            let number = MAX_SERVICES;
            let (serve, candidates): (Serve, _) = (Box::new(|_| ()), Candidates::default());
            let (settings, why_without) = (self.settings, Mutex::default());
            let _ = service.started.set(Started { settings, serve, candidates, number, why_without });
            service.register_progress();
            page.publish(board, id, Box::leak(Box::new(Attached::default())));
            service.anchor.open(page);
            service.publish_registered();
        }
        Handle::of(service)
    }
}

/// A clock that a test moves: see [`Builder::in_memory`].
#[derive(Clone, Debug)]
pub struct Clock(Arc<AtomicU64>);

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

impl Clock {
    /// A clock at one hour after the boot.
    pub fn new() -> Clock {
        Clock(Arc::new(AtomicU64::new(3_600_000_000_000)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let by_ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(by_ns, crate::board::sync::Ordering::Relaxed);
    }
}

/// Why a service was not started, or not completely.
///
/// Each error has a [`handle`](StartError::handle) to continue with, so that health never keeps a service from starting.
#[derive(Debug)]
pub enum StartError {
    /// No valid endpoint was configured, so nothing is recorded. Contains the values that were refused.
    Disabled(Vec<SettingError>),
    /// A service of this name already runs in this process.
    AlreadyStarted(Handle),
    /// The keeper's thread or memory was not available, or the process has too many services. Nothing is recorded.
    NoThread(String),
    /// No directory can be used for the boards. The board is in memory, and only this process is served.
    NoDirectory(Handle, String),
    /// No endpoint could be opened so far. The keeper keeps trying.
    NoEndpoint(Handle, String),
}

impl StartError {
    /// The handle of what was started. If nothing was started, its indicators record nothing.
    pub fn handle(&self) -> Handle {
        match self {
            StartError::Disabled(_) | StartError::NoThread(_) => Handle::of(&NOWHERE),
            StartError::AlreadyStarted(handle)
            | StartError::NoDirectory(handle, _)
            | StartError::NoEndpoint(handle, _) => *handle,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Disabled(refused) => {
                f.write_str("health is off: `uri` names no endpoint")?;
                refused.iter().try_for_each(|error| write!(f, "; {error}"))
            }
            StartError::AlreadyStarted(handle) => {
                write!(f, "health of `{}` runs in this process already", handle.name())
            }
            StartError::NoThread(why) => write!(f, "health is off: {why}"),
            StartError::NoDirectory(_, why) => f.write_str(&without_directory(why)),
            StartError::NoEndpoint(_, why) => write!(f, "no endpoint is open yet, trying again: {why}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A line for the log.
pub(super) fn without_directory(why: impl fmt::Display) -> String {
    format!("{why}; the board is in memory, and only this process is served")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_does_not_wait_for_ever_for_one_that_never_ends() {
        let _under_way = services().unwrap();
        // As in a child that was forked meanwhile: no thread unlocks it.
        let other = std::thread::spawn(|| {
            let builder = Service::builder("late").uri("tcp://127.0.0.1:0".parse().unwrap());
            builder.start_with(|_| ()).unwrap_err().to_string()
        });
        assert!(other.join().unwrap().starts_with("health is off: another start was under way"));
    }
}
