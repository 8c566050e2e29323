//! What the keeper and the rest of its process tell each other. Made with the board, never freed.

use super::notice::{Notice, Transition};
use crate::board::place::Place;
use crate::config::Uri;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Notices that wait to be fetched; the oldest go first.
const MAX_NOTICES: usize = 64;

/// Transitions that are kept.
const MAX_TRANSITIONS: usize = 32;

#[derive(Default)]
pub(crate) struct Attached {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    notices: VecDeque<Notice>,
    transitions: VecDeque<Transition>,
    directory: Option<PathBuf>,
    /// The name of the board in it.
    board: Option<String>,
    no_directory: Option<String>,
    endpoints: Option<Result<Vec<Uri>, String>>,
}

impl Attached {
    pub(super) fn say(&self, warning: bool, text: String) {
        push(&mut self.state().notices, Notice { warning, text }, MAX_NOTICES);
    }

    pub(crate) fn take_notices(&self) -> Vec<Notice> {
        self.state().notices.drain(..).collect()
    }

    pub(super) fn change(&self, transition: Transition) {
        push(&mut self.state().transitions, transition, MAX_TRANSITIONS);
    }

    pub(crate) fn transitions(&self) -> Vec<Transition> {
        self.state().transitions.iter().cloned().collect()
    }

    /// Where the boards are, or why this process's board is in memory.
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

    /// Removes the board of a process that has said goodbye. Best effort: the holder sweeps it otherwise. Does not wait for
    /// the lock without an end, since the process may be ending in the middle of anything.
    pub(super) fn remove_board(&self) {
        let try_lock = |_| {
            std::thread::yield_now();
            self.state.try_lock().ok()
        };
        let Some(state) = (0..1000).find_map(try_lock) else { return };
        if let Some((directory, name)) = state.directory.as_ref().zip(state.board.as_ref())
            && let Ok(place) = Place::open(directory)
        {
            let _ = rustix::fs::unlinkat(place.fd(), name.as_str(), rustix::fs::AtFlags::empty());
        }
    }

    /// What is listened on, by whichever process; or why nothing is.
    pub(super) fn listening(&self, endpoints: Result<Vec<Uri>, String>) {
        self.state().endpoints = Some(endpoints);
        self.changed.notify_all();
    }

    /// Waits until it is known what is listened on.
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
