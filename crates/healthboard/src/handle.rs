//! What a process can ask about itself: the report of its service, the evidence of its indicators.

use crate::board::layout::word;
use crate::board::page::Page;
use crate::board::sync::Ordering::Relaxed;
use crate::process::{Handle, Keeper};
use crate::read::{Directory, Evidence, Process, own_evidence, own_process};
use crate::record::Indicator;
use crate::verdict::{Report, judge};
use std::time::SystemTime;

impl Handle {
    /// The report that a probe would get now, from the boards of all processes of the service. Reads their files;
    /// if that fails, or without a directory, only this process's own board.
    pub fn report(&self) -> Report {
        let directory = self.service.attached().map(|attached| attached.directory());
        let read = match &directory {
            Some(Ok(path)) => Directory::new(path).read().ok(),
            // A test's service has no directory, and no reason why.
            Some(Err(why)) if !why.is_empty() => None,
            _ => Some(Vec::new()),
        };
        let others_unseen = read.is_none();
        let mut processes: Vec<Process> = read.unwrap_or_default();
        let own = self.service.anchor.page().and_then(Page::board).and_then(own_process);
        processes.extend(own.filter(|own| !processes.iter().any(|process| process.id == own.id)));
        let mut report = judge(self.name(), &processes, self.service.anchor.now_ns(), SystemTime::now());
        report.processes.others_unseen = others_unseen;
        report
    }
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

impl Indicator {
    /// Failures in a row in this process; zero if nothing was recorded.
    pub fn failures(self) -> u32 {
        self.evidence().map_or(0, |evidence| evidence.failures)
    }

    /// The evidence of this process, without the text of a failure.
    pub(crate) fn evidence(self) -> Option<Evidence> {
        self.own_slot().map(own_evidence)
    }
}
