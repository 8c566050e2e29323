//! The service as an endpoint needs it: its reports, and the notices of its process.
//!
//! Only this module knows how boards are kept and read.

use crate::changes::Line;
use crate::options::HttpOptions;
use crate::pauses::Pauses;
use healthboard::{
    Directory, Keeper, Moment, Place, Process, Report, Status, Transition, Uri, judge, now_ns,
};
use std::io;
use std::time::SystemTime;

/// The directory is swept once in this many ticks.
const TICKS_PER_SWEEP: u32 = 10;

/// The boards of the service of one keeper.
pub(crate) struct Boards<'a> {
    keeper: &'a Keeper,
    options: &'a HttpOptions,
    directory: Option<Directory>,
    /// The processes of the newest report; their memory is reused.
    processes: Vec<Process>,
    pauses: Pauses,
    refused: Vec<String>,
    ticks: u32,
    status: Status,
    /// The kind of the error that was logged last.
    last_error: Option<io::ErrorKind>,
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
            last_error: None,
        }
    }

    /// The name that operators know the service by.
    pub(crate) fn service(&self) -> &'static str {
        self.keeper.settings().service()
    }

    /// The endpoints of the service.
    pub(crate) fn uris(&self) -> &'static [Uri] {
        &self.keeper.settings().uris
    }

    /// The options for answers.
    pub(crate) fn options(&self) -> &'a HttpOptions {
        self.options
    }

    /// The service's directory; `None` if only this process is served.
    pub(crate) fn place(&self) -> Option<&'a Place> {
        self.keeper.place()
    }

    /// Call this about once a second: the keeper checks its board. `false`: the caller must return, since the boards
    /// are in another directory now.
    pub(crate) fn look_after(&self) -> bool {
        self.keeper.trace();
        self.keeper.look_after()
    }

    /// Leaves a notice for the service's log.
    pub(crate) fn say(&self, warning: bool, line: impl Into<String>) {
        self.keeper.say(warning, line);
    }

    /// Leaves a line about a change of the status.
    pub(crate) fn say_change(&self, line: Line, report: &Report) {
        let Line { warning, text, previous: from } = line;
        let (time, to, message) = (report.time, report.status, report.message.clone());
        self.keeper.say_change(warning, text, Transition { time, from, to, message });
    }

    /// Logs why no probe is answered, once for each kind of error.
    pub(crate) fn cannot_serve(&mut self, error: &io::Error) {
        if self.last_error.replace(error.kind()) != Some(error.kind()) {
            self.say(true, format!("cannot serve: {error}; trying again each second"));
        }
    }

    /// This moment. Call it about once a second: it looks for pauses of the host.
    pub(crate) fn moment(&mut self) -> Moment {
        let moment = self.pauses.at(now_ns());
        self.keeper.resumed(moment.resumed_ns);
        moment
    }

    /// Sets the endpoints that the service listens on, or why there are none.
    pub(crate) fn listening(&self, endpoints: Result<Vec<Uri>, String>) {
        self.keeper.listening(endpoints);
    }

    /// Makes a report.
    pub(crate) fn report(&mut self) -> Report {
        // An unreadable directory is no fault of the service. This process's own board can still be read.
        let processes = &mut self.processes;
        let others_unseen =
            self.directory.as_mut().is_none_or(|directory| directory.read_into(processes).is_err());
        if others_unseen {
            processes.clear();
        }
        let own_id = self.keeper.process_id();
        if !processes.iter().any(|process| process.id == own_id) {
            processes.extend(self.keeper.process());
        }
        let moment = self.moment();
        let mut report = judge(self.service(), &self.processes, moment, SystemTime::now());
        report.processes.serving = Some(std::process::id());
        report.processes.others_unseen = others_unseen;
        // All processes have said goodbye, this one too.
        report.draining |= !self.processes.iter().any(|p| p.life.is_alive());
        report
    }

    /// Call this once a second while this process serves.
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

    /// Removes unneeded boards, and reports files that are not boards.
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
