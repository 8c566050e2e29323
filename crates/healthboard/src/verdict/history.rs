//! The recent changes of a service and of its indicators.

use super::report::{Detail, Report, State};
use crate::config::{MAX_INDICATOR_NAME, PROGRESS};
use crate::scrub::{cut, printable};
use crate::status::Status;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The number of changes that are kept of the service and of each indicator. If there are more, the oldest are dropped.
const MAX_CHANGES: usize = 32;

/// The longest cause, in bytes.
const MAX_CAUSE: usize = 160;

/// The number of indicators whose changes are kept. It is twice the slots of a board, since processes of one service may
/// have different indicators.
const MAX_INDICATORS: usize = 64;

/// The recent changes of a service and of its indicators, the oldest first.
///
/// The holder keeps it in a file beside the boards, so a takeover loses nothing and every reader of boards can read it. It
/// is small: it has the newest 32 changes of the service and of each indicator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// How often the service's status has changed since the directory of its boards was made.
    #[serde(default)]
    pub count: u64,
    /// How many of these changes are in the service's log. A process that serves but runs no code of the service, or that dies
    /// at once, logs nothing; the next holder does.
    #[serde(default)]
    pub logged: u64,
    /// The changes of the service's status.
    #[serde(default)]
    pub service: VecDeque<Change>,
    /// The changes of each indicator's status and state.
    #[serde(default)]
    pub indicators: BTreeMap<String, VecDeque<Change>>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When it happened, as far as can be known, or else when it was seen; in milliseconds of Unix time.
    pub at_ms: u64,
    /// The new status.
    pub status: Status,
    /// The new state of an indicator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Why, for people; empty where nothing is wrong.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cause: String,
}

impl Change {
    /// The time of the change, by the wall clock.
    pub fn time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.at_ms)
    }
}

impl History {
    /// Adds what has changed since the last report. Returns whether anything has changed; the history is copied only then,
    /// and only if it is shared.
    ///
    /// A service begins as `OK` and an indicator without a problem, so neither is a change.
    pub fn observe(history: &mut Arc<History>, report: &Report) -> bool {
        let changed: Vec<&str> = report
            .details
            .iter()
            .filter(|(name, detail)| history.is_new(name, detail))
            .map(|(name, _)| &**name)
            .collect();
        let last = history.service.back().map_or(Status::Ok, |change| change.status);
        if changed.is_empty() && last == report.status {
            return false;
        }
        let since_epoch = report.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let now_ms = milliseconds(since_epoch);
        let change = |at_ms, status, state, cause: &str| {
            let cause = cut(&printable(cause), MAX_CAUSE);
            Change { at_ms, status, state, cause }
        };
        let history = Arc::make_mut(history);
        // Not before the change before it, unless the clock was set back.
        let earliest_ms = history.service.back().map_or(0, |change| change.at_ms.min(now_ms));
        let at_ms = now_ms.saturating_sub(milliseconds(report.unobserved_for)).max(earliest_ms);
        if last != report.status {
            history.count = history.count.saturating_add(1);
            push(&mut history.service, change(at_ms, report.status, None, &report.message));
        }
        for name in changed {
            let detail = &report.details[name];
            let changes = history.indicators.entry(name.to_owned()).or_default();
            // That a process hangs is the service's change.
            let at_ms = if name == PROGRESS { at_ms } else { now_ms };
            push(changes, change(at_ms, detail.status, Some(detail.state), &detail.message));
        }
        true
    }

    fn is_new(&self, name: &str, detail: &Detail) -> bool {
        let quiet = !detail.state.is_problem();
        let Some(last) = self.indicators.get(name).and_then(|changes| changes.back()) else {
            return !quiet && self.indicators.len() < MAX_INDICATORS;
        };
        let was_quiet = last.state.is_none_or(|state| !state.is_problem());
        last.status != detail.status || last.state != Some(detail.state) && !(was_quiet && quiet)
    }

    /// Applies the bounds that [`observe`](History::observe) keeps to: a file may have any content.
    pub(crate) fn bounded(self) -> History {
        let bound = |changes: VecDeque<Change>| -> VecDeque<Change> {
            let beyond = changes.len().saturating_sub(MAX_CHANGES);
            let newest = changes.into_iter().skip(beyond);
            // Collected into a new queue, since the old one would keep its memory.
            newest
                .map(|change| Change { cause: cut(&printable(&change.cause), MAX_CAUSE), ..change })
                .collect()
        };
        let named = self.indicators.into_iter().filter(|(name, _)| name.len() <= MAX_INDICATOR_NAME);
        History {
            count: self.count,
            logged: self.logged,
            service: bound(self.service),
            indicators: named.take(MAX_INDICATORS).map(|(name, changes)| (name, bound(changes))).collect(),
        }
    }

    /// Adds changes of the service's status that another reader has seen after the change `after`. Their times do not matter:
    /// the clock may have been set back.
    pub(crate) fn with(mut self, changes: &[Change], after: Option<&Change>) -> History {
        let before =
            self.service.iter().rposition(|change| Some(change) == after).map_or(0, |index| index + 1);
        let newer = self.service.split_off(before);
        let all: Vec<Change> = self.service.into_iter().chain(changes.iter().cloned()).chain(newer).collect();
        let beyond = all.len().saturating_sub(MAX_CHANGES);
        self.service = all.into_iter().skip(beyond).collect();
        self
    }
}

fn push(changes: &mut VecDeque<Change>, change: Change) {
    if changes.len() >= MAX_CHANGES {
        changes.pop_front();
    }
    changes.push_back(change);
}
