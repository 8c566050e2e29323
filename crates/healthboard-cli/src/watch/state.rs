//! The state of the watch: the answers, how long they have been the same, and the user's selection.

use crate::ask::Answered;
use crate::source::Unanswered;
use healthboard::Status;
use healthboard::format::Answer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::collections::BTreeMap;
use std::time::Instant;

/// The answers of one round of requests.
pub(super) type Asked = Vec<Result<Answered, Unanswered>>;

/// The most changes that are kept.
const MAX_CHANGES: usize = 100;

/// How bad the condition of a service is. The greatest rank comes first on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Stopped,
    Ok,
    Degraded,
    Unknown,
    Fault,
}

impl Rank {
    pub(super) fn word(self) -> &'static str {
        match self {
            Rank::Stopped => "stopped",
            Rank::Ok => "OK",
            Rank::Degraded => "DEGRADED",
            Rank::Unknown => "NO ANSWER",
            Rank::Fault => "FAULT",
        }
    }

    /// The mark beside the word, so that nothing depends on colours.
    pub(super) fn mark(self) -> char {
        match self {
            Rank::Stopped => '-',
            Rank::Ok => ' ',
            Rank::Degraded => '!',
            Rank::Unknown => '?',
            Rank::Fault => 'X',
        }
    }
}

/// A service on the screen.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) rank: Rank,
    /// When the service was first seen with this rank.
    pub(super) since: Instant,
    pub(super) why: String,
    pub(super) answer: Option<Answer>,
}

/// A change that was seen.
pub(super) struct Change {
    pub(super) at: Instant,
    pub(super) name: String,
    pub(super) from: Rank,
    pub(super) to: Rank,
}

pub(super) struct State {
    pub(super) has_colours: bool,
    pub(super) rows: Vec<Row>,
    pub(super) changes: Vec<Change>,
    pub(super) selected: usize,
    pub(super) filter: String,
    pub(super) is_filtering: bool,
    pub(super) shows_help: bool,
    pub(super) shows_detail: bool,
    /// What could not be read.
    pub(super) problems: Vec<String>,
    /// Whether a first round of requests has finished.
    pub(super) has_asked: bool,
    began: Option<Instant>,
}

impl State {
    pub(super) fn new(has_colours: bool) -> State {
        State {
            has_colours,
            rows: Vec::new(),
            changes: Vec::new(),
            selected: 0,
            filter: String::new(),
            is_filtering: false,
            shows_help: false,
            shows_detail: true,
            problems: Vec::new(),
            has_asked: false,
            began: None,
        }
    }

    /// Takes over the answers of a round of requests, received at `now`.
    pub(super) fn take(&mut self, answers: &Asked, now: Instant) {
        let chosen = self.visible().get(self.selected).map(|row| row.name.clone());
        let mut before: BTreeMap<String, Row> =
            self.rows.drain(..).map(|row| (row.name.clone(), row)).collect();
        let mut rows: Vec<Row> = Vec::new();
        for answer in answers {
            let mut row = match answer {
                Ok(answered) => Row::of(&answered.answer, now),
                Err(unanswered) => Row::unanswered(unanswered, now),
            };
            // Two endpoints may belong to services with the same name.
            let name = row.name.clone();
            let mut count = 1;
            while rows.iter().any(|other| other.name == row.name) {
                count += 1;
                row.name = format!("{name} ({count})");
            }
            match before.remove(&row.name) {
                Some(old) if old.rank == row.rank => row.since = old.since,
                Some(old) => self.change(&row.name, old.rank, row.rank, now),
                None if self.began.is_some() && row.rank > Rank::Ok => {
                    self.change(&row.name, Rank::Ok, row.rank, now)
                }
                None => {}
            }
            rows.push(row);
        }
        rows.sort_by(|a, b| b.rank.cmp(&a.rank).then_with(|| a.name.cmp(&b.name)));
        self.rows = rows;
        self.has_asked = true;
        self.began.get_or_insert(now);
        // The same service stays selected, even if its position has changed.
        let visible = self.visible();
        let found = chosen.and_then(|name| visible.iter().position(|row| row.name == name));
        self.selected = found.unwrap_or(self.selected).min(visible.len().saturating_sub(1));
    }

    /// The rows that match the filter.
    pub(super) fn visible(&self) -> Vec<&Row> {
        let filter = self.filter.to_lowercase();
        let matches = |row: &&Row| {
            filter.is_empty()
                || [row.name.as_str(), row.rank.word(), &row.why]
                    .iter()
                    .any(|text| text.to_lowercase().contains(&filter))
        };
        self.rows.iter().filter(matches).collect()
    }

    /// Whether this row has not changed since the watch began.
    pub(super) fn is_since_begin(&self, row: &Row) -> bool {
        self.began.is_some_and(|began| row.since <= began)
    }

    /// Handles a key. Returns false if the user wants to end the watch.
    pub(super) fn press(&mut self, key: KeyEvent) -> bool {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return false;
        }
        if self.is_filtering {
            match key.code {
                KeyCode::Enter => self.is_filtering = false,
                KeyCode::Esc => (self.is_filtering, self.filter) = (false, String::new()),
                KeyCode::Backspace => drop(self.filter.pop()),
                KeyCode::Char(c) => self.filter.push(c),
                _ => {}
            }
            self.selected = 0;
            return true;
        }
        let last = self.visible().len().saturating_sub(1);
        match key.code {
            KeyCode::Char('q') => return false,
            KeyCode::Char('?') | KeyCode::Char('h') => self.shows_help = !self.shows_help,
            KeyCode::Char('/') => self.is_filtering = true,
            KeyCode::Esc if self.shows_help => self.shows_help = false,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Enter | KeyCode::Char(' ') => self.shows_detail = !self.shows_detail,
            KeyCode::Down | KeyCode::Char('j') => self.selected = (self.selected + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::PageDown => self.selected = (self.selected + 10).min(last),
            KeyCode::PageUp => self.selected = self.selected.saturating_sub(10),
            KeyCode::Home | KeyCode::Char('g') => self.selected = 0,
            KeyCode::End | KeyCode::Char('G') => self.selected = last,
            _ => {}
        }
        true
    }

    fn change(&mut self, name: &str, from: Rank, to: Rank, at: Instant) {
        self.changes.insert(0, Change { at, name: name.to_owned(), from, to });
        self.changes.truncate(MAX_CHANGES);
    }
}

impl Row {
    fn of(answer: &Answer, now: Instant) -> Row {
        let rank = match answer.status {
            _ if answer.stopped => Rank::Stopped,
            Status::Ok => Rank::Ok,
            Status::Degraded => Rank::Degraded,
            Status::Fault => Rank::Fault,
        };
        let name = healthboard::printable(&answer.service);
        let why = healthboard::printable(&answer.message);
        Row { name, rank, since: now, why, answer: Some(answer.clone()) }
    }

    fn unanswered(unanswered: &Unanswered, now: Instant) -> Row {
        let name = match unanswered {
            Unanswered::Endpoint(uri, _) | Unanswered::Empty(uri) => uri.to_string(),
            Unanswered::Service(uri, name, _) => format!("{name} at {uri}"),
            Unanswered::Boards(Some(name), _) => name.clone(),
            Unanswered::Boards(None, _) => "boards".to_owned(),
        };
        Row { name, rank: Rank::Unknown, since: now, why: unanswered.to_string(), answer: None }
    }
}
