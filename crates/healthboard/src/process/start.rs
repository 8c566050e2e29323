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
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a start waits until an endpoint is open.
const MAX_WAIT_FOR_ENDPOINT: Duration = Duration::from_secs(2);

/// What serves the endpoints in the keeper's thread, for as long as [`Keeper::look_after`] says so.
type Serve = Box<dyn Fn(&Keeper) + Send + Sync>;

/// What a service was started with; the same in all its processes.
pub(crate) struct Started {
    pub(super) settings: Settings,
    pub(super) serve: Serve,
    pub(super) candidates: Candidates,
    /// Its number in this process.
    pub(super) number: usize,
    /// What is to be said by the process that started it, once it has a board.
    early: Mutex<Vec<Notice>>,
}

impl Started {
    pub(super) fn say_later(&self, warning: bool, text: String) {
        self.early.lock().unwrap_or_else(PoisonError::into_inner).push(Notice { warning, text });
    }

    /// Not `lock`: a child that was forked while another thread held it would wait for ever.
    pub(super) fn take_early(&self) -> Vec<Notice> {
        self.early.try_lock().map(|mut early| std::mem::take(&mut *early)).unwrap_or_default()
    }
}

/// Never started: what is recorded for it goes nowhere.
static NOWHERE: Service = Service::new();

/// Every service of this process. Locked while one is started.
static SERVICES: Mutex<Vec<&'static Service>> = Mutex::new(Vec::new());

/// A service that is about to be started.
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

    /// What was set otherwise, in the place of what was set here so far.
    pub fn settings(mut self, settings: Settings) -> Builder {
        self.settings = settings;
        self
    }

    /// One more endpoint. Without any, the service stays off.
    pub fn uri(mut self, uri: Uri) -> Builder {
        self.settings.uris.push(uri);
        self
    }

    /// Where the boards are kept.
    pub fn runtime_dir(mut self, path: impl Into<PathBuf>) -> Builder {
        self.settings.runtime_dir = Some(path.into());
        self
    }

    /// How much an answer tells of an error.
    pub fn error_detail(mut self, detail: ErrorDetail) -> Builder {
        self.settings.error_detail = detail;
        self
    }

    /// The policy of indicators that have none of their own, as far as it differs from [`Policy::DEFAULT`].
    pub fn policy(mut self, policy: Policy) -> Builder {
        self.settings.set_default_policy(policy);
        self
    }

    /// The policy of this indicator, as far as it differs from [`Policy::DEFAULT`].
    pub fn indicator_policy(mut self, name: &str, policy: Policy) -> Builder {
        self.settings.set_policy(name, policy);
        self
    }

    /// An option as text, as in a configuration file: see [`Settings::set`]. What is no good is said in the service's log.
    pub fn option(mut self, option: &str, value: &str) -> Builder {
        self.settings.set_or_refuse(option, value);
        self
    }

    /// Every option that the environment names, `HEALTHBOARD_TTL` for one: see [`Settings::set_from_env`]. It wins over what
    /// was set before.
    pub fn from_env(mut self) -> Builder {
        self.settings.set_from_env(std::env::vars_os());
        self
    }

    /// The values that were refused so far; see [`Settings::take_refused`].
    pub fn take_refused(&mut self) -> Vec<SettingError> {
        self.settings.take_refused()
    }

    /// Options that the core does not know: see [`Settings::claim`]. For whoever serves the endpoints.
    pub fn claim(
        mut self,
        known: &[&str],
        try_set: impl FnMut(&str, &str) -> Result<bool, String>,
    ) -> Builder {
        self.settings.claim(known, try_set);
        self
    }

    /// Starts the service in this process and all that it forks, with `serve` for its endpoints.
    ///
    /// The keeper thread makes the board and then runs `serve`, which returns when [`Keeper::look_after`] turns false. Where no
    /// directory can be used, the board is in memory and this process alone is served. Costs about a millisecond; waits at most
    /// two seconds for the board and for the endpoints each.
    ///
    /// # Errors
    ///
    /// Says what is not as it was asked for. What could be started goes on all the same: see [`StartError::handle`].
    pub fn start_with(
        mut self,
        serve: impl Fn(&Keeper) + Send + Sync + 'static,
    ) -> Result<Handle, StartError> {
        if !self.settings.is_enabled() {
            return Err(StartError::Disabled(self.settings.take_refused()));
        }
        let early = self.settings.take_refused();
        let early = early.iter().map(|e: &SettingError| Notice { warning: true, text: e.to_string() });
        let early = Mutex::new(early.collect());
        let candidates = Candidates::from_env(self.settings.runtime_dir.clone());
        let mut services = SERVICES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = services.iter().find(|service| service.name() == self.settings.service()) {
            return Err(StartError::AlreadyStarted(Handle::of(running)));
        }
        let number = services.len();
        let page = match Page::map() {
            Ok(page) if number < MAX_SERVICES => page,
            Ok(_) => return Err(StartError::NoThread(format!("{MAX_SERVICES} services run already"))),
            Err(error) => return Err(StartError::NoThread(format!("no memory of its own: {error}"))),
        };
        let service: &'static Service =
            if DEFAULT.started.get().is_none() { &DEFAULT } else { Box::leak(Box::new(Service::new())) };
        let started = Started { settings: self.settings, serve: Box::new(serve), candidates, number, early };
        // Locked above, so nobody else sets it.
        let _ = service.started.set(started);
        services.push(service);
        drop(services);
        service.anchor.open(page);
        service.register_progress();
        let handle = Handle::of(service);
        if service.attach().is_none() {
            return Err(StartError::NoThread("its thread could not be started".to_owned()));
        }
        let Some(attached) = service.attached() else { return Ok(handle) };
        let endpoints = attached.wait_for_endpoints(MAX_WAIT_FOR_ENDPOINT);
        match (attached.directory(), endpoints) {
            (Err(why), _) => Err(StartError::NoDirectory(handle, why)),
            (_, Some(Err(why))) => Err(StartError::NoEndpoint(handle, why)),
            _ => Ok(handle),
        }
    }

    /// A service in this process's memory, for tests: no thread, no file, no endpoint, and the time is what `clock` says.
    ///
    /// [`Handle::report`] judges what was recorded. It is never the default service, and any number of them may exist at
    /// once. Its memory, 40 KiB, is never freed.
    pub fn in_memory(self, clock: &Clock) -> Handle {
        self.put_in_memory(Box::leak(Box::new(Service::new())), clock)
    }

    /// The same for the default service, so that a test sees what the code under test records for that. Called again, it begins
    /// anew with an empty board; the settings of the first call stay. `None` where the service was started for real.
    pub fn default_in_memory(self, clock: &Clock) -> Option<Handle> {
        let is_real = DEFAULT.started.get().is_some_and(|started| started.number != MAX_SERVICES);
        (!is_real).then(|| self.put_in_memory(&DEFAULT, clock))
    }

    fn put_in_memory(self, service: &'static Service, clock: &Clock) -> Handle {
        let board = create::map(None, None);
        if let (Ok(board), Ok(page)) = (board, Page::map()) {
            // The clock is shared with the test for ever.
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
            let (number, early) = (MAX_SERVICES, Mutex::default());
            let (serve, candidates): (Serve, _) = (Box::new(|_| ()), Candidates::default());
            let _ =
                service.started.set(Started { settings: self.settings, serve, candidates, number, early });
            service.register_progress();
            page.publish(board, id, Box::leak(Box::new(Attached::default())));
            service.anchor.open(page);
            service.publish_registered();
        }
        Handle::of(service)
    }
}

/// A time that a test moves; see [`Builder::in_memory`].
#[derive(Clone, Debug)]
pub struct Clock(Arc<AtomicU64>);

impl Default for Clock {
    fn default() -> Clock {
        Clock::new()
    }
}

impl Clock {
    /// An hour after the boot.
    pub fn new() -> Clock {
        Clock(Arc::new(AtomicU64::new(3_600_000_000_000)))
    }

    /// Time goes by.
    pub fn advance(&self, by: Duration) {
        let by_ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(by_ns, crate::board::sync::Ordering::Relaxed);
    }
}

/// What is not as it was asked for when a service was started.
///
/// Every one of them leaves a [`handle`](StartError::handle) to go on with, so that the service itself always starts.
#[derive(Debug)]
pub enum StartError {
    /// No endpoint was named, or none that is any good, so nothing is recorded. The values that were refused.
    Disabled(Vec<SettingError>),
    /// A service of this name runs in this process.
    AlreadyStarted(Handle),
    /// The process has no thread, or no memory, to spare. Nothing is recorded.
    NoThread(String),
    /// No directory can be used for the boards. The board is in memory, and this process alone is served.
    NoDirectory(Handle, String),
    /// No endpoint could be opened yet. It is tried again.
    NoEndpoint(Handle, String),
}

impl StartError {
    /// What was started all the same. Where nothing was, its indicators record nothing.
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
            StartError::NoDirectory(_, why) => {
                write!(f, "{why}; the board is in memory, and this process alone is served")
            }
            StartError::NoEndpoint(_, why) => write!(f, "no endpoint is open yet: {why}"),
        }
    }
}

impl std::error::Error for StartError {}
