//! All services of this host, by their boards.

use crate::board::place::Place;
use crate::history::read_history;
use crate::read::{Directory, Process};
use crate::verdict::{History, Moment, Report, Status, judge};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The most services; what is beyond is named among the [`problems`](Host::problems).
const MAX_SERVICES: usize = 1024;

/// The most entries of a directory that are looked at for services, or for a board.
const MAX_ENTRIES: usize = 4096;

/// The services of this host, read repeatedly at little cost.
///
/// Reading changes nothing and takes no lock. Whatever is found where boards are expected, the rest is reported.
pub struct Host {
    roots: Vec<PathBuf>,
    expected: Vec<String>,
    services: BTreeMap<String, Service>,
    problems: BTreeSet<String>,
    /// Into which all boards are read.
    buffer: Vec<u8>,
}

struct Service {
    directory: Directory,
    processes: Vec<Process>,
    history: Arc<History>,
    /// When the file with the history was changed, and its size.
    history_stamp: Option<(i64, u64, i64)>,
}

impl Host {
    /// The services with boards in these runtime directories. A last part `*` stands for every directory there. `expected`
    /// are the names of services that must run.
    pub fn new(roots: Vec<PathBuf>, expected: Vec<String>) -> Host {
        Host { roots, expected, services: BTreeMap::new(), problems: BTreeSet::new(), buffer: Vec::new() }
    }

    /// Where services keep their boards unless they are told otherwise: `/run/healthboard`, the directories that systemd makes
    /// for units, and those of this user.
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
    /// A service of the same name in a further runtime directory is called `NAME@DIRECTORY`. One that is expected and has no board
    /// is a `FAULT`. `time` is for display only.
    pub fn reports(&mut self, at: impl Into<Moment>, time: SystemTime) -> Vec<Report> {
        let at = at.into();
        self.problems.clear();
        self.find();
        let mut reports = Vec::with_capacity(self.services.len());
        for (name, service) in &mut self.services {
            if let Err(error) = service.directory.read_by(&mut self.buffer, &mut service.processes) {
                let path = service.directory.path().display();
                self.problems.insert(format!("cannot read the boards in `{path}`: {error}"));
                continue;
            }
            self.problems.extend(service.directory.refused());
            if service.processes.is_empty() {
                continue;
            }
            let mut report = judge(name, &service.processes, at, time);
            service.look_at_history();
            History::observe(&mut service.history, &report);
            report.history = service.history.clone();
            reports.push(report);
        }
        for name in &self.expected {
            if !reports.iter().any(|report| report.service == *name) {
                reports.push(absent(name, at, time));
            }
        }
        reports.sort_by(|a, b| a.service.cmp(&b.service));
        reports
    }

    /// What could not be read at the last call of [`reports`](Host::reports), each with what was found and what was expected.
    pub fn problems(&self) -> &BTreeSet<String> {
        &self.problems
    }

    /// Finds new services, and forgets those without a directory.
    fn find(&mut self) {
        let mut found = Found::default();
        for root in &self.roots {
            let is_every = root.file_name().is_some_and(|name| name == "*");
            let places = match (is_every, root.parent()) {
                (true, Some(parent)) => subdirectories(parent).unwrap_or_default(),
                _ => vec![root.clone()],
            };
            for place in places {
                // The directory of one service.
                if !is_every && has_board(&place) {
                    found.add(&place);
                    continue;
                }
                // Of what nobody has named, only directories with boards are services.
                let services = match subdirectories(&place) {
                    Ok(services) => services,
                    Err(ErrorKind::NotFound) => continue,
                    Err(_) if is_every => continue,
                    Err(kind) => {
                        self.problems.insert(format!("cannot read `{}`: {kind}", place.display()));
                        continue;
                    }
                };
                for path in services {
                    if !is_every || has_board(&path) {
                        found.add(&path);
                    }
                }
            }
        }
        self.problems.extend(found.beyond.map(|path| {
            format!("found more than {MAX_SERVICES} services; `{}` is the first one left out", path.display())
        }));
        let found = found.services;
        self.services
            .retain(|name, service| found.get(name).is_some_and(|path| path == service.directory.path()));
        for (name, path) in found {
            self.services.entry(name).or_insert_with(|| Service {
                directory: Directory::new(path),
                processes: Vec::new(),
                history: Arc::default(),
                history_stamp: None,
            });
        }
    }
}

/// The directories of services that were found, by the names of the services.
#[derive(Default)]
struct Found {
    services: BTreeMap<String, PathBuf>,
    paths: BTreeSet<PathBuf>,
    /// The first one for which there was no room.
    beyond: Option<PathBuf>,
}

impl Found {
    fn add(&mut self, path: &Path) {
        if !self.paths.insert(path.to_owned()) {
            return;
        }
        if self.services.len() >= MAX_SERVICES {
            self.beyond.get_or_insert_with(|| path.to_owned());
            return;
        }
        // No service has another name: see `Settings::new`.
        let is_name =
            |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+".contains(&byte));
        let part = |path: &Path| path.file_name()?.to_str().filter(is_name).map(str::to_owned);
        let Some(name) = part(path) else { return };
        let directory = path.parent().and_then(part).unwrap_or_default();
        let names = (1..).map(|count| match count {
            1 => name.clone(),
            2 => format!("{name}@{directory}"),
            count => format!("{name}@{directory}-{count}"),
        });
        if let Some(name) = names.into_iter().find(|name| !self.services.contains_key(name)) {
            self.services.insert(name, path.to_owned());
        }
    }
}

impl Service {
    /// Takes over what the service's holder has seen, if there is news.
    fn look_at_history(&mut self) {
        let Some(place) = self.directory.place() else { return };
        let stamp = rustix::fs::statat(place.fd(), crate::history::FILE, AtFlags::SYMLINK_NOFOLLOW).ok();
        let stamp = stamp.map(|found| (found.st_mtime, found.st_mtime_nsec, found.st_size));
        if stamp.is_some() && stamp != self.history_stamp {
            self.history_stamp = stamp;
            let count = self.history.count;
            let mut history = read_history(place);
            // A counter does not go back while the file is behind what was seen here.
            history.count = history.count.max(count);
            self.history = Arc::new(history);
        }
    }
}

fn absent(name: &str, at: Moment, time: SystemTime) -> Report {
    let message = "never started: no board of it was found".to_owned();
    Report { status: Status::Fault, message, ..judge(name, &[], at, time) }
}

/// The directories in a directory, not through links, in the order of their names.
fn subdirectories(path: &Path) -> Result<Vec<PathBuf>, ErrorKind> {
    let kind = |errno: rustix::io::Errno| std::io::Error::from(errno).kind();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(kind)?;
    let mut found = Vec::new();
    for entry in rustix::fs::Dir::read_from(&directory).map_err(kind)?.take(MAX_ENTRIES) {
        let Ok(entry) = entry else { break };
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let is_directory = match entry.file_type() {
            FileType::Directory => true,
            FileType::Unknown => {
                let stat = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW);
                stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
            }
            _ => false,
        };
        if is_directory {
            found.push(path.join(name));
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn has_board(path: &Path) -> bool {
    let Ok(place) = Place::open(path) else { return false };
    let Ok(entries) = rustix::fs::Dir::read_from(place.fd()) else { return false };
    entries.take(MAX_ENTRIES).flatten().any(|entry| entry.file_name().to_bytes().ends_with(b".board"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::now_ns;

    fn reports(host: &mut Host) -> Vec<(String, Status, String)> {
        let reports = host.reports(now_ns(), SystemTime::now());
        reports.into_iter().map(|report| (report.service, report.status, report.message)).collect()
    }

    #[test]
    fn what_is_expected_and_has_no_board_was_never_started() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("nova-api")).unwrap();
        let mut host = Host::new(vec![root.path().to_owned()], vec!["nova-compute".to_owned()]);
        let expected =
            ("nova-compute".to_owned(), Status::Fault, "never started: no board of it was found".to_owned());
        assert_eq!(reports(&mut host), [expected]);
        assert!(host.problems().is_empty(), "{:?}", host.problems());
    }

    #[test]
    fn whatever_lies_where_boards_are_expected_is_named_once_and_harms_nobody() {
        let root = tempfile::tempdir().unwrap();
        let service = root.path().join("nova-api");
        std::fs::create_dir(&service).unwrap();
        for number in 0..2000 {
            let bytes: Vec<u8> = (0..number % 3000).map(|byte| (byte * number) as u8).collect();
            std::fs::write(service.join(format!("{number}-x.board")), bytes).unwrap();
        }
        std::os::unix::fs::symlink("/etc", root.path().join("link")).unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        let mut host = Host::new(vec![root.path().to_owned(), "/nonexistent".into()], Vec::new());
        assert_eq!(reports(&mut host), []);
        assert_eq!(host.problems().len(), 2000);
        assert_eq!(reports(&mut host), []);
        assert_eq!(host.problems().len(), 2000, "the same ones again");
        std::fs::remove_dir_all(&service).unwrap();
        assert_eq!(reports(&mut host), []);
        assert!(host.problems().is_empty());
    }
}
