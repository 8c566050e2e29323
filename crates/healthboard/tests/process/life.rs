//! Which processes are alive, dead or stopped, as readers see it.

use crate::player::{Player, command, must_be_root, until};
use healthboard::{Life, Status};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_process_is_alive_until_it_is_killed_and_dead_at_once() {
    for signal in [libc::SIGKILL, libc::SIGSEGV] {
        let mut player = Player::start("records");
        player.line();
        let process = player.process();
        assert_eq!((process.pid, process.life), (player.child.id(), Life::Alive));
        until("its death", || {
            // Rust's own handler resets itself at the first SIGSEGV that is sent by another process.
            player.signal(signal);
            player.child.try_wait().unwrap()
        });
        assert_eq!(player.process().life, Life::Dead);
        // For every reader, and for any length of time.
        let later = healthboard::now_ns() + 3_600_000_000_000;
        let report = healthboard::judge("role", &player.processes(), later, std::time::SystemTime::now());
        assert_eq!((player.report().status, report.status), (Status::Fault, Status::Fault));
    }
}

#[test]
fn a_process_that_says_goodbye_is_stopped_and_makes_no_new_board() {
    let mut player = Player::start("leaves");
    player.line();
    assert_eq!(player.process().life, Life::Stopped);
    assert_eq!((player.report().status, player.report().stopped), (Status::Ok, true));
    player.go_on();
    assert_eq!(player.line(), "went on");
    player.child.kill().unwrap();
    player.child.wait().unwrap();
    assert_eq!(player.process().life, Life::Stopped);
}

#[test]
fn a_reader_of_a_board_cannot_make_its_dead_writer_look_alive() {
    let mut player = Player::start("records");
    player.line();
    let reader = std::fs::File::open(player.board_path()).unwrap();
    player.child.kill().unwrap();
    player.child.wait().unwrap();
    reader.lock().unwrap();
    // SAFETY: a valid structure, and a descriptor of ours.
    unsafe {
        use std::os::fd::AsRawFd;
        let mut lock: libc::flock = std::mem::zeroed();
        lock.l_type = libc::F_RDLCK as libc::c_short;
        assert_eq!(libc::fcntl(reader.as_raw_fd(), libc::F_OFD_SETLK, &raw mut lock), 0);
    }
    assert_eq!(player.process().life, Life::Dead);
}

/// A role in its own pid namespace: neither side knows the other's pids.
fn elsewhere(role: &str, runtime: &Path) -> Command {
    let role = command(role, runtime);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child"]).arg(role.get_program()).args(role.get_args());
    command.envs(role.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

#[test]
fn life_is_known_across_pid_namespaces() {
    must_be_root();
    let runtime = tempfile::tempdir().unwrap();
    let mut writer = Player::of(elsewhere("records", runtime.path()), runtime);
    writer.line();
    let lives = |player: &Player| -> Vec<_> { player.processes().iter().map(|p| (p.pid, p.life)).collect() };
    assert_eq!(lives(&writer), [(1, Life::Alive)]);
    writer.child.kill().unwrap();
    until("its death", || (lives(&writer) == [(1, Life::Dead)]).then_some(()));

    let mut writer = Player::start("records");
    writer.line();
    let seen = |writer: &Player| {
        Player::of(elsewhere("looks", writer.runtime.path()), tempfile::tempdir().unwrap()).line()
    };
    let pid = writer.child.id();
    assert_eq!(seen(&writer), format!("[({pid}, Alive)] []"));
    writer.child.kill().unwrap();
    writer.child.wait().unwrap();
    assert_eq!(seen(&writer), format!("[({pid}, Dead)] []"));
}

#[test]
fn a_server_that_panics_is_started_again_and_the_process_stays_alive() {
    let mut player = Player::start("keeper-panics");
    assert!(player.line().contains("internal error in healthboard's thread; it is started again"));
    let process = player.process();
    assert_eq!((process.life, crate::player::evidence(&process, "database").failures), (Life::Alive, 1));
}

#[test]
fn a_refresh_without_an_answer_is_a_failure_while_it_is_in_flight() {
    let mut player = Player::start("refresh-hangs");
    player.line();
    let database = || crate::player::evidence(&player.process(), "database");
    let unanswered = until("NoAnswer", || Some(database()).filter(|database| database.failures > 0));
    assert_eq!(
        (unanswered.error.as_ref().map(|error| error.class.as_str()), unanswered.in_flight),
        (Some("NoAnswer"), 1)
    );
    player.go_on();
    player.line();
    let answered = crate::player::evidence(&player.process(), "database");
    assert_eq!((answered.failures, answered.in_flight), (0, 0));
}

#[test]
fn a_process_that_cannot_read_the_boards_reports_its_own_evidence() {
    assert!(Player::start("no-descriptors").line().starts_with("database: Gone, 1 failure"));
}

#[test]
fn several_services_of_one_process_are_separate() {
    let mut player = Player::start("several");
    let line = player.line();
    assert_eq!(line, "health of `other` runs in this process already; OK; DEGRADED");
    assert!(player.process().indicators.iter().all(|indicator| &*indicator.name != "queue"));
}

#[test]
fn nothing_is_made_and_nothing_recorded_while_health_is_off() {
    let mut player = Player::start("disabled");
    // The test harness's own two threads.
    assert_eq!(player.line(), "health is off: `uri` names no endpoint, 2");
    assert_eq!(std::fs::read_dir(player.runtime.path()).unwrap().count(), 0);
}
