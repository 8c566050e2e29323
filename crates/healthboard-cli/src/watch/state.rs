//! The state of the watch: the answers, how long they have been the same, and the user's selection.

use crate::ask::Answered;
use crate::source::{Asked, Unanswered, elapsed};
use healthboard::Status;
use healthboard::format::Answer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

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

/// The number of a source, and the name of a service there.
type Key = (usize, String);

/// A service on the screen, or a source without an answer.
pub(super) struct Row {
    pub(super) key: Key,
    /// The name of the service, with that of its host if other sources have a service of this name.
    pub(super) name: String,
    /// Where the answer comes from.
    pub(super) from: String,
    pub(super) rank: Rank,
    /// Since when it has this rank, if that is known.
    pub(super) since: Option<Instant>,
    pub(super) why: String,
    pub(super) answer: Option<Answer>,
}

/// A change that was seen.
pub(super) struct Change {
    pub(super) at: Instant,
    pub(super) key: Key,
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
    /// Whether the detail fills the screen.
    pub(super) is_detail_only: bool,
    /// The first line that is shown of the help, or of a detail that fills the screen.
    pub(super) scroll: u16,
    /// What could not be read, for each source that has been asked.
    problems: BTreeMap<usize, Vec<String>>,
    sources: usize,
    /// The newest rank of every service, also of those that are not on the screen now.
    seen: BTreeMap<Key, (Rank, Option<Instant>)>,
}

impl State {
    pub(super) fn new(sources: usize, has_colours: bool) -> State {
        State {
            has_colours,
            rows: Vec::new(),
            changes: Vec::new(),
            selected: 0,
            filter: String::new(),
            is_filtering: false,
            shows_help: false,
            is_detail_only: false,
            scroll: 0,
            problems: BTreeMap::new(),
            sources,
            seen: BTreeMap::new(),
        }
    }

    /// Takes over the answers of a source, received at `now`.
    pub(super) fn take(&mut self, source: usize, asked: Asked, now: Instant) {
        let chosen = self.visible().get(self.selected).map(|row| row.key.clone());
        self.rows.retain(|row| row.key.0 != source);
        for answer in asked.answers {
            let mut row = match answer {
                Ok(answered) => Row::of(source, answered, now),
                Err(unanswered) => Row::unanswered(source, &unanswered),
            };
            match self.seen.get(&row.key) {
                // The same time may differ by a second from answer to answer.
                Some((rank, Some(since))) if *rank == row.rank => {
                    row.since =
                        row.since.filter(|new| *new > *since + Duration::from_secs(2)).or(Some(*since));
                }
                Some((rank, None)) if *rank == row.rank => {}
                Some((rank, _)) => {
                    let (key, from, to) = (row.key.clone(), *rank, row.rank);
                    row.since = row.since.or(Some(now));
                    self.changes.insert(0, Change { at: now, key, from, to });
                    self.changes.truncate(MAX_CHANGES);
                }
                None if self.problems.contains_key(&source) => row.since = row.since.or(Some(now)),
                None => {}
            }
            self.seen.insert(row.key.clone(), (row.rank, row.since));
            self.rows.push(row);
        }
        // A source that answers now has no outage that goes on.
        let is_shown = |key: &Key| self.rows.iter().any(|row| row.key == *key);
        self.seen.retain(|key, (rank, _)| key.0 != source || *rank != Rank::Unknown || is_shown(key));
        self.problems.insert(source, asked.problems);
        self.rows
            .sort_by(|a, b| b.rank.cmp(&a.rank).then_with(|| (&a.key.1, a.key.0).cmp(&(&b.key.1, b.key.0))));
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        self.rows.iter().for_each(|row| *counts.entry(row.key.1.clone()).or_default() += 1);
        for row in &mut self.rows {
            let is_ambiguous = counts.get(&row.key.1).is_some_and(|count| *count > 1);
            row.name = if is_ambiguous { format!("{} @ {}", row.key.1, row.from) } else { row.key.1.clone() };
        }
        // The same service stays selected, even if its position has changed.
        let visible = self.visible();
        let found = chosen.and_then(|key| visible.iter().position(|row| row.key == key));
        self.selected = found.unwrap_or(self.selected).min(visible.len().saturating_sub(1));
    }

    /// How many sources have not been asked to the end yet.
    pub(super) fn asking(&self) -> usize {
        self.sources.saturating_sub(self.problems.len())
    }

    /// What could not be read.
    pub(super) fn problems(&self) -> Vec<&String> {
        self.problems.values().flatten().collect()
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

    /// Handles a key. Returns false if the user wants to end the watch.
    pub(super) fn press(&mut self, key: KeyEvent) -> bool {
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if has_control && key.code == KeyCode::Char('c') {
            return false;
        }
        if self.is_filtering {
            self.edit_filter(key.code, has_control);
            return true;
        }
        let last = self.visible().len().saturating_sub(1);
        let reads = self.shows_help || self.is_detail_only;
        let move_by = |at: usize, by: isize| at.saturating_add_signed(by).min(last);
        match key.code {
            KeyCode::Char('q') => return false,
            KeyCode::Char('?') | KeyCode::Char('h') => {
                (self.shows_help, self.scroll) = (!self.shows_help, 0);
            }
            KeyCode::Esc if self.shows_help => (self.shows_help, self.scroll) = (false, 0),
            KeyCode::Esc if self.is_detail_only => (self.is_detail_only, self.scroll) = (false, 0),
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char('/') => self.is_filtering = true,
            KeyCode::Enter | KeyCode::Char(' ') => {
                (self.is_detail_only, self.scroll) = (!self.is_detail_only, 0);
            }
            KeyCode::Down | KeyCode::Char('j') if reads => self.scroll = self.scroll.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') if reads => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::PageDown if reads => self.scroll = self.scroll.saturating_add(10),
            KeyCode::PageUp if reads => self.scroll = self.scroll.saturating_sub(10),
            KeyCode::Down | KeyCode::Char('j') => self.selected = move_by(self.selected, 1),
            KeyCode::Up | KeyCode::Char('k') => self.selected = move_by(self.selected, -1),
            KeyCode::PageDown => self.selected = move_by(self.selected, 10),
            KeyCode::PageUp => self.selected = move_by(self.selected, -10),
            KeyCode::Home | KeyCode::Char('g') => self.selected = 0,
            KeyCode::End | KeyCode::Char('G') => self.selected = last,
            _ => {}
        }
        true
    }

    fn edit_filter(&mut self, code: KeyCode, has_control: bool) {
        match code {
            KeyCode::Enter => self.is_filtering = false,
            KeyCode::Esc => (self.is_filtering, self.filter) = (false, String::new()),
            KeyCode::Char('u') if has_control => self.filter.clear(),
            KeyCode::Char('w') if has_control => {
                let kept = self.filter.trim_end().rfind(' ').map_or(0, |space| space + 1);
                self.filter.truncate(kept);
            }
            KeyCode::Backspace | KeyCode::Char('h') if has_control || code == KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(c) if !has_control => self.filter.push(c),
            _ => {}
        }
        self.selected = 0;
    }
}

impl Row {
    fn of(source: usize, answered: Answered, now: Instant) -> Row {
        let Answered { answer, from, .. } = answered;
        let rank = match answer.status {
            _ if answer.stopped => Rank::Stopped,
            Status::Ok => Rank::Ok,
            Status::Degraded => Rank::Degraded,
            Status::Fault => Rank::Fault,
        };
        let age = answer.since.as_deref().and_then(|since| elapsed(&answer.time, since));
        Row {
            key: (source, healthboard::printable(&answer.service)),
            name: String::new(),
            from: healthboard::printable(&from),
            rank,
            since: age.and_then(|age| now.checked_sub(age)),
            why: healthboard::printable(&answer.message),
            answer: Some(answer),
        }
    }

    fn unanswered(source: usize, unanswered: &Unanswered) -> Row {
        let (service, from) = match unanswered {
            Unanswered::Endpoint(uri, _) | Unanswered::Empty(uri) => (uri.to_string(), uri.to_string()),
            Unanswered::Service(uri, name, _) => (name.clone(), uri.to_string()),
            Unanswered::Boards(name, ..) => {
                let boards = "boards".to_owned();
                (name.clone().unwrap_or(boards.clone()), boards)
            }
        };
        Row {
            key: (source, healthboard::printable(&service)),
            name: String::new(),
            from,
            rank: Rank::Unknown,
            since: None,
            why: unanswered.to_string(),
            answer: None,
        }
    }
}
