//! What a fork does, and what it does not.

use crate::player::{Player, command, evidence, must_be_root, until_ended};
use healthboard::{Directory, Life, Process};

fn of(processes: &[Process], pid: u32) -> &Process {
    processes.iter().find(|p| p.pid == pid && p.life == Life::Alive).unwrap()
}

fn child(line: &str) -> u32 {
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

#[test]
fn a_forked_child_has_a_board_of_its_own_with_its_first_recording_however_it_was_forked() {
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
fn an_operation_that_began_before_a_fork_ends_in_the_parent_alone() {
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
fn the_keeper_keeps_no_process_alive_whose_own_threads_have_ended() {
    let mut player = Player::start("ends-in-a-thread");
    child(&player.line());
    assert_eq!(player.line(), "ended with 0");
}

#[test]
fn neither_do_the_keepers_of_two_services_and_what_is_written_at_exit_comes_into_no_file_of_theirs() {
    let mut player = Player::start("ends-with-two-services");
    assert_eq!(player.line(), "ended with 0");
    let mut boards = player.boards();
    let processes = boards.read().unwrap();
    assert_eq!(boards.refused(), [""; 0]);
    assert!(processes.iter().any(|process| process.life == Life::Dead), "{processes:?}");
}

#[test]
fn where_no_thread_can_be_had_nobody_waits_for_it() {
    must_be_root();
    let mut player = Player::start("no-thread");
    let waited: u64 = player.line().parse().unwrap();
    assert!(waited < 1000, "{waited} ms");
    assert!(player.line().starts_with("health is off: no thread can be started: "));
}

#[test]
fn without_a_descriptor_table_of_its_own_the_keeper_opens_nothing_and_the_start_says_why() {
    let line = Player::start("no-table").line();
    let why = "health is off: cannot have descriptors of its own (Linux 5.9 or later): ";
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
fn a_daemon_that_closes_every_descriptor_writes_to_no_foreign_file_and_keeps_its_board() {
    let mut player = Player::start("daemonizes");
    let grandchild = child(&player.line());
    of(&player.processes(), grandchild);
    assert_eq!(std::fs::metadata(player.runtime.path().join("foreign")).unwrap().len(), 0);
    player.go_on();
}
