//! A service in this process. Recording finds its board through it.

use super::attached::Attached;
use super::keeper;
use super::notice::{Announcement, Notice};
use super::start::{Builder, StartError, Started};
use crate::board::anchor::Anchor;
use crate::board::layout::{Board, phase, word};
use crate::board::page::{Claim, Page};
use crate::board::slot::Slot;
use crate::board::sync::{AtomicU32, Ordering::Relaxed};
use crate::config::{ErrorDetail, PROGRESS, Policy};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// How long the first recording waits for the board. After that the process records nothing until the board is there.
const MAX_WAIT_FOR_BOARD: Duration = Duration::from_secs(2);

/// A service of this process and of all processes that it forks.
///
/// A process usually has one, the *default service*: the one that is started first. The attribute, [`LazyIndicator`]
/// and the free functions of this crate record for it; until it is started they do nothing. Further services are
/// reached through their [`Handle`](crate::Handle).
///
/// [`LazyIndicator`]: crate::LazyIndicator
pub struct Service {
    pub(crate) anchor: Anchor<Attached>,
    pub(super) started: OnceLock<Started>,
    /// Notices that wait for the first board. Never `lock` it: a child that was forked while another thread held it would
    /// wait indefinitely.
    early: Mutex<Vec<Notice>>,
}

/// A panic cannot leave a half-written record, so code that records may run under `catch_unwind`.
impl std::panic::RefUnwindSafe for Service {}

/// The default service.
pub(crate) static DEFAULT: Service = Service::new();

impl Service {
    pub(super) const fn new() -> Service {
        Service { anchor: Anchor::new(), started: OnceLock::new(), early: Mutex::new(Vec::new()) }
    }

    /// A builder for a service of this name; see [`Settings::new`](crate::Settings::new) for names.
    pub fn builder(name: &str) -> Builder {
        Builder::new(name)
    }

    /// Calls `work` with a slot of this process's board, and makes the board if there is none yet. Does not call it if
    /// there is no board or no such slot. The code that makes the board is kept out of line, because every recorded
    /// success takes this path.
    #[inline]
    pub(crate) fn with_slot(
        &'static self,
        index: usize,
        work: impl FnOnce(&'static Slot, &'static Page<Attached>),
    ) {
        #[cold]
        fn first(
            service: &'static Service,
            index: usize,
            work: impl FnOnce(&'static Slot, &'static Page<Attached>),
        ) {
            if let (Some(board), Some(page)) = (service.attach(), service.anchor.page())
                && let Some(slot) = board.slots.get(index)
            {
                work(slot, page);
            }
        }
        let Some(page) = self.anchor.page() else { return };
        match page.board() {
            Some(board) => {
                if let Some(slot) = board.slots.get(index) {
                    work(slot, page);
                }
            }
            None => first(self, index, work),
        }
    }

    /// The slot and its lock, if this process has the board with the id `process_id`.
    #[inline]
    pub(crate) fn slot_of(
        &self,
        index: usize,
        process_id: u64,
    ) -> Option<(&'static Slot, &'static AtomicU32)> {
        let page = self.anchor.page()?;
        if page.id() != process_id {
            return None;
        }
        Some((page.board()?.slots.get(index)?, page.locks.get(index)?))
    }

    /// The board of this process, made on first use. `None` while health is not started, or if the board cannot be made
    /// within two seconds.
    #[cold]
    pub(crate) fn attach(&'static self) -> Option<&'static Board> {
        let page = self.anchor.page()?;
        if let Some(board) = page.board() {
            return Some(board);
        }
        match page.claim() {
            // If no thread can be started, this process records nothing, as if health were off.
            Claim::Yours => {
                if let Err(error) = keeper::spawn(self) {
                    self.go_without(&format!("no thread can be started: {error}"));
                    return None;
                }
            }
            Claim::Others => {}
            Claim::Without => return page.board(),
        }
        let waiting = Instant::now();
        while page.board().is_none() && waiting.elapsed() < MAX_WAIT_FOR_BOARD {
            std::thread::sleep(Duration::from_micros(50));
        }
        if page.board().is_none() {
            page.go_without();
        }
        page.board()
    }

    /// Makes this process record nothing from now on, as if health were off. The next tick returns a notice with the
    /// reason.
    pub(super) fn go_without(&self, why: &str) {
        if let Some((started, page)) = self.started.get().zip(self.anchor.page()) {
            self.say_later([Notice::new(true, StartError::NoThread(why.to_owned()).to_string())]);
            started.set_why_without(why);
            page.go_without();
        }
    }

    /// Writes new registrations to the board, if there is one: see `Registry::publish`.
    pub(crate) fn publish_registered(&self) {
        let Some(started) = self.started.get() else { return };
        let board = || self.anchor.page().and_then(Page::board);
        self.anchor.registry.publish(board, |entry| started.settings.policy(&entry.name, entry.policy));
    }

    /// See [`tick`](crate::tick).
    pub(crate) fn tick(&'static self) -> Vec<Notice> {
        self.stamp();
        self.take_notices()
    }

    /// See [`stamp`](crate::stamp).
    pub(crate) fn stamp(&'static self) {
        self.register_progress();
        self.with_slot(0, |slot, _| slot.ok_at(self.anchor.now_ns()));
    }

    /// See [`take_notices`](crate::take_notices).
    pub(crate) fn take_notices(&self) -> Vec<Notice> {
        let mut notices = self.take_early();
        notices.extend(self.attached().map(Attached::take_notices).unwrap_or_default());
        notices
    }

    pub(super) fn register_progress(&self) {
        if self.anchor.registry.index_of(PROGRESS, Policy::PROGRESS, 0).1 {
            self.publish_registered();
        }
    }

    pub(crate) fn attached(&self) -> Option<&'static Attached> {
        self.anchor.page()?.process()
    }

    pub(crate) fn say(&self, warning: bool, text: String) {
        match self.attached() {
            Some(attached) => attached.say(Notice::new(warning, text)),
            None => self.say_later([Notice::new(warning, text)]),
        }
    }

    /// Keeps notices until there is a board.
    pub(super) fn say_later(&self, notices: impl IntoIterator<Item = Notice>) {
        if let Ok(mut early) = self.early.try_lock() {
            early.extend(notices);
        }
    }

    pub(super) fn take_early(&self) -> Vec<Notice> {
        self.early.try_lock().map(|mut early| std::mem::take(&mut *early)).unwrap_or_default()
    }

    pub(crate) fn error_detail(&self) -> ErrorDetail {
        self.started.get().map_or(ErrorDetail::None, |started| started.settings.error_detail)
    }

    /// The name of the service; empty until it is started.
    pub(crate) fn name(&self) -> &str {
        self.started.get().map_or("", |started| started.settings.service())
    }

    /// The effective policy of an indicator; `None` while the service is not started.
    pub(crate) fn policy(&self, index: usize) -> Option<Policy> {
        let entry = self.anchor.registry.entry(index)?;
        Some(self.started.get()?.settings.policy(&entry.name, entry.policy))
    }

    /// See [`ready`](crate::ready).
    pub(crate) fn announce(&'static self, announcement: Announcement) {
        if self.attach().is_some()
            && let Some(attached) = self.attached()
        {
            attached.announce(announcement);
        }
    }

    /// See [`drain`](crate::drain). Does nothing in a process without a board.
    pub(crate) fn drain(&self) {
        if let Some(board) = self.anchor.page().and_then(Page::board) {
            // A goodbye stays in force even if the process drains again.
            let said = &board.header[word::PHASE];
            let _ = said.compare_exchange(0, phase::DRAINING, Relaxed, Relaxed);
        }
    }

    /// See [`crash`](crate::crash).
    pub(crate) fn crash(&self) {
        if let Some(board) = self.anchor.page().and_then(Page::board) {
            let said = &board.header[word::PHASE];
            let _ = said.compare_exchange(phase::DRAINING, 0, Relaxed, Relaxed);
        }
    }

    /// See [`goodbye_in_signal_handler`](crate::goodbye_in_signal_handler).
    pub(crate) fn goodbye_in_signal_handler(&self) {
        self.say_goodbye();
    }

    /// Says goodbye on the board. Returns whether the process was neither draining nor had said goodbye before.
    fn say_goodbye(&self) -> bool {
        let Some((page, board)) = self.anchor.page().and_then(|page| Some((page, page.board()?))) else {
            return false;
        };
        page.say_goodbye();
        board.header[word::GOODBYE_NS].store(self.anchor.now_ns(), Relaxed);
        board.header[word::PHASE].swap(phase::GOODBYE, Relaxed) == 0
    }

    /// See [`goodbye`](crate::goodbye).
    pub(crate) fn goodbye(&self) {
        let was_working = self.say_goodbye();
        if let Some(board) = self.anchor.page().and_then(Page::board) {
            // The board of a process without a parent in the service stays: it shows that the service was stopped and did
            // not die. The board of a process that was draining stays as well: its master may be about to end without
            // knowing it, and counts as draining for some seconds because of this board. A second goodbye changes nothing.
            if board.header[word::PARENT_ID].load(Relaxed) != 0
                && was_working
                && let Some(attached) = self.attached()
            {
                attached.remove_board();
            }
        }
    }

    /// See [`watch`](crate::watch).
    pub(crate) fn watch(&'static self) {
        if let Some(board) = self.attach() {
            board.header[word::WATCHES].store(1, Relaxed);
        }
    }
}
