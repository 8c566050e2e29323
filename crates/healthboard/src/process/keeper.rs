//! The native thread of a service in a process. It owns the board. In one process of the service it also serves the
//! endpoints.
//!
//! All signals are blocked in it except `SIGBUS`, which the kernel would otherwise turn into the end of the process. It
//! has a descriptor table of its own (`descriptors.rs`), so it must not run code that keeps descriptors in statics of the
//! process, as tokio does. It does not touch the host's panic hook, environment or log. Its messages are notices, which
//! the host fetches.

use super::attached::Attached;
use super::descriptors;
use super::notice::{Announcement, Notice, Transition};
use super::service::Service;
use super::start::{self, Started, without_directory};
use crate::board::create::{self, Published, boot_id};
use crate::board::layout::{Board, Fixed, SLOTS};
use crate::board::page::Page;
use crate::board::place::Place;
use crate::board::sigbus::{self, MAX_SERVICES};
use crate::board::slot::Ended;
use crate::board::sync::Ordering::Relaxed;
use crate::board::{clock, text};
use crate::config::{ErrorDetail, NO_ANSWER_AFTER_NS, Policy, Settings, Uri};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// How long the keeper waits before it restarts a server that has returned or panicked.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The number of checks (one a second) from one attempt to find a usable directory to the next.
const CHECKS_BEFORE_RETRY: u32 = 10;

/// Starts the keeper. Its signals are blocked from its first instruction on.
pub(super) fn spawn(service: &'static Service) -> io::Result<()> {
    let keep = move || {
        // Catches panics of the keeper itself. `keep` catches those of the server.
        if std::panic::catch_unwind(AssertUnwindSafe(|| Keeper::run(service))).is_err()
            && let Some(page) = service.anchor.page()
        {
            page.go_without();
        }
    };
    // SAFETY: the calls initialise both sets, and the mask is that of this thread alone.
    unsafe {
        let mut blocked = std::mem::zeroed();
        let mut before = std::mem::zeroed();
        libc::sigfillset(&mut blocked);
        libc::sigdelset(&mut blocked, libc::SIGBUS);
        libc::pthread_sigmask(libc::SIG_SETMASK, &blocked, &mut before);
        let spawned =
            std::thread::Builder::new().name("healthboard".to_owned()).stack_size(256 << 10).spawn(keep);
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        spawned.map(drop)
    }
}

/// The state of a keeper thread, passed to the function given to [`Builder::start_with`](crate::Builder::start_with).
pub struct Keeper {
    service: &'static Service,
    started: &'static Started,
    pub(crate) board: &'static Board,
    attached: &'static Attached,
    fixed: Fixed,
    place: Option<Place>,
    /// `None` if the board is in memory.
    published: RefCell<Option<Published>>,
    /// The new directory of the boards, if it has changed. Then the server must restart.
    moved: RefCell<Option<Place>>,
    checks: Cell<u32>,
    /// The last reported error of a board that cannot be checked or made.
    last_error: RefCell<String>,
    /// The reported errors of directories that cannot be used.
    passed_over: RefCell<Vec<String>>,
    /// By slot, the begin of the refresh that was last recorded as having no answer; 0 if none was.
    unanswered: RefCell<[u64; SLOTS]>,
    /// The number of refused indicators that have been reported.
    reported: Cell<usize>,
    /// When the stacks that were last written beside the board were taken, and whether the file exists; see `trace`.
    pub(crate) stacks_taken_ns: Cell<u64>,
    pub(crate) has_stacks: Cell<bool>,
}

impl Keeper {
    fn run(service: &'static Service) {
        let Some((started, page)) = service.started.get().zip(service.anchor.page()) else { return };
        // In a shared table the host could close the keeper's sockets, and other files could get their numbers.
        if let Err(error) = descriptors::leave_table() {
            return service.go_without(&error.to_string());
        }
        let attached: &'static Attached = Box::leak(Box::default());
        let id = create::nonce();
        let fixed = Fixed {
            service: started.settings.service().to_owned(),
            boot_id: boot_id(),
            pid: std::process::id(),
            pid_since: stat().1,
            started_ns: clock::now_ns(),
            ttl_ns: death_counts_for(&started.settings),
            id,
            parent_id: service.anchor.replace_id(id),
        };
        if fixed.parent_id == 0 {
            service.take_early().into_iter().for_each(|early| attached.say(early));
        }
        let (mut passed_over, mut last_error) = (Vec::new(), String::new());
        let found = find(started, |line| passed_over.push(line));
        let made = found.and_then(|place| {
            let published = create::publish(&place, &fixed, None)?;
            Ok((place, published))
        });
        let (board, place, published) = match made {
            Ok((place, published)) => {
                passed_over.iter().for_each(|line| attached.say(Notice::new(true, line.clone())));
                attached.found_directory(Ok(place.path().to_owned()));
                attached.found_board(published.name());
                (published.board, Some(place), Some(published))
            }
            Err(error) => {
                let board = match create::map(None, None) {
                    Ok(board) => board,
                    Err(error) => return service.go_without(&format!("no memory for a board: {error}")),
                };
                board.write_header(&fixed);
                let why = all_reasons(&passed_over, &error);
                last_error = without_directory(&why);
                attached.say(Notice::new(true, last_error.clone()));
                attached.found_directory(Err(why));
                (board, None, None)
            }
        };
        sigbus::guard(started.number, board);
        let policy =
            |entry: &crate::board::registry::Entry| started.settings.policy(&entry.name, entry.policy);
        service.anchor.registry.write(board, policy);
        page.publish(board, id, attached);
        service.anchor.registry.describe(board, policy);
        let keeper = Keeper {
            service,
            started,
            board,
            attached,
            fixed,
            place,
            published: RefCell::new(published),
            moved: RefCell::default(),
            checks: Cell::default(),
            last_error: RefCell::new(last_error),
            passed_over: RefCell::new(passed_over),
            unanswered: RefCell::new([0; SLOTS]),
            reported: Cell::default(),
            stacks_taken_ns: Cell::default(),
            has_stacks: Cell::default(),
        };
        keeper.keep();
    }

    /// Serves for as long as the process lives. A server that returns or panics is started again.
    fn keep(mut self) {
        loop {
            if let Some(place) = self.moved.take() {
                self.attached.found_directory(Ok(place.path().to_owned()));
                self.place = Some(place);
            }
            let served = std::panic::catch_unwind(AssertUnwindSafe(|| (self.started.serve)(&self)));
            if served.is_err() {
                self.say(
                    true,
                    "internal error in healthboard's thread; it is started again, the service is not affected",
                );
            }
            if self.moved.borrow().is_none() {
                std::thread::sleep(RESTART_PAUSE);
                // The result is not needed: the top of the loop checks `moved`.
                let _ = self.look_after();
            }
        }
    }

    /// The settings of the service.
    pub fn settings(&self) -> &'static Settings {
        &self.started.settings
    }

    /// The directory of the service's boards; `None` if this process keeps its board in memory.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The name of this process's board; `None` where it is in memory.
    pub(crate) fn board_name(&self) -> Option<String> {
        self.published.borrow().as_ref().map(|board| board.name().to_owned())
    }

    /// The effective policy of the indicator in this slot; `None` if there is none.
    pub(crate) fn policy(&self, slot: usize) -> Option<Policy> {
        self.service.policy(slot)
    }

    /// Leaves a notice, which [`tick`](crate::tick) returns. If more than 64 are waiting to be fetched, the oldest are
    /// dropped.
    pub fn say(&self, warning: bool, text: impl Into<String>) {
        self.attached.say(Notice::new(warning, text.into()));
    }

    /// Whether notices wait to be fetched.
    pub fn has_notices(&self) -> bool {
        self.attached.has_notices()
    }

    /// Leaves a notice of a change of the service's status.
    pub fn say_change(&self, warning: bool, text: String, transition: Transition) {
        self.attached.say(Notice { warning, text, transition: Some(transition) });
    }

    /// Sets the endpoints on which any process of the service listens, or the reason why there are none. Call this as
    /// soon as they are known, since the start of the service waits for it, and whenever they change.
    pub fn listening(&self, endpoints: Result<Vec<Uri>, String>) {
        self.attached.listening(endpoints);
    }

    /// Sets when the last pause of the host ended, in nanoseconds of the coarse clock; 0 if there was none.
    pub fn resumed(&self, at_ns: u64) {
        self.attached.resumed_ns.store(at_ns, Relaxed);
    }
    /// Takes what this process has announced about itself since the last call, oldest first, for the service manager.
    /// Empty until the endpoints are known.
    pub fn take_announcements(&self) -> Vec<Announcement> {
        self.attached.take_announcements()
    }

    /// Call this about once a second. It restores a lost board, records refreshes without an answer, and ends a process
    /// whose own threads have ended.
    ///
    /// If it returns `false`, the boards are in another directory now: the server must return, and is called again. Costs
    /// about six system calls, and twice as many in a process with hardly any threads.
    #[must_use = "where it is false the server has to return"]
    pub fn look_after(&self) -> bool {
        end_with_the_host();
        self.record_unanswered();
        self.report_refused();
        // During a move the board is already in the new place. It is not lost.
        if !self.has_said_goodbye() && self.moved.borrow().is_none() {
            self.check_board();
        }
        self.moved.borrow().is_none()
    }

    fn has_said_goodbye(&self) -> bool {
        self.service.anchor.page().is_some_and(Page::has_said_goodbye)
    }

    fn check_board(&self) {
        self.checks.set(self.checks.get().wrapping_add(1));
        let now_ns = clock::now_ns();
        let mut published = self.published.borrow_mut();
        if let Some((board, place)) = published.as_ref().zip(self.place.as_ref()) {
            match board.is_intact(place, &self.fixed, now_ns) {
                // If the path leads elsewhere, new readers find another directory than this one.
                Ok(true) if place.is_found() => return self.last_error.borrow_mut().clear(),
                Ok(_) => {}
                Err(error) => return self.report(error.to_string()),
            }
        }
        // A process that has just said goodbye removes its board. That board is not lost.
        if self.has_said_goodbye() {
            return;
        }
        let lost = published.as_ref().map(|board| board.name().to_owned());
        if lost.is_none() && !self.checks.get().is_multiple_of(CHECKS_BEFORE_RETRY) {
            return;
        }
        match self.make_again() {
            Ok((place, made)) => {
                self.attached.found_board(made.name());
                *published = Some(made);
                self.last_error.borrow_mut().clear();
                match lost {
                    Some(name) => {
                        let path =
                            self.place.as_ref().map(|place| place.path().join(name)).unwrap_or_default();
                        let path = path.display();
                        self.say(
                            true,
                            format!(
                                "board `{path}` was moved, removed, replaced or overwritten; made a new one"
                            ),
                        );
                    }
                    None => self.say(false, format!("the boards are in `{}` now", self.place_name(&place))),
                }
                if let Some(place) = place {
                    *self.moved.borrow_mut() = Some(place);
                }
            }
            Err(error) => self.report(match lost {
                Some(_) => format!("{error}; trying again, this process is served without it"),
                None => without_directory(all_reasons(&self.passed_over.borrow(), &error)),
            }),
        }
    }

    /// Logs once that a directory cannot be used.
    fn say_passed_over(&self, line: String) {
        let mut said = self.passed_over.borrow_mut();
        if !said.contains(&line) {
            self.say(true, &*line);
            said.push(line);
        }
    }

    /// Logs an error, unless it is the one that was logged last.
    fn report(&self, text: String) {
        if *self.last_error.borrow() != text {
            self.say(true, &*text);
            *self.last_error.borrow_mut() = text;
        }
    }

    /// Makes a new file for the board, in a new place if the old one is gone.
    fn make_again(&self) -> io::Result<(Option<Place>, Published)> {
        let place = match &self.place {
            Some(place) if place.is_found() => None,
            _ => Some(find(self.started, |line| self.say_passed_over(line))?),
        };
        let at = place.as_ref().or(self.place.as_ref()).ok_or(io::ErrorKind::NotFound)?;
        let made = create::publish(at, &self.fixed, Some(self.board))?;
        let policy =
            |entry: &crate::board::registry::Entry| self.started.settings.policy(&entry.name, entry.policy);
        self.service.anchor.registry.describe(self.board, policy);
        Ok((place, made))
    }

    fn place_name(&self, place: &Option<Place>) -> String {
        place
            .as_ref()
            .or(self.place.as_ref())
            .map(|place| place.path().display().to_string())
            .unwrap_or_default()
    }

    /// Records a failure for each refresh that has no answer after 5 s, whatever its outcome will be.
    fn record_unanswered(&self) {
        let Some(page) = self.service.anchor.page() else { return };
        let now_ns = self.service.anchor.now_ns();
        let mut unanswered = self.unanswered.borrow_mut();
        for ((slot, lock), recorded) in self.board.slots.iter().zip(&page.locks).zip(unanswered.iter_mut()) {
            let begun_ns = slot.refresh_begun.load(Relaxed);
            if begun_ns != 0 && begun_ns != *recorded && now_ns.saturating_sub(begun_ns) >= NO_ANSWER_AFTER_NS
            {
                *recorded = begun_ns;
                let with_text = self.started.settings.error_detail != ErrorDetail::None;
                let parts = text::Parts { class: "NoAnswer", code: "", text: "" };
                slot.fail_at(now_ns, lock, Ended::Refresh, with_text.then_some(parts));
            }
        }
    }

    /// Reports each indicator for which there was no slot, once.
    fn report_refused(&self) {
        let refused: Vec<&str> = self.service.anchor.registry.refused().skip(self.reported.get()).collect();
        self.reported.set(self.reported.get() + refused.len());
        for name in refused {
            let most = SLOTS - 1;
            self.say(
                true,
                format!("indicator `{name}` records nothing: a board has room for {most} besides `progress`"),
            );
        }
    }
}

/// Ends the process when all of the host's threads have ended, so that keepers do not keep a process alive.
///
/// Such a process is, for instance, the child of a fork in a thread whose function has returned.
/// The keeper's descriptor table has none of the host's files. It is emptied first, so that the host's exit handlers do
/// not write to the keeper's files.
fn end_with_the_host() {
    // The directory has two links and one for each thread.
    let threads =
        std::fs::metadata("/proc/self/task").map_or(u64::MAX, |task| task.nlink()).saturating_sub(2);
    // Almost always the process has more threads than the main thread and the keeper of each service.
    if threads > 1 + MAX_SERVICES as u64 || threads > 1 + start::keepers() as u64 {
        return;
    }
    if stat().0 == 'Z' {
        descriptors::close_all();
        std::process::exit(0);
    }
}

/// The state of this process, and when it began in clock ticks since the boot: proc_pid_stat(5), fields 3 and 22.
fn stat() -> (char, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name, in parentheses, may contain anything.
    let mut fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let state = fields.next().and_then(|state| state.chars().next()).unwrap_or('?');
    (state, fields.nth(18).and_then(|began| began.parse().ok()).unwrap_or(0))
}

/// Why no directory can be used: those that were passed over, and the last one.
fn all_reasons(passed_over: &[String], error: &io::Error) -> String {
    [passed_over, &[error.to_string()]].concat().join("; ")
}

/// Finds a directory for the boards. Calls `say` with a line for each directory that could not be used.
fn find(started: &Started, say: impl FnMut(String)) -> io::Result<Place> {
    let mut passed_over = Vec::new();
    let place = started.candidates.find(started.settings.service(), &mut passed_over);
    passed_over.into_iter().for_each(say);
    place
}

/// For how long a death counts, in nanoseconds: one ttl, or the default ttl if the ttl is unlimited.
fn death_counts_for(settings: &Settings) -> u64 {
    let ttl = settings.policy("", Policy::DEFAULT).ttl;
    let ttl = if ttl.is_zero() { Policy::DEFAULT.ttl } else { ttl };
    u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX)
}
