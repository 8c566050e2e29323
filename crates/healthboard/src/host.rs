//! All services of this host, read from their boards.

mod listing;

use crate::history::read_history;
use crate::read::{Directory, Memory, Process};
use crate::scrub::printable;
use crate::verdict::{Change, History, Moment, Report, Status, judge};
use listing::{cannot_read, entries, has_board, is_trusted};
use rustix::fs::AtFlags;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The most services that are read. If there are more, the first that is left out is reported by name.
const MAX_SERVICES: usize = 1024;

/// Two readers may see the same change at times that differ by this much, in milliseconds.
const SAME_CHANGE_MS: u64 = 10_000;

/// The services of this host, read repeatedly at little cost.
///
/// Reading changes nothing and takes no lock. Unexpected files where boards are expected never keep the other services from
/// being reported.
pub struct Host {
    roots: Vec<PathBuf>,
    expected: Vec<String>,
    services: BTreeMap<String, Service>,
    /// Since when each service that is expected has been absent.
    absent: BTreeMap<String, Arc<History>>,
    /// The first service that is not read because there are more than [`MAX_SERVICES`].
    beyond: Option<String>,
    problems: BTreeSet<String>,
    /// Directories below a path that ends in `/*` that this user may not read.
    unreadable: BTreeSet<PathBuf>,
    /// Directories that could not be listed, or not as a whole.
    unlisted: BTreeSet<PathBuf>,
    /// Memory that reading reuses, and the processes of the service that is being read.
    memory: Memory,
    processes: Vec<Process>,
}

struct Service {
    directory: Directory,
    /// The history that the service's holder has written, with the changes in `seen`.
    history: Arc<History>,
    /// When the file with the history was last changed (seconds and nanoseconds), and its size.
    history_stamp: Option<(i64, u64, i64)>,
    /// Changes that were seen here and are not in the file, such as the death of all processes, and how many there were.
    seen: Vec<Change>,
    seen_count: u64,
    /// The newest change in the file when they were seen.
    newest_in_file: Option<Change>,
}

impl Host {
    /// The services with boards in these runtime directories. A path that ends in `/*` stands for every directory in its
    /// parent. `expected` are the names of services that must run.
    pub fn new(roots: Vec<PathBuf>, expected: Vec<String>) -> Host {
        Host {
            roots,
            expected,
            services: BTreeMap::new(),
            absent: BTreeMap::new(),
            beyond: None,
            problems: BTreeSet::new(),
            unreadable: BTreeSet::new(),
            unlisted: BTreeSet::new(),
            memory: Memory::default(),
            processes: Vec::new(),
        }
    }

    /// The runtime directories that services use by default: `/run/healthboard`, the directories that systemd makes for
    /// units, and those of this user.
    pub fn usual_roots() -> Vec<PathBuf> {
        let user = rustix::process::geteuid().as_raw();
        let session = std::env::var_os("XDG_RUNTIME_DIR").filter(|path| !path.is_empty());
        let own = PathBuf::from(format!("/tmp/healthboard-{user}"));
        let session = session.map(|path| Path::new(&path).join("healthboard"));
        [Some("/run/healthboard".into()), Some("/run/*".into()), session, Some(own)]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The report of every service, in the order of their names.
    ///
    /// A service of the same name in another runtime directory is called `NAME@DIRECTORY`. If the two belong to different
    /// users, the one without a directory in its name has the worse status of both. A service that is expected and has no
    /// board is `FAULT`. A service some of whose boards cannot be read is at least `DEGRADED`. `time` is for display only.
    /// Lists the runtime directories, and reads all boards.
    pub fn reports(&mut self, at: impl Into<Moment>, time: SystemTime) -> Vec<Report> {
        let at = at.into();
        self.problems.clear();
        self.unreadable.clear();
        self.unlisted.clear();
        self.find();
        let mut reports = Vec::with_capacity(self.services.len());
        for (name, service) in &mut self.services {
            let read = service.directory.read_by(&mut self.memory, &mut self.processes);
            self.problems.extend(service.directory.refused());
            let unread = match read {
                Ok(()) => service.directory.unread().map(str::to_owned),
                Err(error) => Some(format!("cannot read its boards: {error}")),
            };
            if self.processes.is_empty() && unread.is_none() {
                continue;
            }
            let mut report = judge(name, &self.processes, at, time);
            if let Some(why) = unread {
                let path = printable(&service.directory.path().display().to_string());
                self.problems.insert(format!("`{path}`: {why}"));
                degrade(&mut report, &why);
            }
            service.observe(&mut report);
            reports.push(report);
        }
        let is_reported =
            |reports: &[Report], name: &str| reports.iter().any(|report| report.service == name);
        if let Some(name) = self.beyond.as_ref().filter(|name| !is_reported(&reports, name)) {
            let mut report = judge(name, &[], at, time);
            degrade(&mut report, &format!("not read: found more than {MAX_SERVICES} services"));
            reports.push(report);
        }
        self.absent.retain(|name, _| !is_reported(&reports, name));
        for name in &self.expected {
            if !is_reported(&reports, name) {
                let mut report = absent(name, at, time);
                let hidden = self.unreadable.iter().find(|path| Host::is_named_for(path, name));
                // Where the service might be: a directory that was named, or one whose name fits.
                let is_likely = |path: &&PathBuf| {
                    let is_root = |root: &PathBuf| root == *path || root.parent() == Some(path.as_path());
                    self.roots.iter().any(is_root) || Host::is_named_for(path, name)
                };
                if let Some(path) = self.unlisted.iter().find(is_likely).or(hidden) {
                    report.status = Status::Degraded;
                    let path = printable(&path.display().to_string());
                    report.message = format!("not known: `{path}` cannot be read");
                }
                let history = self.absent.entry(name.clone()).or_default();
                History::observe(history, &report);
                report.history = history.clone();
                reports.push(report);
            }
        }
        reports.sort_by(|a, b| a.service.cmp(&b.service));
        self.distrust(&mut reports);
        reports
    }

    /// Where services of different users have the same name, nobody can hide what another one has.
    fn distrust(&self, reports: &mut [Report]) {
        let owner = |report: &Report| {
            let place = self.services.get(&report.service)?.directory.place()?;
            rustix::fs::fstat(place.fd()).ok().map(|stat| stat.st_uid)
        };
        // Without the directory that tells it from others of its name.
        let name = |report: &Report| {
            let name = self.services.get(&report.service)?.directory.path().file_name()?;
            name.to_str().filter(|name| *name != report.service).map(str::to_owned)
        };
        for index in 0..reports.len() {
            let Some(name) = name(&reports[index]) else { continue };
            let Some(plain) = reports.iter().position(|report| report.service == name) else { continue };
            let (other, named) = (&reports[index], &reports[plain]);
            if other.status > named.status && owner(other) != owner(named) {
                let (status, why) = (other.status, format!("{}: {}", other.service, other.message));
                let named = &mut reports[plain];
                let separator = if named.message.is_empty() { "" } else { "; " };
                named.message = format!("{why}{separator}{}", named.message);
                (named.status, named.stopped) = (status, false);
            }
        }
    }

    /// What could not be read in the last call of [`reports`](Host::reports). Each line says what was found and what was
    /// expected.
    pub fn problems(&self) -> &BTreeSet<String> {
        &self.problems
    }

    /// Whether there may be services that are not reported: in the last call of [`reports`](Host::reports) a directory could not
    /// be listed, or not as a whole.
    pub fn is_incomplete(&self) -> bool {
        !self.unlisted.is_empty()
    }

    /// The directories that the last call of [`reports`](Host::reports) skipped: this user may not read them, and nothing says
    /// that a service is there.
    pub fn unreadable(&self) -> &BTreeSet<PathBuf> {
        &self.unreadable
    }

    /// Whether a runtime directory is named for this service, such as `/run/nova` for `nova-api`.
    pub fn is_named_for(directory: &Path, service: &str) -> bool {
        let name = directory.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| !name.is_empty() && service.starts_with(name))
    }

    /// Finds new services, and forgets those without a directory. What could not be listed is not known to be gone.
    fn find(&mut self) {
        let mut places = Vec::new();
        for root in &self.roots {
            match (root.file_name().is_some_and(|name| name == "*"), root.parent()) {
                (true, Some(parent)) => match entries(parent, &mut self.problems) {
                    Ok(listed) => {
                        places.extend(listed.paths.into_iter().map(|it| (it, true)));
                        self.unlisted.extend((!listed.is_whole).then(|| parent.to_owned()));
                    }
                    Err(Errno::NOENT) => {}
                    Err(errno) => {
                        self.problems.insert(cannot_read(parent, errno));
                        self.unlisted.insert(parent.to_owned());
                    }
                },
                _ if is_trusted(root) => places.push((root.clone(), false)),
                _ => {
                    let path = printable(&root.display().to_string());
                    self.problems.insert(format!(
                        "`{path}` belongs to another user, in a directory that everybody may write to"
                    ));
                }
            }
        }
        let known: BTreeSet<&Path> = self.services.values().map(|service| service.directory.path()).collect();
        let mut paths = Vec::new();
        for (place, is_any) in places {
            // An explicitly named path may be the directory of a single service.
            if !is_any && (known.contains(&*place) || has_board(&place) == Ok(true)) {
                paths.push(place.clone());
            }
            let services = match entries(&place, &mut self.problems) {
                Ok(listed) => {
                    self.unlisted.extend((!listed.is_whole).then(|| place.clone()));
                    listed.paths
                }
                Err(Errno::ACCESS) if is_any => {
                    self.unreadable.insert(place);
                    continue;
                }
                Err(Errno::NOENT) if is_any || Host::usual_roots().contains(&place) => continue,
                Err(errno) => {
                    self.problems.insert(cannot_read(&place, errno));
                    if errno != Errno::NOENT {
                        self.unlisted.insert(place);
                    }
                    continue;
                }
            };
            paths.extend(services.into_iter().filter(|path| {
                let found = has_board(path);
                let is_hidden = found == Err(Errno::ACCESS);
                let is_wanted = !is_any || self.expected.iter().any(|name| path.ends_with(name));
                if is_hidden && !is_wanted && !known.contains(&**path) {
                    self.unreadable.insert(path.clone());
                }
                known.contains(&**path) || found == Ok(true) || is_hidden && is_wanted
            }));
        }
        let unlisted =
            |path: &Path| self.unlisted.iter().chain(&self.unreadable).any(|place| path.starts_with(place));
        paths.extend(known.iter().filter(|path| unlisted(path)).map(|path| path.to_path_buf()));
        // The directory that is named for the service, such as `nova` for `nova-api`, comes before others.
        paths.sort_by_key(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            !path.parent().is_some_and(|parent| Host::is_named_for(parent, name))
        });
        // A service that is known keeps its name.
        let mut found = Found::default();
        let present: BTreeSet<&OsStr> = paths.iter().map(|path| path.as_os_str()).collect();
        for (name, service) in &self.services {
            let path = service.directory.path();
            if present.contains(path.as_os_str()) {
                found.services.insert(name.clone(), path.to_owned());
                found.paths.insert(path.to_owned());
            }
        }
        let is_expected = |path: &Path| self.expected.iter().any(|name| path.ends_with(name));
        for path in paths.iter().filter(|path| !found.add(path, is_expected(path))) {
            let path = printable(&path.display().to_string());
            self.problems.insert(format!("`{path}` has boards, and a name that no service can have"));
        }
        self.beyond = found.beyond;
        let found = found.services;
        self.services
            .retain(|name, service| found.get(name).is_some_and(|path| path == service.directory.path()));
        for (name, path) in found {
            self.services.entry(name).or_insert_with(|| Service {
                directory: Directory::new(path),
                history: Arc::default(),
                history_stamp: None,
                seen: Vec::new(),
                seen_count: 0,
                newest_in_file: None,
            });
        }
    }
}

/// The directories of the services that were found, by the names of the services.
#[derive(Default)]
struct Found {
    services: BTreeMap<String, PathBuf>,
    paths: BTreeSet<PathBuf>,
    /// The first service beyond [`MAX_SERVICES`].
    beyond: Option<String>,
}

impl Found {
    /// Adds a directory, once. There is always room for a service that is expected. Returns false if its name is not that of a
    /// service.
    fn add(&mut self, path: &Path, is_expected: bool) -> bool {
        if !self.paths.insert(path.to_owned()) {
            return true;
        }
        // Other names are not valid for a service: see `Settings::new`.
        let is_name =
            |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+".contains(&byte));
        let part = |path: &Path| path.file_name()?.to_str().filter(is_name).map(str::to_owned);
        let Some(name) = part(path) else { return false };
        if self.services.len() >= MAX_SERVICES && !is_expected {
            self.beyond.get_or_insert(name);
            return true;
        }
        let directory = path.parent().and_then(part).unwrap_or_default();
        let names = (1..).map(|count| match count {
            1 => name.clone(),
            2 => format!("{name}@{directory}"),
            count => format!("{name}@{directory}-{count}"),
        });
        if let Some(name) = names.into_iter().find(|name| !self.services.contains_key(name)) {
            self.services.insert(name, path.to_owned());
        }
        true
    }
}

impl Service {
    /// Adds the recent changes to the report: those that the service's holder has written, and those that only a reader
    /// sees.
    fn observe(&mut self, report: &mut Report) {
        self.look_at_file();
        let count = self.history.count;
        History::observe(&mut self.history, report);
        if self.history.count > count {
            self.seen.extend(self.history.service.back().cloned());
            self.seen_count += 1;
            // Keeps no more than a history does.
            let beyond = self.seen.len().saturating_sub(self.history.service.len());
            self.seen.drain(..beyond);
        }
        report.history = self.history.clone();
    }

    fn look_at_file(&mut self) {
        let Some(place) = self.directory.place() else { return };
        let stamp = rustix::fs::statat(place.fd(), crate::history::FILE, AtFlags::SYMLINK_NOFOLLOW).ok();
        let stamp = stamp.map(|found| (found.st_mtime, found.st_mtime_nsec, found.st_size));
        if stamp.is_none() || stamp == self.history_stamp {
            return;
        }
        self.history_stamp = stamp;
        let file = read_history(place);
        // Drops the changes that the holder has seen as well.
        self.seen.retain(|seen| {
            let is_same = |other: &Change| {
                other.status == seen.status && other.at_ms.abs_diff(seen.at_ms) <= SAME_CHANGE_MS
            };
            let is_in_file = file.service.iter().any(is_same);
            self.seen_count -= u64::from(is_in_file);
            !is_in_file
        });
        let count = file.count.saturating_add(self.seen_count);
        let newest = file.service.back().cloned();
        self.history = Arc::new(History { count, ..file.with(&self.seen, self.newest_in_file.as_ref()) });
        self.newest_in_file = newest;
    }
}

/// Makes a report at least `DEGRADED`, with this reason.
fn degrade(report: &mut Report, why: &str) {
    report.status = report.status.max(Status::Degraded);
    let separator = if report.message.is_empty() { "" } else { "; " };
    report.message = format!("{}{separator}{why}", report.message);
}

fn absent(name: &str, at: Moment, time: SystemTime) -> Report {
    let message = "never started: no board of it was found".to_owned();
    Report { status: Status::Fault, message, ..judge(name, &[], at, time) }
}

#[cfg(test)]
mod tests;
