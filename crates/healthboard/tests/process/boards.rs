//! Damage to boards while their processes record and serve.

use crate::player::{Player, command, evidence, must_be_root, until};
use healthboard::{Directory, Failure, Life, now_ns};
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

fn cut(path: &Path) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
}

fn remove(path: &Path) {
    std::fs::remove_file(path).unwrap();
}

fn replace(path: &Path) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, vec![0; 33792]).unwrap();
}

fn fill(path: &Path) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(&[0xff; 33792], 0).unwrap();
}

/// Writes a goodbye to the board, as copying the board of a stopped process over it would.
fn fill_with_a_goodbye(path: &Path) {
    let words = 2_u64.to_ne_bytes().repeat(33792 / 8);
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(&words, 0).unwrap();
}

fn remove_all(path: &Path) {
    let runtime = path.parent().unwrap().parent().unwrap();
    // The keeper may put a new board there at the same time.
    until("no directory", || std::fs::remove_dir_all(runtime).ok());
}

/// Moves the directory elsewhere, complete, and puts another one at its path.
fn move_all(path: &Path) {
    let runtime = path.parent().unwrap().parent().unwrap();
    let aside = runtime.with_extension("aside");
    std::fs::rename(runtime, &aside).unwrap();
    // The keeper may make the directory first.
    let _ = std::fs::create_dir(runtime);
    std::fs::rename(&aside, runtime.join("aside")).unwrap();
}

#[test]
fn the_host_lives_when_its_board_is_cut_short_removed_replaced_or_filled() {
    let kept = [
        (remove as fn(&Path), true),
        (replace, true),
        (remove_all, true),
        (move_all, true),
        (cut, false),
        (fill, false),
        (fill_with_a_goodbye, false),
    ];
    for (damage, keeps_evidence) in kept {
        let mut player = Player::start("loses");
        player.line();
        damage(&player.board_path());
        player.go_on();
        let notice = player.line();
        assert!(notice.contains("removed, replaced or overwritten; made a new one"), "{notice}");
        let alive: Vec<_> = player.processes().into_iter().filter(|p| p.life == Life::Alive).collect();
        let [process] = &alive[..] else { panic!("{alive:?}") };
        assert_eq!(player.processes().len(), 1, "no board is left behind");
        let database = evidence(process, "database");
        assert_eq!(database.failures, 1000 + u32::from(keeps_evidence), "the recorded evidence is copied");
        assert_eq!(database.in_flight, u32::from(keeps_evidence));
        player.go_on();
        player.line();
        let alive = player.processes().into_iter().find(|p| p.life == Life::Alive).unwrap();
        assert_eq!(evidence(&alive, "database").in_flight, 0);
        player.go_on();
        assert!(player.child.wait().unwrap().success());
    }
}

#[test]
fn the_host_lives_while_its_boards_are_repeatedly_cut_short() {
    let mut player = Player::start("is-cut-all-the-time");
    player.line();
    let directory = player.runtime.path().join("role");
    let cutter = std::thread::spawn({
        let directory = directory.clone();
        move || {
            let mut cuts = 0;
            let begin = std::time::Instant::now();
            while begin.elapsed() < Duration::from_millis(2500) {
                for entry in std::fs::read_dir(&directory).unwrap().flatten() {
                    if let Ok(file) = OpenOptions::new().write(true).open(entry.path()) {
                        cuts += u32::from(file.set_len(0).is_ok());
                    }
                }
            }
            cuts
        }
    });
    assert!(cutter.join().unwrap() > 10);
    assert_eq!(player.line(), "lives");
    until("a board", || player.processes().iter().any(|p| p.life == Life::Alive).then_some(()));
    player.go_on();
    assert!(player.child.wait().unwrap().success());
}

#[test]
fn without_disk_space_for_the_board_the_service_runs_and_its_log_says_why() {
    let mut player = Player::start("no-room");
    let line = player.line();
    assert!(
        line.contains("cannot write a board in") && line.contains("only this process is served"),
        "{line}"
    );
    assert!(player.child.wait().unwrap().success());
    assert_eq!(player.processes(), []);
}

#[test]
fn a_repeated_error_is_logged_once() {
    let mut player = Player::start("no-room-later");
    player.line();
    remove(&player.board_path());
    player.go_on();
    let (no_room, times) = player.line().rsplit_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    assert!(no_room.contains("cannot write a board in") && times == "1", "{no_room}, {times} times");
    must_be_root();
    let line = Player::start("changes-user").line();
    assert!(line.contains("cannot look at a board in") && line.ends_with(" 1"), "{line}");
}

#[test]
fn indicators_without_room_are_named_and_do_no_harm() {
    let mut player = Player::start("exhausts");
    let mut boards = player.boards();
    until("all slots", || {
        // While slots come into use, a reader sees those that are whole.
        let processes = boards.read().unwrap();
        assert_eq!(boards.refused(), [""; 0]);
        processes.first().is_some_and(|p| p.indicators.len() == 32).then_some(())
    });
    let line = player.line();
    assert!(line.contains("indicator `thing-30` records nothing: a board has room for 31"), "{line}");
    let process = player.process();
    assert_eq!(process.indicators.len(), 32);
    assert_eq!((process.refused, process.refused_name.as_deref()), (8, Some("thing-30")));
    let report = player.report();
    assert_eq!((report.refused, report.refused_name.as_deref()), (8, Some("thing-30")));
}

#[test]
fn a_changed_name_is_logged_and_a_valid_one_kept() {
    let mut player = Player::start("names");
    let said = player.line();
    for changed in [
        "indicator `before start` is recorded as `before_start`",
        "indicator `` is recorded as `_`",
        "`two words` is recorded as `two_words`",
        "is recorded as `a_b`",
    ] {
        assert!(said.contains(changed), "{said}");
    }
    let process = player.process();
    let names: Vec<&str> = process.indicators.iter().map(|indicator| &*indicator.name).collect();
    let long = "x".repeat(64);
    let hex = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"];
    let class = "Http2ConnectionTerminatedError";
    assert_eq!(
        names,
        ["progress", "before_start", "database", "_", "two_words", "a_b", &long, hex[0], hex[1], class]
    );
    assert_eq!(evidence(&process, hex[0]).error.unwrap().class, class);
}

#[test]
fn sixty_four_processes_start_at_once() {
    let runtime = tempfile::tempdir().unwrap();
    let mut children: Vec<Child> =
        (0..64).map(|_| command("records", runtime.path()).spawn().unwrap()).collect();
    let mut boards = Directory::new(runtime.path().join("role"));
    until("64 boards", || (boards.read().ok()?.len() == 64).then_some(()));
    assert_eq!(boards.refused(), [""; 0]);
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn files_of_creators_killed_at_any_step_are_swept() {
    let runtime = tempfile::tempdir().unwrap();
    let mut boards = Directory::new(runtime.path().join("role"));
    for i in 0..60 {
        let mut child = command("records", runtime.path()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(i * 150));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(boards.read().unwrap().iter().all(|p| p.life == Life::Dead));
        assert_eq!(boards.refused(), [""; 0], "no half-made board is ever seen");
    }
    boards.sweep(now_ns() + 301_000_000_000);
    let left = std::fs::read_dir(runtime.path().join("role")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[test]
fn a_writer_stopped_or_killed_during_a_write_leaves_a_whole_text() {
    let mut player = Player::start("fails");
    player.line();
    let mut boards = player.boards();
    let mut read = || evidence(&boards.read().unwrap()[0], "database");
    until("a failure", || (read().failures > 0).then_some(()));
    let whole = |error: &Option<Box<Failure>>| {
        let text = &error.as_ref().unwrap().text;
        ["odd ", "even "].iter().any(|word| text == word.repeat(30).trim_end())
    };
    for _ in 0..300 {
        player.signal(libc::SIGSTOP);
        until("its stop", || player.state().contains(") T ").then_some(()));
        let (first, again) = (read(), read());
        assert!(whole(&first.error), "{:?}", first.error);
        assert_eq!(first.error, again.error);
        player.signal(libc::SIGCONT);
    }
    // A busy writer does not keep a reader waiting: each read is one copy, torn or not.
    for _ in 0..10_000 {
        let error = read().error;
        assert!(error.is_none() || whole(&error), "{error:?}");
    }
    player.signal(libc::SIGKILL);
    player.child.wait().unwrap();
    assert!(whole(&read().error));
}
