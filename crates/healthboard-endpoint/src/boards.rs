//! The service as an endpoint needs it: where its reports come from and what its process has to say.
//!
//! The only place that knows how boards are kept and read.

use crate::options::HttpOptions;
use crate::pauses::Pauses;
use healthboard::{Directory, Keeper, Place, Process, Report, Status, Transition, Uri, judge, now_ns};
use std::io;
use std::time::SystemTime;

/// Every so many ticks the directory is swept.
const TICKS_PER_SWEEP: u32 = 10;

/// The boards of the service of one keeper.
pub(crate) struct Boards<'a> {
    keeper: &'a Keeper,
    options: &'a HttpOptions,
    directory: Option<Directory>,
    /// What the newest report was made of.
    processes: Vec<Process>,
    pauses: Pauses,
    refused: Vec<String>,
    ticks: u32,
    status: Status,
    /// Why nobody is answered, as it was said last.
    trouble: Option<io::ErrorKind>,
}

impl<'a> Boards<'a> {
    pub(crate) fn new(keeper: &'a Keeper, options: &'a HttpOptions) -> Boards<'a> {
        let directory = keeper.place().and_then(|place| place.try_clone().ok()).map(Directory::of);
        Boards {
            keeper,
            options,
            directory,
            processes: Vec::new(),
            pauses: Pauses::default(),
            refused: Vec::new(),
            ticks: 0,
            status: Status::Ok,
            trouble: None,
        }
    }

    /// The name that operators know the service by.
    pub(crate) fn service(&self) -> &'static str {
        self.keeper.settings().service()
    }

    /// Where the service is to be asked.
    pub(crate) fn uris(&self) -> &'static [Uri] {
        &self.keeper.settings().uris
    }

    /// How it is to be answered.
    pub(crate) fn options(&self) -> &'a HttpOptions {
        self.options
    }

    /// Where the processes of the service meet; `None` where this one is alone.
    pub(crate) fn place(&self) -> Option<&'a Place> {
        self.keeper.place()
    }

    /// To be asked about once a second: has the keeper look after its board. `false`: whoever serves or stands by is to return,
    /// since the boards are in another place now.
    pub(crate) fn look_after(&self) -> bool {
        self.keeper.look_after()
    }

    /// Has a line written to the service's log.
    pub(crate) fn say(&self, warning: bool, line: impl Into<String>) {
        self.keeper.say(warning, line);
    }

    /// Says why nobody is answered, once for each kind of trouble.
    pub(crate) fn cannot_serve(&mut self, error: &io::Error) {
        if self.trouble.replace(error.kind()) != Some(error.kind()) {
            self.say(true, format!("cannot serve: {error}; trying again each second"));
        }
    }

    /// Pauses of the host, as far as this process has seen them.
    pub(crate) fn pauses(&mut self) -> &mut Pauses {
        &mut self.pauses
    }

    /// To be called when it is known where the service listens, or why it does not.
    pub(crate) fn listening(&self, endpoints: Result<Vec<Uri>, String>) {
        self.keeper.listening(endpoints);
    }

    /// How the service is now.
    pub(crate) fn report(&mut self) -> Report {
        // An unreadable directory is no fault of the service, whose own board is at hand anyway.
        let processes = &mut self.processes;
        if self.directory.as_mut().is_none_or(|directory| directory.read_into(processes).is_err()) {
            processes.clear();
        }
        let own_id = self.keeper.process_id();
        if !processes.iter().any(|process| process.id == own_id) {
            processes.extend(self.keeper.process());
        }
        let at = self.pauses.at(now_ns());
        let mut report = judge(self.service(), &self.processes, at, SystemTime::now());
        report.processes.serving = Some(std::process::id());
        // This process has said goodbye, and nobody is left to serve.
        report.draining |= !self.processes.iter().any(|p| p.life.is_alive());
        report
    }

    /// What is to be done once a second while this process serves.
    pub(crate) fn tick(&mut self, report: &Report) {
        if report.status != self.status {
            let (time, message) = (report.time, report.message.clone());
            self.keeper.note(Transition { time, from: self.status, to: report.status, message });
            self.status = report.status;
        }
        if self.ticks.is_multiple_of(TICKS_PER_SWEEP) {
            self.sweep();
        }
        self.ticks = self.ticks.wrapping_add(1);
    }

    /// Removes the boards of those who died long ago, and says what cannot be read.
    fn sweep(&mut self) {
        let Some(directory) = &mut self.directory else { return };
        directory.sweep(now_ns());
        let refused = directory.refused();
        for new in refused.iter().filter(|line| !self.refused.contains(line)) {
            self.keeper.say(true, new.clone());
        }
        self.refused = refused;
    }
}
