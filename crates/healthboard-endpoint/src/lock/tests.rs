use super::*;
use crate::frozen::{FROZEN_AFTER, HolderWatch};
use crate::testing::own_directory;
use std::fs;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

struct Place {
    directory: TempDir,
    open: fs::File,
}

impl Place {
    fn new() -> Place {
        let directory = own_directory();
        let open = fs::File::open(directory.path()).unwrap();
        Place { directory, open }
    }

    fn dir(&self) -> BorrowedFd<'_> {
        self.open.as_fd()
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join(FILE)
    }

    fn try_take(&self) -> Option<Lock> {
        Lock::try_take(self.dir()).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn beat(&self) -> Beat {
        Beat::read(self.dir()).unwrap()
    }
}

/// A version that changed any of this would listen beside another one.
#[test]
fn what_all_versions_know_of_the_lock_never_changes() {
    use std::os::unix::fs::MetadataExt;
    let place = Place::new();
    let _lock = place.try_take().unwrap();
    assert_eq!(place.names(), ["endpoint.lock"]);
    let inode = format!(":{} ", fs::metadata(place.file()).unwrap().ino());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let lock = locks.lines().find(|line| line.contains(&inode)).unwrap();
    assert!(lock.contains("FLOCK  ADVISORY  WRITE"), "{lock}");
}

#[test]
fn one_process_holds_the_lock_and_the_next_one_after_it() {
    let place = Place::new();
    let mut first = place.try_take().unwrap();
    assert!(place.try_take().is_none());
    assert!(first.is_held(place.dir()).unwrap());
    drop(first);
    place.try_take().unwrap();
    assert_eq!(place.names(), [FILE]);
}

#[test]
fn a_removed_lock_file_is_made_again() {
    let place = Place::new();
    let mut first = place.try_take().unwrap();
    fs::remove_file(place.file()).unwrap();
    assert!(first.is_held(place.dir()).unwrap());
    assert!(place.try_take().is_none());
    // Replaced by an empty file.
    fs::write(place.directory.path().join("other"), "").unwrap();
    fs::rename(place.directory.path().join("other"), place.file()).unwrap();
    assert!(first.is_held(place.dir()).unwrap());
    assert!(place.try_take().is_none());
}

#[test]
fn a_file_that_lost_the_name_before_it_was_locked_makes_no_holder() {
    let place = Place::new();
    let open = || open(place.dir(), OsStr::new(FILE)).unwrap();
    let file = open();
    fs::remove_file(place.file()).unwrap();
    assert!(Lock::try_hold(place.dir(), file).unwrap().is_none(), "removed");
    let file = open();
    fs::remove_file(place.file()).unwrap();
    let _next = place.try_take().unwrap();
    assert!(Lock::try_hold(place.dir(), file).unwrap().is_none(), "replaced");
}

#[test]
fn of_two_holders_after_the_file_was_removed_the_first_loses_the_lock() {
    let place = Place::new();
    let mut first = place.try_take().unwrap();
    fs::remove_file(place.file()).unwrap();
    let mut second = place.try_take().unwrap();
    assert!(!first.is_held(place.dir()).unwrap());
    assert!(second.is_held(place.dir()).unwrap());
}

#[test]
fn a_beat_is_visible_and_without_one_nothing_changes() {
    let place = Place::new();
    let lock = place.try_take().unwrap();
    let first = place.beat();
    assert_eq!(place.beat(), first);
    // The clock of the file system has ticks.
    let begin = std::time::Instant::now();
    while place.beat() == first {
        assert!(begin.elapsed() < crate::testing::HANG, "no beat");
        lock.beat().unwrap();
    }
}

#[test]
fn a_holder_that_has_just_started_with_an_old_beat_in_the_file_is_not_frozen() {
    let place = Place::new();
    let old = fs::File::create(place.file()).unwrap();
    old.set_modified(std::time::SystemTime::now() - Duration::from_secs(3600)).unwrap();
    // It has the lock, and has not set its first beat.
    let holder = Lock { file: old.into() };
    flock(&holder.file, FlockOperation::NonBlockingLockExclusive).unwrap();
    let mut watch = HolderWatch::default();
    let mut now = Duration::from_secs(1_000_000);
    for _ in 0..3 {
        assert_eq!(watch.observe(now.as_nanos() as u64, Some(place.beat())), None);
        now += Duration::from_secs(1);
    }
    holder.beat().unwrap();
    for _ in 0..3 {
        assert_eq!(watch.observe(now.as_nanos() as u64, Some(place.beat())), None);
        now += Duration::from_secs(1);
    }
}

#[test]
fn a_frozen_holder_is_replaced_and_notices_it() {
    let place = Place::new();
    let mut frozen = place.try_take().unwrap();
    let seen = place.beat();
    let mut next = Lock::take_from_frozen(place.dir(), seen).unwrap().unwrap();
    assert_ne!(place.beat(), seen);
    assert!(next.is_held(place.dir()).unwrap());
    assert!(!frozen.is_held(place.dir()).unwrap());
    drop(frozen);
    assert!(next.is_held(place.dir()).unwrap());
    assert!(place.try_take().is_none());
    assert_eq!(place.names(), [FILE]);
}

#[test]
fn of_many_standbys_that_replace_a_frozen_holder_at_once_one_holds_the_lock() {
    let place = Place::new();
    let _frozen = place.try_take().unwrap();
    let seen = place.beat();
    let barrier = std::sync::Barrier::new(8);
    let mut taken: Vec<Lock> = std::thread::scope(|scope| {
        let each: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    Lock::take_from_frozen(place.dir(), seen).unwrap()
                })
            })
            .collect();
        each.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(!taken.is_empty());
    let held = taken.iter_mut().map(|lock| lock.is_held(place.dir()).unwrap());
    assert_eq!(held.filter(|held| *held).count(), 1);
    assert_eq!(place.names(), [FILE]);
}

#[test]
fn a_holder_that_beats_again_is_not_replaced() {
    let place = Place::new();
    let mut holder = place.try_take().unwrap();
    let seen = place.beat();
    while place.beat() == seen {
        holder.beat().unwrap();
    }
    assert!(Lock::take_from_frozen(place.dir(), seen).unwrap().is_none());
    assert!(holder.is_held(place.dir()).unwrap());
    assert_eq!(place.names(), [FILE]);
}

#[test]
fn a_holder_frozen_without_its_file_is_replaced() {
    let place = Place::new();
    let _frozen = place.try_take().unwrap();
    fs::remove_file(place.file()).unwrap();
    assert_eq!(place.beat(), Beat::Missing);
    let mut watch = HolderWatch::default();
    let looks = (0..10).map(|second| watch.observe(second * 1_000_000_000, Some(place.beat())));
    let seen = looks.flatten().next().unwrap();
    assert!(FROZEN_AFTER < Duration::from_secs(10));
    assert!(Lock::take_from_frozen(place.dir(), seen).unwrap().is_some());
}

#[test]
fn anything_but_a_regular_file_is_refused_and_left_alone() {
    let place = Place::new();
    let error = || Lock::try_take(place.dir()).unwrap_err().to_string();
    let expected = "cannot open `endpoint.lock`: it is not a regular file; remove it";
    fs::create_dir(place.file()).unwrap();
    assert_eq!(error(), expected);
    fs::remove_dir(place.file()).unwrap();
    let target = place.directory.path().join("target");
    std::os::unix::fs::symlink(&target, place.file()).unwrap();
    assert_eq!(error(), expected);
    assert!(!target.exists(), "nothing was made through the link");
    fs::remove_file(place.file()).unwrap();
    rustix::fs::mknodat(place.dir(), FILE, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    assert_eq!(error(), expected);
}

#[test]
fn a_failed_check_is_an_error_and_does_not_lose_the_lock() {
    let place = Place::new();
    let mut holder = place.try_take().unwrap();
    let file = fs::File::open("/dev/null").unwrap();
    assert!(holder.is_held(file.as_fd()).is_err(), "not a directory");
    assert!(Beat::read(file.as_fd()).is_err());
    assert!(holder.is_held(place.dir()).unwrap());
}

#[test]
fn the_lock_is_not_inherited() {
    use rustix::io::{FdFlags, fcntl_getfd};
    let place = Place::new();
    let first = place.try_take().unwrap();
    assert!(fcntl_getfd(&first.file).unwrap().contains(FdFlags::CLOEXEC));
    let next = Lock::take_from_frozen(place.dir(), place.beat()).unwrap().unwrap();
    assert!(fcntl_getfd(&next.file).unwrap().contains(FdFlags::CLOEXEC));
}
