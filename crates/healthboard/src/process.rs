//! This process: its board, its keeper, and what a fork does to them.
//!
//! # The keeper
//!
//! One native thread, started by the first recording in a process. All signals are blocked in it. It leaves the process's
//! descriptor table for one of its own (`close_range` with `CLOSE_RANGE_UNSHARE`), so that nothing it opens, neither the
//! board's lock nor a listening socket, is ever inherited by a forked child or an executed program, closed by a host that
//! closes everything, or counted against the host's descriptors. The reverse holds too: it sees none of the host's, which is
//! why it logs through [`tick`] and not by itself.
//!
//! # Fork
//!
//! What belongs to one process is in [`Own`], a page that the kernel wipes in a forked child (`MADV_WIPEONFORK`), however
//! the child was made: no handler has to run. A wiped page says "no board yet, nothing started, all locks free", so the
//! first recording in a child makes a board and a keeper of its own, and nothing of the parent's is touched.

use crate::board::create::{self, boot_id};
use crate::board::layout::{Board, Fixed, SLOTS, phase, word};
use crate::board::sync;
use crate::watchdog::Watchdog;
use crate::{ErrorDetail, LazyIndicator, Policy, Settings, indicator, now_ns, runtime_dir};
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering::*};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use std::{io, ptr, thread};

/// How long a first recording waits for the board; after that it goes without.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often [`tick`] is to be called unless somebody wants more.
const TICK: Duration = Duration::from_secs(1);

/// What has failed is refreshed after so long at most, however long its interval.
const AGAIN: Duration = Duration::from_secs(5);

/// A value of [`Own::attaching`]: this process goes without a board, or without waiting for one.
const WITHOUT: u32 = 2;

/// Another one: boards are for those that this process forks, until it says otherwise.
const ELSEWHERE: u32 = 3;

/// Messages that wait for [`tick`]; the oldest go first.
const NOTICES: usize = 64;

/// What health was started with; the same in all processes of the service.
struct Started {
    settings: Settings,
    serve: fn(&'static Keeper),
    own: &'static Own,
    /// The process that it was started in.
    pid: u32,
    watchdog: Option<Watchdog>,
}

/// What belongs to this process alone; wiped by the kernel in a forked child.
#[repr(C)]
struct Own {
    /// The board in use. Null: none yet, or lost.
    board: AtomicPtr<Board>,
    /// Whether somebody is making it.
    attaching: AtomicU32,
    /// One for each slot: see [`crate::board::slot`].
    locks: [sync::AtomicU32; SLOTS],
    /// Made with the board, never freed.
    life: AtomicPtr<Life>,
}

/// What the keeper and the rest of its process tell each other.
struct Life {
    published: Option<(PathBuf, (u64, u64))>,
    notices: Mutex<VecDeque<Notice>>,
}

static STARTED: OnceLock<Started> = OnceLock::new();

/// `STARTED`'s `own`, where recording finds it with one load.
static OWN: AtomicPtr<Own> = AtomicPtr::new(ptr::null_mut());

static PROGRESS: LazyIndicator =
    LazyIndicator::new(crate::PROGRESS, Policy { ttl: Duration::from_secs(10), ..Policy::DEFAULT });

/// Something the keeper has to say; [`tick`] hands it to whoever writes the service's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether somebody should act; otherwise it is information.
    pub warning: bool,
    /// One line, without secrets.
    pub text: String,
}

/// What the keeper thread has in hand when it calls the function given to [`start`].
pub struct Keeper {
    started: &'static Started,
    board: &'static Board,
    life: &'static Life,
    directory: Option<PathBuf>,
}

/// Starts health for this process and all that it forks. The first call counts; later ones and ones without an endpoint in
/// the settings do nothing and return `false`.
///
/// Makes the board, in its keeper thread, which then runs `serve`: it answers the endpoints and returns when
/// [`Keeper::is_current`] turns false. Where no directory can be used, the board is in memory, this process alone is served,
/// and a notice says why. Costs about a millisecond; waits at most two seconds.
pub fn start(settings: Settings, serve: fn(&'static Keeper)) -> bool {
    prepare(settings, serve, false) && attach()
}

/// Like [`start`], for the processes that this one forks: it has no board itself, and nothing that it records counts. For a
/// master that from now on does nothing but wait for its children, and so could not say that it progresses.
pub fn start_in_children(settings: Settings, serve: fn(&'static Keeper)) -> bool {
    prepare(settings, serve, true)
}

/// Gives this process its board now and not only at its first recording: it may have nothing to record for hours. That goes
/// for the process of [`start_in_children`], too. Returns whether it has one.
pub fn attach() -> bool {
    if let Some(own) = own() {
        let _ = own.attaching.compare_exchange(ELSEWHERE, 0, Relaxed, Relaxed);
    }
    PROGRESS.get();
    board().is_some()
}

fn prepare(settings: Settings, serve: fn(&'static Keeper), elsewhere: bool) -> bool {
    if !settings.is_enabled() || STARTED.get().is_some() {
        return false;
    }
    let Ok(own) = Own::map() else { return false };
    if elsewhere {
        // Wiped in the children.
        own.attaching.store(ELSEWHERE, Relaxed);
    }
    let (pid, watchdog) = (std::process::id(), Watchdog::from_env());
    if STARTED.set(Started { settings, serve, own, pid, watchdog }).is_err() {
        return false;
    }
    // Release pairs with the Acquire in `own`: who finds the page finds `STARTED` set.
    OWN.store(ptr::from_ref(own).cast_mut(), Release);
    true
}

/// To be called about once a second from the very thing whose progress matters: the interpreter, the event loop, the hub.
///
/// Stamps `progress`, sees to it that the board can still be found, and returns what is to be logged. Costs one `stat`. In
/// the process that systemd watches over (`WATCHDOG_USEC`, see [`tick_interval`]) it also says that the service progresses.
pub fn tick() -> Vec<Notice> {
    PROGRESS.record_ok();
    let Some(own) = own() else { return Vec::new() };
    let Some(life) = own.life() else { return Vec::new() };
    if let Some(Started { watchdog: Some(watchdog), pid, .. }) = STARTED.get() {
        watchdog.pet(*pid, || life.published.as_ref().is_none_or(|(path, _)| progresses(path)));
    }
    let mut notices: Vec<Notice> = life.notices().drain(..).collect();
    if let Some((path, identity)) = &life.published
        && !create::Published::is_found(path, *identity)
        && !has_said(phase::GOODBYE)
        && own.lose_board(life)
    {
        let text = format!("board `{}` was removed or replaced; making a new one", path.display());
        notices.push(Notice { warning: true, text });
        PROGRESS.record_ok();
    }
    notices
}

/// How often [`tick`] is to be called: once a second, or twice in the time that systemd's watchdog allows
/// (`WATCHDOG_USEC`) where that is more often.
pub fn tick_interval() -> Duration {
    let watchdog = STARTED.get().and_then(|started| started.watchdog.as_ref());
    watchdog.map_or(TICK, |watchdog| watchdog.interval().min(TICK))
}

/// Says that this process is going to end: not ready any more, still alive.
pub fn drain() {
    set_phase(phase::DRAINING);
}

/// Says that from now on this process only watches over those that it forks, as a master does: it does no work itself, so
/// that what it has recorded may grow old.
pub fn watch() {
    if let Some(board) = own().and_then(Own::board) {
        board.header[word::WATCHES].store(1, Relaxed);
    }
}

/// Says that this process ends in good order: its absence is no fault from here on. Removes its board.
pub fn goodbye() {
    if set_phase(phase::GOODBYE)
        && let Some((path, _)) = own().and_then(Own::life).and_then(|life| life.published.as_ref())
    {
        // Best effort: the holder sweeps it otherwise.
        let _ = std::fs::remove_file(path);
    }
}

/// Speaks only for a process that has a board: one that never recorded has nothing to take leave of.
fn set_phase(phase: u64) -> bool {
    own().and_then(Own::board).inspect(|board| board.header[word::PHASE].store(phase, Relaxed)).is_some()
}

fn has_said(phase: u64) -> bool {
    own().and_then(Own::board).is_some_and(|board| board.header[word::PHASE].load(Relaxed) == phase)
}

/// The board of this process, made on first use; `None` while health is not started.
#[inline]
pub(crate) fn board() -> Option<&'static Board> {
    let own = own()?;
    match own.board() {
        Some(board) => Some(board),
        None => make(own),
    }
}

/// Does this on the board of this process, if there is one. The path to a board that is there already stays free of the one
/// that makes it: this is what a recorded success costs beside its clock and its store.
#[inline]
pub(crate) fn with_board(work: impl FnOnce(&'static Board)) {
    #[cold]
    fn first(own: &'static Own, work: impl FnOnce(&'static Board)) {
        if let Some(board) = make(own) {
            work(board);
        }
    }
    let Some(own) = own() else { return };
    match own.board() {
        Some(board) => work(board),
        None => first(own, work),
    }
}

/// The lock of a slot, in memory that no other process can reach.
pub(crate) fn lock(index: usize) -> Option<&'static sync::AtomicU32> {
    own()?.locks.get(index)
}

pub(crate) fn error_detail() -> ErrorDetail {
    STARTED.get().map_or(ErrorDetail::None, |started| started.settings.error_detail)
}

/// Puts what has been registered on the board, if there is one.
pub(crate) fn describe() {
    let Some(started) = STARTED.get() else { return };
    // SeqCst, here and in `Keeper::run`: either this thread sees the board, or the keeper sees the new registration.
    // SAFETY: a board is never unmapped.
    if let Some(board) = unsafe { started.own.board.load(SeqCst).as_ref() } {
        indicator::describe_on(board, &started.settings);
    }
}

#[inline]
fn own() -> Option<&'static Own> {
    // SAFETY: null or the page that `start` mapped, which is never unmapped.
    unsafe { OWN.load(Acquire).as_ref() }
}

#[cold]
fn make(own: &'static Own) -> Option<&'static Board> {
    if own.attaching.compare_exchange(0, 1, AcqRel, Relaxed).is_ok() {
        let started = STARTED.get()?;
        if spawn_keeper(started).is_err() {
            // No thread can be had: this process goes without for good, as if health were off.
            own.attaching.store(WITHOUT, Release);
            return None;
        }
    } else if own.attaching.load(Relaxed) >= WITHOUT {
        return None;
    }
    let waiting = Instant::now();
    while own.board().is_none() && waiting.elapsed() < PATIENCE {
        thread::sleep(Duration::from_micros(50));
    }
    if own.board().is_none() {
        // From now on nobody waits; the keeper's board is used as soon as it is there.
        own.attaching.store(WITHOUT, Release);
    }
    own.board()
}

pub(crate) fn failures(index: usize) -> u32 {
    let slot = own().and_then(Own::board).and_then(|board| board.slots.get(index));
    slot.map_or(0, |slot| crate::board::read::own_evidence(slot).failures)
}

/// How soon the indicator of this slot is to be refreshed; `None` where there is nothing to refresh.
pub(crate) fn refresh_due(index: usize, name: &str, policy: Policy) -> Option<Duration> {
    let slot = own()?.board()?.slots.get(index)?;
    let interval = STARTED.get()?.settings.policy(name, policy).refresh_interval;
    let evidence = crate::board::read::own_evidence(slot);
    let newest = evidence.newest_ns()?;
    let interval = if evidence.failures > 0 { interval.min(AGAIN) } else { interval };
    (!interval.is_zero())
        .then(|| interval.saturating_sub(Duration::from_nanos(now_ns().saturating_sub(newest))))
}

/// Whether not all processes that keep their boards beside this one are hung.
fn progresses(board: &Path) -> bool {
    let Some(directory) = board.parent() else { return true };
    let processes = crate::Directory::new(directory).read().unwrap_or_default();
    let report = crate::judge("", &processes, now_ns(), std::time::SystemTime::UNIX_EPOCH);
    report.details.get(crate::PROGRESS).is_none_or(|progress| progress.status < crate::Status::Fault)
}

/// One ttl; but no death counts for ever.
fn death_counts_for(settings: &Settings) -> u64 {
    let ttl = settings.policy("", Policy::DEFAULT).ttl;
    let ttl = if ttl.is_zero() { Policy::DEFAULT.ttl } else { ttl };
    u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX)
}

/// Starts the keeper with every signal blocked from its first instruction on.
fn spawn_keeper(started: &'static Started) -> io::Result<()> {
    let keeper = move || {
        if std::panic::catch_unwind(AssertUnwindSafe(|| Keeper::run(started))).is_err()
            && let Some(life) = started.own.life()
        {
            life.say(true, "health stopped in this process: internal error in its thread".to_owned());
        }
    };
    // SAFETY: both sets are valid and initialised by the calls themselves; the mask concerns this thread alone.
    unsafe {
        let mut all = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let spawned =
            thread::Builder::new().name("healthboard".to_owned()).stack_size(256 << 10).spawn(keeper);
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut());
        spawned.map(drop)
    }
}

/// Gives the calling thread a descriptor table of its own: empty but for standard streams that lead nowhere.
fn leave_descriptor_table() -> io::Result<()> {
    // SAFETY: closes descriptors in a table that from this call on belongs to this thread, which owns none of them.
    unsafe {
        if libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE) != 0 {
            return Err(io::Error::last_os_error());
        }
        for _ in 0..3 {
            libc::open(c"/dev/null".as_ptr(), libc::O_RDWR);
        }
    }
    Ok(())
}

impl Own {
    fn map() -> io::Result<&'static Own> {
        let length = size_of::<Own>().next_multiple_of(4096);
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new private mapping of zeroes, never unmapped; for the atomics of `Own` zero is a valid value, and the
        // one they start from.
        unsafe {
            let page = libc::mmap(ptr::null_mut(), length, protection, flags, -1, 0);
            if page == libc::MAP_FAILED || libc::madvise(page, length, libc::MADV_WIPEONFORK) != 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(&*page.cast::<Own>())
        }
    }

    #[inline]
    fn board(&self) -> Option<&'static Board> {
        // Acquire pairs with the Release in `Keeper::run`: the header and the descriptors are there.
        // SAFETY: null or a board, which is never unmapped.
        unsafe { self.board.load(Acquire).as_ref() }
    }

    /// Has the next recording make a new board; `false` where another thread has seen to that.
    fn lose_board(&self, life: &Life) -> bool {
        let lost = ptr::from_ref(life).cast_mut();
        if self.life.compare_exchange(lost, ptr::null_mut(), Relaxed, Relaxed).is_err() {
            return false;
        }
        self.board.store(ptr::null_mut(), Release);
        self.attaching.store(0, Release);
        true
    }

    fn life(&self) -> Option<&'static Life> {
        // SAFETY: null or a leaked box.
        unsafe { self.life.load(Acquire).as_ref() }
    }
}

impl Life {
    fn notices(&self) -> std::sync::MutexGuard<'_, VecDeque<Notice>> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, warning: bool, text: String) {
        let mut notices = self.notices();
        if notices.len() == NOTICES {
            notices.pop_front();
        }
        notices.push_back(Notice { warning, text });
    }
}

impl Keeper {
    fn run(started: &'static Started) {
        let own = started.own;
        let settings = &started.settings;
        let fixed = Fixed {
            service: &settings.service,
            boot_id: boot_id(),
            pid: std::process::id(),
            parent: if started.pid == std::process::id() { 0 } else { std::os::unix::process::parent_id() },
            started_ns: now_ns(),
            ttl_ns: death_counts_for(settings),
        };
        let made = leave_descriptor_table()
            .map_err(|e| {
                io::Error::new(
                    e.kind(),
                    format!("cannot have descriptors of its own (Linux 5.9 or later): {e}"),
                )
            })
            .and_then(|()| runtime_dir::prepare(settings))
            .and_then(|directory| Ok((create::publish(&directory, &fixed)?, directory)));
        let (board, published, problem) = match &made {
            Ok((p, _)) => (p.board, Some((p.path.clone(), p.identity())), None),
            Err(e) => match create::map(None) {
                Ok(board) => (board, None, Some(e.to_string())),
                Err(_) => return,
            },
        };
        let life: &'static Life = Box::leak(Box::new(Life { published, notices: Mutex::default() }));
        if let Some(problem) = problem {
            board.write_header(&fixed);
            life.say(true, format!("{problem}; the board is in memory, and this process alone is served"));
        }
        own.life.store(ptr::from_ref(life).cast_mut(), Release);
        indicator::describe_on(board, settings);
        own.board.store(ptr::from_ref(board).cast_mut(), SeqCst);
        indicator::describe_on(board, settings);

        let (_published, directory) = made.map_or((None, None), |(p, d)| (Some(p), Some(d)));
        let keeper: &'static Keeper = Box::leak(Box::new(Keeper { started, board, life, directory }));
        (started.serve)(keeper);
        while keeper.is_current() {
            // Nothing to serve, but the board's lock is this thread's.
            thread::sleep(Duration::from_secs(3600));
        }
    }

    /// What health was started with.
    pub fn settings(&self) -> &'static Settings {
        &self.started.settings
    }

    /// Where the boards of the service are; `None` where this process keeps its board in memory.
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// Whether the board this keeper keeps is still the one in use; if not, another keeper has been started.
    pub fn is_current(&self) -> bool {
        ptr::eq(self.started.own.board.load(Acquire), self.board)
    }

    /// What this process says, read from its own memory.
    pub fn process(&self) -> Option<crate::Process> {
        crate::board::read::own_process(self.board)
    }

    /// Has [`tick`] return this line.
    pub fn say(&self, warning: bool, text: impl Into<String>) {
        self.life.say(warning, text.into());
    }
}
