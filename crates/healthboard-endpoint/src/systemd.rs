//! The messages to systemd about a service, as described in sd_notify(3).
//!
//! systemd passes its settings in the environment of the service. They are read at the start, since oslo.service removes
//! `NOTIFY_SOCKET` later. Each process sends messages about itself (that it is ready, that it reloads), and the holder sends
//! those about the service (status, start, end, watchdog). If the holder is not the main process, which may be a master that
//! runs no code of this crate, the unit needs `NotifyAccess=all`.
//!
//! A service is ready when its program says so, through [`ready`](healthboard::ready) or by itself. That health has started
//! does not mean that the service works.

mod manager;
#[cfg(test)]
mod testing;
mod watchdog;

use healthboard::{Announcement, PROGRESS, Report, Status};
use manager::Manager;
use rustix::time::{ClockId, clock_gettime};
use std::collections::VecDeque;
use std::time::Duration;
use watchdog::{Watchdog, number};

/// The shortest time after which a changed text of the same status is sent, by the main process and by another holder.
/// systemd logs every message that it does not accept, and it may accept only those of the main process. So another holder
/// sends it less often.
const MAIN_TEXT_INTERVAL: Duration = Duration::from_millis(900);
const OTHER_TEXT_INTERVAL: Duration = Duration::from_secs(60);

/// The most bytes of a status. systemd takes messages of 4096 bytes.
const MAX_STATUS_BYTES: usize = 1000;

/// The most announcements that are kept while the manager does not read. If there are more, the oldest are dropped.
const MAX_PENDING: usize = 8;

/// By how much a start is extended each second. systemd extends its watchdog by the same time.
const EXTENSION: Duration = Duration::from_secs(5);

/// A start that takes longer than this is no longer extended, since the program may never say that it is ready.
const LONGEST_START: Duration = Duration::from_secs(600);

/// The service manager of a service.
#[derive(Clone)]
pub(crate) struct Systemd {
    manager: Manager,
    watchdog: Option<Watchdog>,
    /// The pid of the process that systemd has started.
    main: Option<u32>,
    /// The announcements that have not been sent yet.
    pending: VecDeque<Announcement>,
    is_ready: bool,
    is_stopping: bool,
    /// When this process first sent it a message about the service.
    since_ns: Option<u64>,
    said: Option<Said>,
}

/// The newest `STATUS=`.
#[derive(Clone)]
struct Said {
    status: Status,
    text: String,
    at_ns: u64,
}

impl Systemd {
    /// `None` if the service has no manager. Also returns a message for each refused variable, for the service's log.
    ///
    /// Call this at the start, in a thread of the host, with its environment.
    pub(crate) fn from_env(
        variable: impl Fn(&str) -> Option<String>,
        pid: u32,
        is_ancestor: impl Fn(u32) -> bool,
    ) -> (Option<Systemd>, Vec<String>) {
        let Some(socket) = variable("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
            return (None, Vec::new());
        };
        let manager = match Manager::at(&socket) {
            Ok(manager) => manager,
            Err(refused) => return (None, vec![refused]),
        };
        let (watchdog, refused) = match Watchdog::from_env(&variable, pid, is_ancestor) {
            Ok(watchdog) => (watchdog, Vec::new()),
            Err(refused) => (None, vec![refused]),
        };
        let main = variable("SYSTEMD_EXEC_PID").or_else(|| variable("WATCHDOG_PID"));
        let main = main.and_then(|main| u32::try_from(number(&main)?).ok());
        let systemd = Systemd {
            manager,
            watchdog,
            main,
            pending: VecDeque::new(),
            is_ready: false,
            is_stopping: false,
            since_ns: None,
            said: None,
        };
        (Some(systemd), refused)
    }

    /// The pid of the process that systemd has started, if known. systemd passes it since version 248.
    pub(crate) fn main(&self) -> Option<u32> {
        self.main
    }

    /// Passes on what this process announces about itself. A message that systemd does not take now is sent again by the
    /// next call.
    pub(crate) fn announce(&mut self, new: Vec<Announcement>) {
        self.is_ready |= new.contains(&Announcement::Ready);
        self.pending.extend(new);
        self.pending.drain(..self.pending.len().saturating_sub(MAX_PENDING));
        while let Some(announcement) = self.pending.front() {
            let message = match announcement {
                Announcement::Ready => "READY=1".to_owned(),
                Announcement::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()),
            };
            if self.manager.tell(&message).is_err() {
                return;
            }
            self.pending.pop_front();
        }
    }

    /// Passes on the state of the service. Call this about once a second while this process is the holder. `is_ending` says
    /// whether the main process drains or has said goodbye.
    pub(crate) fn tell(&mut self, now_ns: u64, pid: u32, report: &Report, is_ending: bool) {
        let is_main = self.main == Some(pid);
        let since_ns = *self.since_ns.get_or_insert(now_ns);
        let mut lines = Vec::new();
        let status = self.changed_status(now_ns, report, is_main);
        if let Some(said) = &status {
            lines.push(format!("STATUS={}", said.text));
        }
        // Only the main process extends the start: if it has forked the holder, it has already got past it.
        let starts = is_main && !self.is_ready && now_ns.saturating_sub(since_ns) < nanos(LONGEST_START);
        // Processes that have died are no fault of this start: it may be the one that succeeds.
        let hangs = report.details.values().any(|detail| detail.status == Status::Fault);
        if starts && !hangs && !report.draining {
            lines.push(format!("EXTEND_TIMEOUT_USEC={}", EXTENSION.as_micros()));
        }
        let stops = report.draining && is_ending && !self.is_stopping;
        if stops {
            lines.push("STOPPING=1".to_owned());
        }
        if !lines.is_empty() && self.manager.tell(&lines.join("\n")).is_ok() {
            self.is_stopping |= stops;
            self.said = status.or_else(|| self.said.take());
        }
    }

    /// The status, if it must be sent again.
    fn changed_status(&self, now_ns: u64, report: &Report, is_main: bool) -> Option<Said> {
        let text = one_line(report);
        let interval = if is_main { MAIN_TEXT_INTERVAL } else { OTHER_TEXT_INTERVAL };
        let is_due = self.said.as_ref().is_none_or(|said| {
            said.status != report.status
                || said.text != text && now_ns.saturating_sub(said.at_ns) >= nanos(interval)
        });
        is_due.then_some(Said { status: report.status, text, at_ns: now_ns })
    }

    /// Pets the watchdog, if it is due and the service progresses. Returns how soon to call again.
    pub(crate) fn pet(&mut self, now_ns: u64, report: impl FnOnce() -> Report) -> Option<Duration> {
        let watchdog = self.watchdog.as_mut()?;
        if watchdog.is_due(now_ns) {
            let progress = report().details.get(PROGRESS).map_or(Status::Ok, |progress| progress.status);
            watchdog.pet(&self.manager, now_ns, progress);
        }
        Some(watchdog.interval())
    }
}

/// The verdict as one line of text.
fn one_line(report: &Report) -> String {
    let name = report.status.name();
    let mut text =
        if report.message.is_empty() { name.to_owned() } else { format!("{name}: {}", report.message) };
    if text.len() > MAX_STATUS_BYTES {
        text.truncate(text.floor_char_boundary(MAX_STATUS_BYTES));
        text.push('…');
    }
    text.replace(char::is_control, " ")
}

/// `CLOCK_MONOTONIC` in microseconds. systemd compares it with the time at which it requested a reload.
fn monotonic_usec() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
