//! What a process can ask of itself: the report of its service, the evidence of its indicators.

use crate::board::layout::word;
use crate::board::page::Page;
use crate::board::sync::Ordering::Relaxed;
use crate::process::{Handle, Keeper};
use crate::read::{Directory, Evidence, Process, own_evidence, own_process};
use crate::record::Indicator;
use crate::verdict::{Report, judge};
use std::time::SystemTime;

impl Handle {
    /// What a probe would be answered now, from the boards of all processes of the service. Reads them from the disk; where that
    /// cannot be done, it is what this process knows itself.
    pub fn report(&self) -> Report {
        let directory = self.service.attached().and_then(|attached| attached.directory().ok());
        let read = directory.and_then(|path| Directory::new(path).read().ok());
        let mut processes: Vec<Process> = read.unwrap_or_default();
        let own = self.service.anchor.page().and_then(Page::board).and_then(own_process);
        processes.extend(own.filter(|own| !processes.iter().any(|process| process.id == own.id)));
        judge(self.name(), &processes, self.service.anchor.now_ns(), SystemTime::now())
    }
}

impl Keeper {
    /// The number that no other process has: [`Process::id`].
    pub fn process_id(&self) -> u64 {
        self.board.header[word::ID].load(Relaxed)
    }

    /// What this process says, read from its own memory.
    pub fn process(&self) -> Option<Process> {
        own_process(self.board)
    }
}

impl Indicator {
    /// Failures in this process since its newest success; zero also while nothing was recorded.
    pub fn failures(self) -> u32 {
        self.evidence().map_or(0, |evidence| evidence.failures)
    }

    /// What this process has recorded, without the text of a failure.
    pub(crate) fn evidence(self) -> Option<Evidence> {
        self.own_slot().map(own_evidence)
    }
}
