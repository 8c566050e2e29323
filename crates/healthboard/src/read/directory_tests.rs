use super::*;
use crate::board::create::{self, Published};
use crate::board::descriptor;
use crate::board::layout::{Fixed, SIZE, phase, word};
use crate::config::Policy;
use crate::now_ns;
use crate::stacks::Stacks;
use std::fs::OpenOptions;
use std::os::unix::fs::symlink;
use std::sync::atomic::Ordering::Relaxed;
use tempfile::TempDir;

fn fixed(pid: u32, boot_id: [u64; 2]) -> Fixed {
    let service = "s".to_owned();
    let (started_ns, ttl_ns) = (now_ns(), 300_000_000_000);
    Fixed { service, boot_id, pid, pid_since: 1, started_ns, ttl_ns, id: create::nonce(), parent_id: 0 }
}

fn publish_in(directory: &Path, pid: u32, boot_id: [u64; 2]) -> Published {
    create::publish(&Place::open(directory).unwrap(), &fixed(pid, boot_id), None).unwrap()
}

fn publish(directory: &TempDir, pid: u32) -> Published {
    publish_in(directory.path(), pid, boot_id())
}

fn path_of(directory: &TempDir, board: &Published) -> PathBuf {
    directory.path().join(board.name())
}

fn lives(boards: &mut Directory) -> Vec<(u32, Life)> {
    let mut lives: Vec<_> = boards.read().unwrap().into_iter().map(|p| (p.pid, p.life)).collect();
    lives.sort_by_key(|(pid, _)| *pid);
    lives
}

#[test]
fn the_lock_and_not_the_pid_says_whether_a_process_lives() {
    let directory = tempfile::tempdir().unwrap();
    let mut boards = Directory::new(directory.path());
    assert_eq!(lives(&mut boards), []);
    // A process died, and another one has its pid now, as after the restart of a container.
    drop(publish(&directory, 42));
    let again = publish(&directory, 42);
    let mut lives_of_42: Vec<Life> = lives(&mut boards).into_iter().map(|(_, life)| life).collect();
    lives_of_42.sort_by_key(|life| *life == Life::Dead);
    assert_eq!(lives_of_42, [Life::Alive, Life::Dead]);
    again.board.header[word::PHASE].store(phase::GOODBYE, Relaxed);
    let mut lives_of_42: Vec<Life> = lives(&mut boards).into_iter().map(|(_, life)| life).collect();
    lives_of_42.sort_by_key(|life| *life == Life::Dead);
    assert_eq!(lives_of_42, [Life::Stopped, Life::Dead]);
}

#[test]
fn a_user_who_may_only_read_a_board_makes_no_dead_process_look_alive() {
    let directory = tempfile::tempdir().unwrap();
    let board = publish(&directory, 1);
    let path = path_of(&directory, &board);
    drop(board);
    // The locks that a member of the boards' group can take: flock(2), and a read lock.
    let held = File::open(&path).unwrap();
    held.lock().unwrap();
    let mut for_reading: libc::flock = libc::flock {
        l_type: libc::F_RDLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    use std::os::fd::AsRawFd;
    // SAFETY: a descriptor that is open and a valid structure.
    assert_eq!(unsafe { libc::fcntl(held.as_raw_fd(), libc::F_OFD_SETLK, &raw mut for_reading) }, 0);
    assert_eq!(lives(&mut Directory::new(directory.path())), [(1, Life::Dead)]);
}

#[test]
fn a_goodbye_is_known_until_the_next_sweep() {
    let directory = tempfile::tempdir().unwrap();
    let gone = publish(&directory, 3);
    gone.board.header[word::GOODBYE_NS].store(7, Relaxed);
    gone.board.header[word::PHASE].store(phase::GOODBYE, Relaxed);
    drop(gone);
    let mut boards = Directory::new(directory.path());
    let processes = boards.read().unwrap();
    assert_eq!((processes[0].life, processes[0].goodbye_ns), (Life::Stopped, 7));
    boards.sweep(now_ns());
    assert_eq!(lives(&mut boards), []);
}

#[test]
fn a_worker_that_was_told_to_end_is_known_for_as_long_as_its_master_drains() {
    let directory = tempfile::tempdir().unwrap();
    let worker = publish(&directory, 3);
    let ended_ns = now_ns();
    worker.board.header[word::PARENT_ID].store(77, Relaxed);
    let head: Vec<u64> =
        worker.board.header[..word::CHECKSUM].iter().map(|word| word.load(Relaxed)).collect();
    worker.board.header[word::CHECKSUM].store(crate::board::checksum(&head), Relaxed);
    worker.board.header[word::GOODBYE_NS].store(ended_ns, Relaxed);
    worker.board.header[word::PHASE].store(phase::GOODBYE, Relaxed);
    drop(worker);
    let mut boards = Directory::new(directory.path());
    boards.sweep(ended_ns + DRAINS_FOR_NS);
    assert_eq!(lives(&mut boards), [(3, Life::Stopped)]);
    boards.sweep(ended_ns + DRAINS_FOR_NS + 1);
    assert_eq!(lives(&mut boards), []);
}

/// Puts `count` indicators on a board.
fn describe(board: &Published, count: usize) {
    for (index, slot) in board.board.slots.iter().take(count).enumerate() {
        let words = descriptor::encode(&format!("indicator{index}"), &Policy::DEFAULT);
        slot.descriptor.iter().zip(words).for_each(|(word, value)| word.store(value, Relaxed));
    }
    board.board.header[word::USED].store(count as u64, Relaxed);
}

#[test]
fn a_board_is_read_to_its_end_after_its_number_of_indicators_changed() {
    let directory = tempfile::tempdir().unwrap();
    let board = publish(&directory, 1);
    let mut boards = Directory::new(directory.path());
    for count in [1, 2, USUAL_SLOTS, USUAL_SLOTS + 1, SLOTS, 3] {
        describe(&board, count);
        assert_eq!(boards.read().unwrap()[0].indicators.len(), count);
    }
}

#[test]
fn reading_into_an_old_result_leaves_nothing_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let gone = publish(&directory, 1);
    let stays = publish(&directory, 2);
    describe(&gone, 5);
    describe(&stays, 2);
    let mut boards = Directory::new(directory.path());
    let mut processes = boards.read().unwrap();
    processes.extend(processes.clone());
    gone.board.header[word::PHASE].store(phase::GOODBYE, Relaxed);
    drop(gone);
    boards.sweep(now_ns());
    boards.read_into(&mut processes).unwrap();
    assert_eq!(processes, Directory::new(directory.path()).read().unwrap());
    assert_eq!((processes.len(), processes[0].indicators.len()), (1, 2));
    directory.close().unwrap();
    boards.read_into(&mut processes).unwrap();
    assert_eq!(processes, []);
}

#[test]
fn a_board_that_could_not_be_read_is_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut boards = Directory::new(directory.path());
    boards.read().unwrap();
    let board = publish(&directory, 1);
    // The listing counts as up to date, so that only `Found::New` makes the reader open the file again.
    let pretend_unchanged = |boards: &mut Directory| {
        let found = rustix::fs::fstat(boards.place.as_ref().unwrap().fd()).unwrap();
        let changed = Duration::new(found.st_mtime as u64, found.st_mtime_nsec as u32);
        boards.listed = Some(SystemTime::UNIX_EPOCH + changed);
    };
    let (path, aside) = (path_of(&directory, &board), directory.path().join("aside"));
    boards.files.insert(board.name().to_owned(), Found::New);
    std::fs::rename(&path, &aside).unwrap();
    pretend_unchanged(&mut boards);
    assert_eq!(lives(&mut boards), []);
    assert_eq!(boards.refused(), [""; 0]);
    std::fs::rename(&aside, &path).unwrap();
    pretend_unchanged(&mut boards);
    assert_eq!(lives(&mut boards), [(1, Life::Alive)]);
}

#[test]
fn a_replaced_directory_is_followed_by_path_and_not_when_held() {
    let above = tempfile::tempdir().unwrap();
    let (path, aside) = (above.path().join("s"), above.path().join("aside"));
    std::fs::create_dir(&path).unwrap();
    let first = publish_in(&path, 1, boot_id());
    let mut followed = Directory::new(&path);
    let mut held = Directory::of(Place::open(&path).unwrap());
    assert_eq!((lives(&mut followed), lives(&mut held)), (vec![(1, Life::Alive)], vec![(1, Life::Alive)]));
    std::fs::rename(&path, &aside).unwrap();
    assert_eq!(lives(&mut followed), []);
    std::fs::create_dir(&path).unwrap();
    let _second = publish_in(&path, 2, boot_id());
    assert_eq!((lives(&mut followed), lives(&mut held)), (vec![(2, Life::Alive)], vec![(1, Life::Alive)]));
    // A link in its place is not followed.
    std::fs::remove_dir_all(&path).unwrap();
    symlink(&aside, &path).unwrap();
    assert!(followed.read().is_err());
    drop(first);
}

#[test]
fn boards_that_come_and_go_between_two_reads_are_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let mut boards = Directory::new(directory.path());
    let mut kept = Vec::new();
    for pid in 1..=50 {
        kept.push(publish(&directory, pid));
        assert_eq!(lives(&mut boards).len(), pid as usize);
    }
    std::fs::remove_file(path_of(&directory, &kept[0])).unwrap();
    assert_eq!(lives(&mut boards).len(), 49);
}

#[test]
fn a_board_from_before_a_reboot_is_skipped_and_swept() {
    let directory = tempfile::tempdir().unwrap();
    drop(publish_in(directory.path(), 1, [7, 7]));
    let mut boards = Directory::new(directory.path());
    assert_eq!(lives(&mut boards), []);
    boards.sweep(now_ns());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn sweeping_leaves_the_living_and_the_recently_dead() {
    let directory = tempfile::tempdir().unwrap();
    let _alive = publish(&directory, 1);
    drop(publish(&directory, 2));
    let gone = publish(&directory, 3);
    gone.board.header[word::PHASE].store(phase::GOODBYE, Relaxed);
    drop(gone);
    // The temporary file of a creator that was killed before it named its board.
    File::create(directory.path().join(".9-0.tmp")).unwrap();
    let at_work = File::create(directory.path().join(".10-0.tmp")).unwrap();
    assert!(lock::try_take(&at_work).unwrap());

    let mut boards = Directory::new(directory.path());
    boards.sweep(now_ns());
    assert_eq!(lives(&mut boards), [(1, Life::Alive), (2, Life::Dead)]);
    assert!(!directory.path().join(".9-0.tmp").exists());
    assert!(directory.path().join(".10-0.tmp").exists());
    boards.sweep(now_ns() + 301_000_000_000);
    assert_eq!(lives(&mut boards), [(1, Life::Alive)]);
}

#[test]
fn a_board_of_another_layout_is_named_and_stays_while_its_process_lives() {
    let directory = tempfile::tempdir().unwrap();
    let other = publish(&directory, 1);
    other.board.header[word::LAYOUT].store(99, Relaxed);
    let path = path_of(&directory, &other);
    let mut boards = Directory::new(directory.path());
    for _ in 0..2 {
        assert_eq!(lives(&mut boards), []);
        assert!(boards.unread().unwrap().contains("found layout version 99, this build reads 2"));
        boards.sweep(now_ns());
    }
    assert!(path.exists());
    // A process that has died is not forgotten before another one of its service runs, and sweeps.
    drop(other);
    assert_eq!(lives(&mut boards), []);
    assert!(boards.unread().is_some());
    boards.sweep(now_ns());
    assert!(!path.exists());
}

/// A version that changed any of this would take the boards of another one for something else, or its processes for dead.
#[test]
fn what_all_versions_know_of_a_board_never_changes() {
    use std::os::unix::fs::MetadataExt;
    let directory = tempfile::tempdir().unwrap();
    let path = path_of(&directory, &publish(&directory, 1));
    assert_eq!(path.extension().unwrap(), "board");
    let bytes = std::fs::read(&path).unwrap();
    let word = |number: usize| u64::from_ne_bytes(bytes[number * 8..][..8].try_into().unwrap());
    assert_eq!(word(0), 0x4845_414C_5448_4244);
    assert_eq!(word(1), 0x0102_0304_0506_0708);
    assert_eq!(word(2), crate::board::layout::LAYOUT);

    let board = publish(&directory, 2);
    let inode = format!(":{} ", path_of(&directory, &board).metadata().unwrap().ino());
    let locks = std::fs::read_to_string("/proc/locks").unwrap();
    let lock = locks.lines().find(|line| line.contains(&inode)).unwrap();
    assert!(lock.contains("OFDLCK ADVISORY  WRITE") && lock.ends_with(" 0 EOF"), "{lock}");
}

#[test]
fn boards_of_dead_processes_cost_no_descriptors() {
    let directory = tempfile::tempdir().unwrap();
    let mut boards = Directory::new(directory.path());
    let alive = publish(&directory, 1);
    (2..=300).for_each(|pid| drop(publish(&directory, pid)));
    let open_boards = || {
        let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let targets = entries.filter_map(|e| std::fs::read_link(e.path()).ok());
        let boards = targets.filter(|target| target.extension().is_some_and(|name| name == "board"));
        boards.filter(|target| target.starts_with(directory.path())).count()
    };
    let own = open_boards();
    for _ in 0..2 {
        assert_eq!(boards.read().unwrap().len(), 300);
        assert_eq!(open_boards(), own + 1);
    }
    drop(alive);
    assert!(boards.read().unwrap().iter().all(|p| p.life == Life::Dead));
}

#[test]
fn a_board_can_be_made_during_sweeps() {
    let directory = tempfile::tempdir().unwrap();
    let mut boards = Directory::new(directory.path());
    std::thread::scope(|scope| {
        let creator = scope.spawn(|| {
            for pid in 1..=3000 {
                let board = publish(&directory, pid);
                std::fs::remove_file(path_of(&directory, &board)).unwrap();
            }
        });
        while !creator.is_finished() {
            boards.sweep(now_ns());
        }
    });
}

#[test]
fn a_file_that_is_no_board_is_named_with_what_was_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    let good = publish(&directory, 1);
    File::create(path("empty.board")).unwrap();
    File::create(path("short.board")).unwrap().set_len(700).unwrap();
    std::fs::write(path("noise.board"), vec![0x55; SIZE]).unwrap();
    std::fs::create_dir(path("folder.board")).unwrap();
    symlink(path_of(&directory, &good), path("link.board")).unwrap();
    let fifo = std::ffi::CString::new(path("fifo.board").into_os_string().into_encoded_bytes()).unwrap();
    // SAFETY: a valid, terminated path.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
    let mut older = std::fs::read(path_of(&directory, &good)).unwrap();
    older[word::LAYOUT * 8] = 99;
    std::fs::write(path("newer.board"), older).unwrap();

    let mut boards = Directory::new(directory.path());
    assert_eq!(lives(&mut boards), [(1, Life::Alive)]);
    let refused = boards.refused().join("\n");
    for expected in [
        "empty.board`: found 0 bytes",
        "short.board`: found 700 bytes",
        "noise.board`: found magic 0x5555555555555555",
        "folder.board`: found a directory, expected a regular file",
        "link.board`: found a symbolic link, expected a regular file",
        "fifo.board`: found a special file, expected a regular file",
        "newer.board`: found layout version 99, this build reads 2",
    ] {
        assert!(refused.contains(expected), "{expected} is not in:\n{refused}");
    }
    assert_eq!(refused.lines().count(), 7, "{refused}");
}

#[test]
fn a_board_must_belong_to_root_or_the_owner_of_its_directory() {
    // SAFETY: geteuid has no preconditions.
    assert_eq!(unsafe { libc::geteuid() }, 0, "this test needs root");
    let directory = tempfile::tempdir().unwrap();
    let chown = |path: &Path, user| std::os::unix::fs::chown(path, Some(user), Some(user)).unwrap();
    let board = publish(&directory, 1);
    let mut boards = Directory::new(directory.path());
    chown(&path_of(&directory, &board), 65534);
    assert_eq!(lives(&mut boards), []);
    assert!(boards.refused()[0].contains("found owner uid 65534, expected 0"), "{:?}", boards.refused());
    chown(directory.path(), 65534);
    assert_eq!(lives(&mut Directory::new(directory.path())), [(1, Life::Alive)]);
}

#[test]
fn a_board_that_claims_more_slots_than_there_are_is_read_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let board = publish(&directory, 1);
    for used in [SLOTS as u64 + 1, u64::MAX / 1024, u64::MAX] {
        board.board.header[word::USED].store(used, Relaxed);
        assert_eq!(lives(&mut Directory::new(directory.path())), [(1, Life::Alive)]);
    }
}

#[test]
fn space_for_a_board_is_reserved_when_it_is_made() {
    // SAFETY: geteuid has no preconditions.
    assert_eq!(unsafe { libc::geteuid() }, 0, "this test needs root");
    let directory = tempfile::tempdir().unwrap();
    let place = std::ffi::CString::new(directory.path().as_os_str().as_encoded_bytes()).unwrap();
    let (kind, size) = (c"tmpfs".as_ptr(), c"size=64k".as_ptr().cast());
    // SAFETY: valid, terminated strings; the mount is this test's own.
    assert_eq!(unsafe { libc::mount(kind, place.as_ptr(), kind, 0, size) }, 0);
    let held = Place::open(directory.path()).unwrap();
    let first = create::publish(&held, &fixed(1, boot_id()), None);
    let second = create::publish(&held, &fixed(2, boot_id()), None).map(|_| ());
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    // SAFETY: as above.
    unsafe { libc::umount2(place.as_ptr(), libc::MNT_DETACH) };
    assert!(first.is_ok());
    let error = second.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(error.to_string().starts_with("cannot write a board in"), "{error}");
    assert_eq!(left, 1);
}

#[test]
fn a_file_cut_short_under_the_reader_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let board = publish(&directory, 1);
    let mut boards = Directory::new(directory.path());
    assert_eq!(lives(&mut boards).len(), 1);
    OpenOptions::new().write(true).open(path_of(&directory, &board)).unwrap().set_len(1024 + 10).unwrap();
    board.board.header[word::USED].store(3, Relaxed);
    let _ = lives(&mut boards);
    OpenOptions::new().write(true).open(path_of(&directory, &board)).unwrap().set_len(100).unwrap();
    assert_eq!(lives(&mut boards), []);
    assert!(boards.refused()[0].contains("found 100 bytes"), "{:?}", boards.refused());
}

/// Where the threads of the process of this board stand, as a file that somebody has put there.
fn stacks_of(board: &Published) -> String {
    board.name().replace(".board", ".stacks")
}

#[test]
fn stacks_are_read_beside_the_board_of_a_living_process_and_anew_when_they_are_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let (board, other) = (publish(&directory, 1), publish(&directory, 2));
    let place = Place::open(directory.path()).unwrap();
    let mut boards = Directory::new(directory.path());
    let mut taken = || {
        let mut processes = boards.read().unwrap();
        processes.sort_by_key(|process| process.pid);
        processes.iter().map(|p| p.stacks.as_ref().map(|s| s.taken_ns)).collect::<Vec<_>>()
    };
    assert_eq!(taken(), [None, None]);
    for taken_ns in [5, 6] {
        std::thread::sleep(RACY);
        place.write_whole(&stacks_of(&board), &Stacks::at(taken_ns).encode()).unwrap();
        assert_eq!(taken(), [Some(taken_ns), None]);
    }
    std::fs::write(directory.path().join(stacks_of(&other)), "noise").unwrap();
    assert_eq!(taken(), [Some(6), None]);
    place.remove(&stacks_of(&board));
    assert_eq!(taken(), [None, None]);
}

#[test]
fn stacks_are_never_read_through_a_link_nor_from_another_user() {
    // SAFETY: geteuid has no preconditions.
    assert_eq!(unsafe { libc::geteuid() }, 0, "this test needs root");
    let directory = tempfile::tempdir().unwrap();
    let (elsewhere, board) = (tempfile::tempdir().unwrap(), publish(&directory, 1));
    let (theirs, ours) = (elsewhere.path().join("stacks"), directory.path().join(stacks_of(&board)));
    let stacks = || Directory::new(directory.path()).read().unwrap().remove(0).stacks;
    std::fs::write(&theirs, Stacks::at(5).encode()).unwrap();
    symlink(&theirs, &ours).unwrap();
    assert_eq!(stacks(), None);
    // Nor is anything written through one.
    Place::open(directory.path()).unwrap().write_whole(&stacks_of(&board), b"new").unwrap();
    assert_eq!(
        (std::fs::read(&ours).unwrap(), std::fs::read(&theirs).unwrap()),
        (b"new".into(), Stacks::at(5).encode())
    );
    std::fs::write(&ours, Stacks::at(5).encode()).unwrap();
    assert!(stacks().is_some());
    std::os::unix::fs::chown(&ours, Some(65534), None).unwrap();
    assert_eq!(stacks(), None);
}

#[test]
fn stacks_are_swept_with_their_board() {
    let directory = tempfile::tempdir().unwrap();
    let (board, mut boards) = (publish(&directory, 1), Directory::new(directory.path()));
    let left = || std::fs::read_dir(directory.path()).unwrap().count();
    Place::open(directory.path()).unwrap().write_whole(&stacks_of(&board), b"any").unwrap();
    boards.sweep(now_ns());
    assert_eq!(left(), 2);
    board.board.header[word::PHASE].store(phase::GOODBYE, Relaxed);
    drop(board);
    boards.sweep(now_ns());
    boards.sweep(now_ns());
    assert_eq!(left(), 0);
}
