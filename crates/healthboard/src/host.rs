//! All services of this host, read from their boards.

use crate::history::read_history;
use crate::read::{Directory, Memory, Process};
use crate::scrub::printable;
use crate::verdict::{Change, History, Moment, Report, Status, judge};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The most services that are read. If there are more, the first that is left out is reported by name.
const MAX_SERVICES: usize = 1024;

/// The most entries of a directory that are examined when searching for services or for a board.
const MAX_ENTRIES: usize = 1 << 16;

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
    /// A service of the same name in another runtime directory is called `NAME@DIRECTORY`. A service that is expected and
    /// has no board is `FAULT`. A service some of whose boards cannot be read is at least `DEGRADED`. `time` is for display
    /// only. Lists the runtime directories, and reads all boards.
    pub fn reports(&mut self, at: impl Into<Moment>, time: SystemTime) -> Vec<Report> {
        let at = at.into();
        self.problems.clear();
        self.unreadable.clear();
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
                let history = self.absent.entry(name.clone()).or_default();
                History::observe(history, &report);
                report.history = history.clone();
                reports.push(report);
            }
        }
        reports.sort_by(|a, b| a.service.cmp(&b.service));
        reports
    }

    /// What could not be read in the last call of [`reports`](Host::reports). Each line says what was found and what was
    /// expected.
    pub fn problems(&self) -> &BTreeSet<String> {
        &self.problems
    }

    /// The directories that the last call of [`reports`](Host::reports) skipped: this user may not read them, and nothing says
    /// that a service is there.
    pub fn unreadable(&self) -> &BTreeSet<PathBuf> {
        &self.unreadable
    }

    /// Finds new services, and forgets those without a directory.
    fn find(&mut self) {
        let mut places = Vec::new();
        for root in &self.roots {
            match (root.file_name().is_some_and(|name| name == "*"), root.parent()) {
                (true, Some(parent)) => places.extend(
                    entries(parent, &mut self.problems).unwrap_or_default().into_iter().map(|it| (it, true)),
                ),
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
                Ok(services) => services,
                Err(errno) if is_any => {
                    if errno == Errno::ACCESS {
                        self.unreadable.insert(place);
                    }
                    continue;
                }
                Err(Errno::NOENT) if Host::usual_roots().contains(&place) => continue,
                Err(errno) => {
                    let path = printable(&place.display().to_string());
                    self.problems.insert(format!("cannot read `{path}`: {}", io::Error::from(errno)));
                    continue;
                }
            };
            paths.extend(services.into_iter().filter(|path| {
                let found = has_board(path);
                let is_hidden = found == Err(Errno::ACCESS);
                let is_wanted = !is_any || self.expected.iter().any(|name| path.ends_with(name));
                if is_hidden && !is_wanted {
                    self.unreadable.insert(path.clone());
                }
                known.contains(&**path) || found == Ok(true) || is_hidden && is_wanted
            }));
        }
        // Services that must run take precedence if there are too many.
        paths.sort_by_key(|path| !self.expected.iter().any(|name| path.ends_with(name)));
        let mut found = Found::default();
        paths.iter().for_each(|path| found.add(path));
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
    fn add(&mut self, path: &Path) {
        if !self.paths.insert(path.to_owned()) {
            return;
        }
        // Other names are not valid for a service: see `Settings::new`.
        let is_name =
            |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+".contains(&byte));
        let part = |path: &Path| path.file_name()?.to_str().filter(is_name).map(str::to_owned);
        let Some(name) = part(path) else { return };
        if self.services.len() >= MAX_SERVICES {
            self.beyond.get_or_insert(name);
            return;
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
        self.history = Arc::new(History { count, ..file.with(&self.seen) });
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

/// The subdirectories of a directory, without following links, in the order of their names. If everybody may create entries
/// there, only those of this user and of root count.
fn entries(path: &Path, problems: &mut BTreeSet<String>) -> Result<Vec<PathBuf>, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    let is_open = is_open_to_all(&rustix::fs::fstat(&directory)?);
    let mut found = Vec::new();
    for (number, entry) in rustix::fs::Dir::read_from(&directory)?.enumerate() {
        let Ok(entry) = entry else { break };
        if number >= MAX_ENTRIES {
            let path = printable(&path.display().to_string());
            problems.insert(format!(
                "found more than {MAX_ENTRIES} entries in `{path}`: the others are not read"
            ));
            break;
        }
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name.starts_with('.') || !matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory && (!is_open || is_own(&stat)) {
            found.push(path.join(name));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether a directory belongs to this user or root, or lies where not everybody may create entries.
fn is_trusted(path: &Path) -> bool {
    let Ok(stat) = rustix::fs::stat(path) else { return true };
    let parent = path.parent().and_then(|parent| rustix::fs::stat(parent).ok());
    !parent.is_some_and(|parent| is_open_to_all(&parent)) || is_own(&stat)
}

fn is_open_to_all(stat: &Stat) -> bool {
    stat.st_mode & 0o002 != 0
}

fn is_own(stat: &Stat) -> bool {
    stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw()
}

/// Whether the directory may contain a board: a file with the name of one that belongs to the owner of the directory or to
/// root.
fn has_board(path: &Path) -> Result<bool, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    let owner = rustix::fs::fstat(&directory)?.st_uid;
    let is_board = |name: &CStr| {
        name.to_bytes().ends_with(b".board")
            && rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
                let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                is_file && (stat.st_uid == owner || stat.st_uid == 0)
            })
    };
    let entries = rustix::fs::Dir::read_from(&directory)?.take(MAX_ENTRIES);
    Ok(entries.flatten().any(|entry| is_board(entry.file_name())))
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
            std::fs::write(service.join(format!("{number}-x\n.board")), bytes).unwrap();
        }
        std::os::unix::fs::symlink("/etc", root.path().join("link")).unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        let mut host = Host::new(vec![root.path().to_owned(), "/nonexistent".into()], Vec::new());
        let why = "found more than 1024 boards".to_owned();
        let expected = [("nova-api".to_owned(), Status::Degraded, why)];
        assert_eq!(reports(&mut host), expected);
        assert_eq!(host.problems().len(), 1024 + 2);
        assert!(host.problems().iter().all(|problem| !problem.contains('\n')));
        assert!(
            host.problems().contains("cannot read `/nonexistent`: No such file or directory (os error 2)")
        );
        assert_eq!(reports(&mut host), expected);
        assert_eq!(host.problems().len(), 1024 + 2, "the same ones again");
        std::fs::remove_dir_all(&service).unwrap();
        assert_eq!(reports(&mut host), []);
        assert_eq!(host.problems().len(), 1);
    }

    /// A service that is kept by the returned handle.
    fn start(name: &str, root: &Path) -> crate::Handle {
        let builder = crate::Service::builder(name).runtime_dir(root).option("uri", "board");
        let handle = builder.start_with(|keeper| keeper.listening(Ok(Vec::new()))).unwrap();
        handle.attach();
        handle.tick();
        handle
    }

    #[test]
    fn what_others_put_beside_a_service_does_not_hide_it() {
        let root = tempfile::tempdir().unwrap();
        std::fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let _service = start("host-beside", root.path());
        std::fs::write(root.path().join("x.board"), "").unwrap();
        std::fs::create_dir(root.path().join("y.board")).unwrap();
        (0..1100).for_each(|number| std::fs::create_dir(root.path().join(format!("aa{number}"))).unwrap());
        (0..4200).for_each(|number| std::fs::write(root.path().join(format!("x{number}")), "").unwrap());
        let mut host = Host::new(vec![root.path().to_owned()], Vec::new());
        let is_ok =
            |(name, status, _): &(String, Status, String)| name == "host-beside" && *status == Status::Ok;
        assert!(reports(&mut host).iter().any(is_ok));
        assert_eq!(host.problems().len(), 2, "{:?}", host.problems());
    }

    #[test]
    fn where_everybody_may_write_only_services_of_this_user_and_of_root_count() {
        let root = tempfile::tempdir().unwrap();
        let _service = start("host-own", root.path());
        let foreign = root.path().join("foreign");
        std::fs::create_dir(&foreign).unwrap();
        std::fs::write(foreign.join("1.board"), "").unwrap();
        if std::os::unix::fs::chown(&foreign, Some(65534), None).is_err() {
            // Only root can make the foreign one.
            return;
        }
        let names = |host: &mut Host| host.reports(now_ns(), SystemTime::now()).len();
        let mut host = Host::new(vec![root.path().join("*"), root.path().to_owned()], Vec::new());
        std::fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
        assert_eq!(names(&mut host), 1);
        assert!(host.problems().is_empty(), "{:?}", host.problems());
        let mut host = Host::new(vec![foreign], Vec::new());
        assert_eq!(names(&mut host), 0);
        assert!(host.problems().iter().any(|problem| problem.contains("belongs to another user")));
    }

    #[test]
    fn a_history_of_any_content_is_no_harm_and_what_only_a_reader_sees_is_counted_once() {
        let root = tempfile::tempdir().unwrap();
        let service = start("host-history", root.path());
        let database = service.indicator(
            "database",
            crate::Policy { impact: crate::Impact::Critical, ..crate::Policy::DEFAULT },
        );
        let file = root.path().join("host-history/history.json");
        let write = |history: &History| std::fs::write(&file, serde_json::to_vec(history).unwrap()).unwrap();
        let mut host = Host::new(vec![root.path().to_owned()], Vec::new());
        let history = |host: &mut Host| host.reports(now_ns(), SystemTime::now())[0].history.clone();
        database.record_ok();
        assert_eq!(history(&mut host).count, 0);
        database.record_fail(&crate::Failure::new("Gone"));
        let seen = history(&mut host);
        assert_eq!((seen.count, seen.service.len()), (1, 1), "seen before the holder has written it");
        let mut written = History { count: 7, ..History::clone(&seen) };
        write(&written);
        let read = history(&mut host);
        assert_eq!((read.count, read.service.len()), (7, 1), "the holder has seen the same");
        database.record_ok();
        assert_eq!(history(&mut host).count, 8);
        // Later than anything that was seen.
        written.service.push_back(Change { at_ms: u64::MAX, ..written.service[0].clone() });
        written.count = u64::MAX;
        write(&written);
        assert_eq!(history(&mut host).count, u64::MAX);
        database.record_ok();
        assert_eq!(history(&mut host).count, u64::MAX);
    }
}
