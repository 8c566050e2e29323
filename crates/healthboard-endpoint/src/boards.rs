//! The service as an endpoint sees it: its reports, the notices of its process, and its service manager.
//!
//! No other module of this crate depends on how boards are kept and read.

use crate::options::HttpOptions;
use crate::pauses::Pauses;
use crate::systemd::Systemd;
use healthboard::{
    Directory, History, Keeper, Life, Moment, Place, Process, Report, Status, Transition, Uri, judge, now_ns,
    read_history, write_history,
};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The directory is swept once every this many ticks.
const TICKS_PER_SWEEP: u32 = 10;

/// The boards of the service of one keeper.
pub(crate) struct Boards<'a> {
    keeper: &'a Keeper,
    options: &'a HttpOptions,
    directory: Option<Directory>,
    /// The processes of the newest report; their memory is reused.
    processes: Vec<Process>,
    pauses: Pauses,
    systemd: Option<Systemd>,
    refused: Vec<String>,
    ticks: u32,
    history: Arc<History>,
    /// Whether the newest history is in its file.
    is_history_kept: bool,
    /// The kind of the error that was logged last.
    last_error: Option<io::ErrorKind>,
}

impl<'a> Boards<'a> {
    pub(crate) fn new(keeper: &'a Keeper, options: &'a HttpOptions, systemd: Option<&Systemd>) -> Boards<'a> {
        let directory = keeper.place().and_then(|place| place.try_clone().ok()).map(Directory::of);
        Boards {
            keeper,
            options,
            directory,
            processes: Vec::new(),
            pauses: Pauses::default(),
            systemd: systemd.cloned(),
            refused: Vec::new(),
            ticks: 0,
            history: Arc::default(),
            is_history_kept: true,
            last_error: None,
        }
    }

    /// The name by which operators know the service.
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

    /// Call this about once a second. The keeper checks its board. If it returns `false`, the caller must return, since the
    /// boards are in another directory now.
    pub(crate) fn look_after(&mut self) -> bool {
        if let Some(systemd) = &mut self.systemd {
            systemd.announce(self.keeper.take_announcements());
        }
        self.keeper.trace();
        self.keeper.look_after()
    }

    /// Call this when this process begins to serve. It continues the history of the previous holder.
    pub(crate) fn take_over_history(&mut self) -> &History {
        if let Some(place) = self.keeper.place() {
            self.history = Arc::new(read_history(place));
        }
        &self.history
    }

    /// Leaves a notice for the service's log.
    pub(crate) fn say(&self, warning: bool, line: impl Into<String>) {
        self.keeper.say(warning, line);
    }

    /// Leaves a notice about a change of the status from `from` to that of the report.
    pub(crate) fn say_change(&self, warning: bool, text: String, from: Status, report: &Report) {
        let (time, to, message) = (report.time, report.status, report.message.clone());
        self.keeper.say_change(warning, text, Transition { time, from, to, message });
    }

    /// Logs why no probe is answered, once for each kind of error.
    pub(crate) fn cannot_serve(&mut self, error: &io::Error) {
        if self.last_error.replace(error.kind()) != Some(error.kind()) {
            self.say(true, format!("cannot serve: {error}; trying again each second"));
        }
    }

    /// The current moment. Call this at least once a second, since it detects pauses of the host.
    pub(crate) fn moment(&mut self) -> Moment {
        let moment = self.pauses.at(now_ns());
        self.keeper.resumed(moment.resumed_ns);
        moment
    }

    /// Sets the endpoints on which the service listens, or the reason why there are none.
    pub(crate) fn listening(&self, endpoints: Result<Vec<Uri>, String>) {
        self.keeper.listening(endpoints);
    }

    /// Makes a report. Reads all boards.
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
        // No process is alive: all have said goodbye, including this one.
        report.draining |= !self.processes.iter().any(|p| p.life.is_alive());
        report.history = self.history.clone();
        report
    }

    /// Call this once a second while this process serves.
    pub(crate) fn tick(&mut self, report: &Report) {
        self.keep_history(report);
        let is_ending = |main| {
            let mut main = self.processes.iter().filter(|process| process.pid == main);
            main.any(|process| matches!(process.life, Life::Draining | Life::Stopped))
        };
        if let Some(systemd) = &mut self.systemd {
            let is_ending = systemd.main().is_some_and(is_ending);
            systemd.tell(now_ns(), std::process::id(), report, is_ending);
        }
        if self.ticks.is_multiple_of(TICKS_PER_SWEEP) {
            self.sweep();
        }
        self.ticks = self.ticks.wrapping_add(1);
    }

    /// Adds what has changed to the history, and writes the file. If that fails, the next tick tries again.
    fn keep_history(&mut self, report: &Report) {
        if self.history.logged != self.history.count && !self.keeper.has_notices() {
            // This tick's change, if any, is not among them.
            let history = Arc::make_mut(&mut self.history);
            (history.logged, self.is_history_kept) = (history.count, false);
        }
        if History::observe(&mut self.history, report) {
            self.is_history_kept = false;
        }
        if !self.is_history_kept {
            let kept = self.keeper.place().map(|place| write_history(place, &self.history));
            self.is_history_kept = kept.is_none_or(|kept| kept.is_ok());
        }
    }

    /// Pets the service manager's watchdog while the service progresses. Returns how soon to call again.
    pub(crate) fn pet(&mut self) -> Option<Duration> {
        let mut systemd = self.systemd.take()?;
        let again = systemd.pet(now_ns(), || self.report());
        self.systemd = Some(systemd);
        again
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
