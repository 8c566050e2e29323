//! What a process can ask about itself: the report of its service, the evidence of its indicators.

use crate::board::layout::{Board, word};
use crate::board::page::Page;
use crate::board::place::Place;
use crate::board::sync::Ordering::Relaxed;
use crate::history::read_history;
use crate::process::{DEFAULT, Handle, Keeper};
use crate::read::{Directory, Evidence, Process, own_evidence, own_process};
use crate::record::Indicator;
use crate::verdict::{History, Moment, Report, judge};
use std::time::SystemTime;

impl Handle {
    /// The report that a probe would get now, from the boards of all processes of the service. Opens and reads their files.
    /// If that fails, or if there is no directory, it covers only this process's own board. Has no history; see
    /// [`history`](Handle::history).
    pub fn report(&self) -> Report {
        let board = self.service.anchor.page().and_then(Page::board);
        let attached = self.service.attached();
        let directory = attached.map(|attached| attached.directory());
        let read = match (&directory, board) {
            (Some(Ok(path)), Some(board)) => Directory::in_boot(boot_id(board), path).read().ok(),
            // A service that was made for a test has neither a directory nor a reason for having none.
            (Some(Err(why)), _) if !why.is_empty() => None,
            _ => Some(Vec::new()),
        };
        let others_unseen = read.is_none();
        let mut processes: Vec<Process> = read.unwrap_or_default();
        let own = board.and_then(own_process);
        processes.extend(own.filter(|own| !processes.iter().any(|process| process.id == own.id)));
        let resumed_ns = attached.map_or(0, |attached| attached.resumed_ns.load(Relaxed));
        let moment = Moment { now_ns: self.service.anchor.now_ns(), resumed_ns };
        let mut report = judge(self.name(), &processes, moment, SystemTime::now());
        report.processes.others_unseen = others_unseen;
        report
    }

    /// The recent changes of the service and its indicators, as the holder has recorded them. Reads a file. Empty if there
    /// is no directory of boards.
    pub fn history(&self) -> History {
        let directory = self.service.attached().and_then(|attached| attached.directory().ok());
        let place = directory.and_then(|directory| Place::open(&directory).ok());
        place.as_ref().map(read_history).unwrap_or_default()
    }
}

/// The report of the default service: see [`Handle::report`]. Makes the board of this process if it has none. `None` if that
/// is impossible because health is not started or is off.
pub fn report() -> Option<Report> {
    DEFAULT.attach().map(|_| Handle { service: &DEFAULT }.report())
}

impl Keeper {
    /// The id of this process's board: [`Process::id`].
    pub fn process_id(&self) -> u64 {
        self.board.header[word::ID].load(Relaxed)
    }

    /// This process's board, read from its own memory.
    pub fn process(&self) -> Option<Process> {
        own_process(self.board)
    }
}

fn boot_id(board: &Board) -> [u64; 2] {
    [0, 1].map(|half| board.header[word::BOOT_ID + half].load(Relaxed))
}

impl Indicator {
    /// The number of failures in a row in this process; zero if nothing was recorded.
    pub fn failures(self) -> u32 {
        self.evidence().map_or(0, |evidence| evidence.failures)
    }

    /// The evidence of this process, without the text of a failure.
    pub(crate) fn evidence(self) -> Option<Evidence> {
        self.own_slot().map(own_evidence)
    }
}
