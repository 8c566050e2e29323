//! The service as an endpoint needs it: where its reports come from and what its process has to say.
//!
//! The only place that knows how boards are kept and read.

use crate::options::HttpOptions;
use crate::pauses::Pauses;
use healthboard::{Directory, Keeper, Life, Report, Uri, judge, now_ns};
use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;

/// Every so many ticks the directory is swept.
const TICKS_PER_SWEEP: u32 = 10;

/// The boards of the service of one keeper.
pub(crate) struct Boards {
    keeper: &'static Keeper,
    directory: Option<Directory>,
    pauses: Pauses,
    refused: Vec<String>,
    ticks: u32,
}

impl Boards {
    pub(crate) fn new(keeper: &'static Keeper) -> Boards {
        let directory = keeper.directory().map(Directory::new);
        Boards { keeper, directory, pauses: Pauses::default(), refused: Vec::new(), ticks: 0 }
    }

    /// The name that operators know the service by.
    pub(crate) fn service(&self) -> &'static str {
        &self.keeper.settings().service
    }

    /// Where the service is to be asked.
    pub(crate) fn uris(&self) -> &'static [Uri] {
        &self.keeper.settings().uris
    }

    /// How it is to be answered.
    pub(crate) fn options(&self) -> HttpOptions {
        let settings = self.keeper.settings();
        HttpOptions {
            fault_status_code: settings.fault_status_code,
            degraded_status_code: settings.degraded_status_code,
            cache_control: settings.cache_control(),
            socket_mode: settings.socket_mode,
            ..HttpOptions::default()
        }
    }

    /// Where the processes of the service meet; `None` where this one is alone.
    pub(crate) fn place(&self) -> Option<&'static Path> {
        self.keeper.directory()
    }

    /// Whether this keeper is still the one of its process.
    pub(crate) fn is_current(&self) -> bool {
        self.keeper.is_current()
    }

    /// Has a line written to the service's log.
    pub(crate) fn say(&self, warning: bool, line: impl Into<String>) {
        self.keeper.say(warning, line);
    }

    /// Pauses of the host, as far as this process has seen them.
    pub(crate) fn pauses(&mut self) -> &mut Pauses {
        &mut self.pauses
    }

    /// To be called when an endpoint listens; `address` is where, on TCP.
    #[allow(clippy::unused_self, reason = "the place where whoever started the service will be told")]
    pub(crate) fn listening(&self, _uri: &Uri, _address: Option<SocketAddr>) {}

    /// How the service is now.
    pub(crate) fn report(&mut self) -> Report {
        let pid = std::process::id();
        // An unreadable directory is no fault of the service, whose own board is at hand anyway.
        let mut processes = self.directory.as_mut().and_then(|d| d.read().ok()).unwrap_or_default();
        // Not what an earlier process of this pid has left.
        if !processes.iter().any(|p| p.pid == pid && p.life != Life::Dead) {
            processes.extend(self.keeper.process());
        }
        let at = self.pauses.at(now_ns());
        let mut report = judge(self.service(), &processes, at, SystemTime::now());
        report.processes.serving = Some(pid);
        // This process has said goodbye, and nobody is left to serve.
        report.draining |= processes.iter().all(|p| p.life == Life::Dead);
        report
    }

    /// What is to be done once a second while this process serves.
    pub(crate) fn tick(&mut self) {
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
