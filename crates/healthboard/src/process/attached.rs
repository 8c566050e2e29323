//! The state shared by the keeper and the other threads of its process. Made with the board, never freed.

use super::notice::{Announcement, Notice};
use crate::board::place::{Place, stacks_name};
use crate::board::sync::AtomicU64;
use crate::config::Uri;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The number of notices that are kept until they are fetched. If there are more, the oldest are dropped.
const MAX_NOTICES: usize = 64;

/// The number of announcements that are kept until they are fetched. If there are more, the oldest are dropped.
const MAX_ANNOUNCEMENTS: usize = 8;

#[derive(Default)]
pub(crate) struct Attached {
    /// When the last pause of the host ended, in nanoseconds of the coarse clock; 0 if there was none. It publishes no
    /// other memory, so accesses are `Relaxed`.
    pub(crate) resumed_ns: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    notices: VecDeque<Notice>,
    announcements: VecDeque<Announcement>,
    directory: Option<PathBuf>,
    /// The name of the board in the directory.
    board: Option<String>,
    no_directory: Option<String>,
    endpoints: Option<Result<Vec<Uri>, String>>,
}

impl Attached {
    pub(super) fn say(&self, notice: Notice) {
        push(&mut self.state().notices, notice, MAX_NOTICES);
    }

    pub(super) fn has_notices(&self) -> bool {
        !self.state().notices.is_empty()
    }

    pub(crate) fn take_notices(&self) -> Vec<Notice> {
        self.state().notices.drain(..).collect()
    }

    /// Drops the notices of these reasons, because the caller of the start gets them as an error.
    pub(super) fn forget(&self, reasons: &str) {
        let is_told = |notice: &Notice| reasons.split("; ").any(|reason| notice.text.starts_with(reason));
        self.state().notices.retain(|notice| !is_told(notice));
    }

    pub(super) fn announce(&self, announcement: Announcement) {
        push(&mut self.state().announcements, announcement, MAX_ANNOUNCEMENTS);
    }

    /// Takes the announcements. Empty until the endpoints are known; they are kept until then.
    pub(super) fn take_announcements(&self) -> Vec<Announcement> {
        let mut state = self.state();
        if state.endpoints.is_none() { Vec::new() } else { state.announcements.drain(..).collect() }
    }

    /// Sets the directory of the boards, or the reason why this process's board is in memory.
    pub(super) fn found_directory(&self, found: Result<PathBuf, String>) {
        let mut state = self.state();
        match found {
            Ok(directory) => (state.directory, state.no_directory) = (Some(directory), None),
            Err(why) => (state.directory, state.no_directory) = (None, Some(why)),
        }
    }

    pub(crate) fn directory(&self) -> Result<PathBuf, String> {
        let state = self.state();
        state.directory.clone().ok_or_else(|| state.no_directory.clone().unwrap_or_default())
    }

    pub(super) fn found_board(&self, name: &str) {
        self.state().board = Some(name.to_owned());
    }

    /// Removes the board of a process that has said goodbye. Best effort: otherwise the holder removes it. Gives up on
    /// the lock after 1000 attempts, since a thread of the ending process may hold it and never release it.
    pub(super) fn remove_board(&self) {
        let try_lock = |_| {
            std::thread::yield_now();
            self.state.try_lock().ok()
        };
        let Some(state) = (0..1000).find_map(try_lock) else { return };
        if let Some((directory, name)) = state.directory.as_ref().zip(state.board.as_ref())
            && let Ok(place) = Place::open(directory)
        {
            place.remove(name);
            place.remove(&stacks_name(name));
        }
    }

    /// Sets the endpoints that any process of the service listens on, or the reason why there are none.
    pub(super) fn listening(&self, endpoints: Result<Vec<Uri>, String>) {
        self.state().endpoints = Some(endpoints);
        self.changed.notify_all();
    }

    /// Waits until the endpoints are known; `None` if they are not known in time.
    pub(super) fn wait_for_endpoints(&self, at_most: Duration) -> Option<Result<Vec<Uri>, String>> {
        let unknown = |state: &mut State| state.endpoints.is_none();
        let waited = self.changed.wait_timeout_while(self.state(), at_most, unknown);
        waited.unwrap_or_else(PoisonError::into_inner).0.endpoints.clone()
    }

    pub(crate) fn endpoints(&self) -> Vec<Uri> {
        self.state().endpoints.clone().and_then(Result::ok).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() == most {
        queue.pop_front();
    }
    queue.push_back(item);
}
