//! The effects of a fork.

use crate::player::{Player, command, evidence, must_be_root, until_ended};
use healthboard::{Directory, Life, Process};

fn of(processes: &[Process], pid: u32) -> &Process {
    processes.iter().find(|p| p.pid == pid && p.life == Life::Alive).unwrap()
}

fn child(line: &str) -> u32 {
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn a_child_forked_in_any_way_has_its_own_board_with_its_first_recording() {
    let mut player = Player::start("forks");
    for _ in 0..2 {
        let child = child(&player.line());
        let processes = player.processes();
        let (parent, child) = (of(&processes, player.child.id()), of(&processes, child));
        let database = |process| evidence(process, "database");
        assert_eq!((database(child).failures, database(child).in_flight), (1, 0));
        assert_eq!((database(parent).failures, database(parent).in_flight), (0, 0));
        assert_eq!((child.parent_id, parent.parent_id), (parent.id, 0));
        player.go_on();
    }
}

#[test]
fn an_operation_that_began_before_a_fork_ends_only_in_the_parent() {
    let mut player = Player::start("forks-in-flight");
    assert_eq!(player.line(), "dropped");
    let parent = player.process();
    assert_eq!((parent.pid, evidence(&parent, "database").in_flight), (player.child.id(), 1));
    player.go_on();
    // Neither a tick nor an attach: the first recording is enough.
    let child = child(&player.line());
    let processes = player.processes();
    let database = evidence(of(&processes, child), "database");
    assert_eq!((database.failures, database.in_flight), (10, 0));
    player.go_on();
}

#[test]
fn ten_thousand_children_record_at_once_and_none_hangs() {
    let runtime = tempfile::tempdir().unwrap();
    let mut child = command("forks-often", runtime.path()).env("ROLE_TIMES", "10000").spawn().unwrap();
    assert!(until_ended(&mut child).success());
    assert_eq!(Directory::new(runtime.path().join("role")).read().unwrap().len(), 1);
}

#[test]
fn the_keeper_does_not_keep_a_process_alive_whose_own_threads_have_ended() {
    let mut player = Player::start("ends-in-a-thread");
    child(&player.line());
    assert_eq!(player.line(), "ended with 0");
}

#[test]
fn the_keepers_of_two_services_keep_no_process_alive_and_exit_handlers_write_to_no_board() {
    let mut player = Player::start("ends-with-two-services");
    assert_eq!(player.line(), "ended with 0");
    let mut boards = player.boards();
    let processes = boards.read().unwrap();
    assert_eq!(boards.refused(), [""; 0]);
    assert!(processes.iter().any(|process| process.life == Life::Dead), "{processes:?}");
}

#[test]
fn recording_does_not_wait_if_no_thread_can_be_started() {
    must_be_root();
    let mut player = Player::start("no-thread");
    let waited: u64 = player.line().parse().unwrap();
    assert!(waited < 1000, "{waited} ms");
    assert!(player.line().starts_with("health is off: no thread can be started: "));
}

#[test]
fn without_its_own_descriptor_table_the_keeper_opens_nothing_and_the_start_fails_with_the_reason() {
    let line = Player::start("no-table").line();
    let why = "health is off: cannot make a descriptor table for its thread (needs Linux 5.9 or later): ";
    assert_eq!(line.matches(why).count(), 2, "{line}");
}

#[test]
fn every_signal_but_sigbus_is_blocked_in_the_keeper() {
    let blocked = u64::from_str_radix(&Player::start("signals").line(), 16).unwrap();
    let not_blocked = [libc::SIGKILL, libc::SIGSTOP, libc::SIGBUS, 32, 33];
    let not_blocked = not_blocked.map(|signal| 1 << (signal - 1)).iter().sum::<u64>();
    assert_eq!(blocked, !not_blocked);
}

#[test]
fn the_host_has_no_descriptor_of_ours() {
    assert_eq!(Player::start("descriptors").line(), "same");
}

#[test]
fn a_daemon_that_closes_every_descriptor_keeps_its_board_and_writes_to_no_other_file() {
    let mut player = Player::start("daemonizes");
    let grandchild = child(&player.line());
    of(&player.processes(), grandchild);
    assert_eq!(std::fs::metadata(player.runtime.path().join("foreign")).unwrap().len(), 0);
    player.go_on();
}
