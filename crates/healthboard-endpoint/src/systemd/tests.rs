use super::testing::{listen, received};
use super::*;
use healthboard::{Announcement::Ready, Announcement::Reloading, Detail, now_ns};
use std::os::unix::net::UnixDatagram;

const SECOND: u64 = 1_000_000_000;
const MAIN: u32 = 7;
const WORKER: u32 = 8;

/// What a service under a unit is told by systemd, at the address of `name`.
fn service(name: &str) -> (UnixDatagram, Systemd) {
    let (socket, _) = listen(name);
    let address = format!("@healthboard-{name}-{}", std::process::id());
    let (systemd, refused) = read(&[("NOTIFY_SOCKET", &address), ("SYSTEMD_EXEC_PID", "7")]);
    assert!(refused.is_empty(), "{refused:?}");
    (socket, systemd.unwrap())
}

fn read(variables: &[(&str, &str)]) -> (Option<Systemd>, Vec<String>) {
    let value = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    Systemd::from_env(value, MAIN, |_| false)
}

fn report(status: Status, message: &str) -> Report {
    Report { status, message: message.to_owned(), ..crate::testing::report(status) }
}

/// Everything that was sent since the last call, line by line.
fn lines(socket: &UnixDatagram) -> Vec<String> {
    std::iter::from_fn(|| received(socket))
        .flat_map(|m| m.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// A service that has said that it is ready.
fn ready(name: &str) -> (UnixDatagram, Systemd) {
    let (socket, mut systemd) = service(name);
    systemd.announce(vec![Ready]);
    assert_eq!(lines(&socket), ["READY=1"]);
    (socket, systemd)
}

#[test]
fn nothing_is_told_without_a_manager() {
    for variables in [&[][..], &[("NOTIFY_SOCKET", "")], &[("WATCHDOG_USEC", "soon")]] {
        let (systemd, refused) = read(variables);
        assert!(systemd.is_none() && refused.is_empty(), "{variables:?}");
    }
    let (systemd, refused) = read(&[("NOTIFY_SOCKET", "vsock:2:1")]);
    assert!(systemd.is_none());
    assert!(
        refused[0].contains("vsock:2:1") && refused[0].contains("systemd is told nothing"),
        "{refused:?}"
    );
}

#[test]
fn a_refused_watchdog_leaves_the_rest() {
    let (systemd, refused) = read(&[("NOTIFY_SOCKET", "@s"), ("WATCHDOG_USEC", "0")]);
    assert!(systemd.unwrap().pet(0, || unreachable!()).is_none());
    assert!(refused[0].contains("WATCHDOG_USEC is `0`"), "{refused:?}");
}

#[test]
fn the_watchdog_is_petted_while_the_service_progresses_whatever_else_it_is() {
    let (socket, _) = listen("watchdog");
    let address = format!("@healthboard-watchdog-{}", std::process::id());
    let (systemd, _) =
        read(&[("NOTIFY_SOCKET", &address), ("WATCHDOG_USEC", "600000"), ("WATCHDOG_PID", "7")]);
    let mut systemd = systemd.unwrap();
    assert_eq!(systemd.main(), Some(MAIN), "of a systemd that does not name it otherwise");
    assert_eq!(systemd.pet(SECOND, || report(Status::Fault, "database")), Some(Duration::from_millis(300)));
    assert_eq!(lines(&socket), ["WATCHDOG=1"]);
    let mut hung = report(Status::Fault, "not progressing for 12 s");
    let progress = Detail { status: Status::Fault, ..hung.details["database"].clone() };
    hung.details.insert(PROGRESS.to_owned(), progress);
    assert!(systemd.pet(2 * SECOND, || hung).is_some());
    assert!(lines(&socket).is_empty());
}

#[test]
fn each_status_is_one_line_and_said_once() {
    let (socket, mut systemd) = ready("status");
    systemd.tell(SECOND, MAIN, &report(Status::Ok, ""), false);
    assert_eq!(lines(&socket), ["STATUS=OK"]);
    systemd.tell(2 * SECOND, MAIN, &report(Status::Ok, ""), false);
    assert!(lines(&socket).is_empty());
    systemd.tell(3 * SECOND, MAIN, &report(Status::Fault, "database: two\nREADY=1"), false);
    assert_eq!(lines(&socket), ["STATUS=FAULT: database: two READY=1"]);
}

#[test]
fn a_long_status_is_cut_between_two_characters() {
    let (socket, mut systemd) = ready("long");
    for extra in 0..4 {
        let message = "x".repeat(extra) + &"ü€".repeat(4000);
        systemd.tell(u64::from(extra as u32) * SECOND, MAIN, &report(Status::Fault, &message), false);
        let status = lines(&socket).remove(0);
        assert!(status.ends_with('…') && status.len() < 1100, "{}", status.len());
    }
}

#[test]
fn a_text_that_changes_is_said_once_a_second_and_by_a_worker_once_a_minute() {
    for (name, pid, expected) in [("main", MAIN, 100), ("worker", WORKER, 2)] {
        let (socket, mut systemd) = ready(name);
        let mut said = 0;
        for half in 0..200 {
            let report = report(Status::Fault, &format!("for {half} halves of a second"));
            // By the coarse clock, a call once a second may come a little early.
            systemd.tell(half * SECOND / 2 - half % 3 * 4_000_000, pid, &report, false);
            said += lines(&socket).len();
        }
        assert_eq!(said, expected, "{name}");
        // A change of the status itself is said at once.
        systemd.tell(100 * SECOND, pid, &report(Status::Ok, ""), false);
        assert_eq!(lines(&socket), ["STATUS=OK"]);
    }
}

#[test]
fn a_message_that_systemd_did_not_take_is_sent_again() {
    let (socket, mut systemd) = service("full");
    while systemd.manager.tell("WATCHDOG=1").is_ok() {}
    systemd.announce(vec![Ready]);
    systemd.tell(SECOND, WORKER, &report(Status::Fault, "database"), true);
    assert!(lines(&socket).iter().all(|line| line == "WATCHDOG=1"));
    systemd.announce(Vec::new());
    systemd.tell(2 * SECOND, WORKER, &report(Status::Fault, "database"), true);
    assert_eq!(lines(&socket), ["READY=1", "STATUS=FAULT: database"]);
}

#[test]
fn a_manager_that_does_not_read_costs_no_memory() {
    let (socket, mut systemd) = service("deaf-for-long");
    while systemd.manager.tell("WATCHDOG=1").is_ok() {}
    (0..1000).for_each(|_| systemd.announce(vec![Reloading, Ready]));
    assert_eq!(systemd.pending.len(), MAX_PENDING);
    while received(&socket).is_some() {}
    systemd.announce(Vec::new());
    assert_eq!(lines(&socket).last().map(String::as_str), Some("READY=1"));
}

#[test]
fn a_start_is_extended_until_the_service_is_ready_or_faulty_or_ten_minutes_are_over() {
    let extends = |socket: &UnixDatagram| lines(socket).contains(&"EXTEND_TIMEOUT_USEC=5000000".to_owned());
    let (socket, mut systemd) = service("start");
    systemd.tell(SECOND, WORKER, &report(Status::Ok, ""), false);
    assert!(!extends(&socket), "a worker does not start the service");
    systemd.tell(2 * SECOND, MAIN, &report(Status::Degraded, ""), false);
    assert!(extends(&socket));
    systemd.tell(3 * SECOND, MAIN, &report(Status::Fault, ""), false);
    assert!(!extends(&socket), "a start that hangs is not extended");
    let died = Report { details: Default::default(), ..report(Status::Fault, "no worker stays alive") };
    systemd.tell(4 * SECOND, MAIN, &died, false);
    assert!(extends(&socket), "this one may stay alive");
    systemd.tell(600 * SECOND, MAIN, &report(Status::Ok, ""), false);
    assert!(extends(&socket));
    let mut late = systemd.clone();
    late.tell(601 * SECOND, MAIN, &report(Status::Ok, ""), false);
    assert!(!extends(&socket), "it may never say that it is ready");
    systemd.announce(vec![Ready]);
    systemd.tell(600 * SECOND, MAIN, &report(Status::Ok, ""), false);
    assert!(!extends(&socket));
}

#[test]
fn the_end_is_said_once_and_only_when_the_main_process_ends() {
    let draining = Report { draining: true, ..report(Status::Ok, "") };
    let (socket, mut systemd) = ready("end");
    systemd.tell(SECOND, WORKER, &report(Status::Ok, ""), true);
    systemd.tell(2 * SECOND, WORKER, &draining, false);
    assert_eq!(lines(&socket), ["STATUS=OK"], "workers that are replaced are no end");
    systemd.tell(3 * SECOND, WORKER, &draining, true);
    systemd.tell(4 * SECOND, WORKER, &draining, true);
    assert_eq!(lines(&socket), ["STOPPING=1"]);
}

#[test]
fn a_reload_is_announced_with_its_time_and_ends_when_the_service_is_ready() {
    let (socket, mut systemd) = ready("reload");
    let before = now_ns() / 1000;
    systemd.announce(vec![Reloading, Ready]);
    let lines = lines(&socket);
    assert_eq!((&*lines[0], &*lines[2]), ("RELOADING=1", "READY=1"));
    let at: u64 = lines[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
    // The coarse clock is behind by a few milliseconds.
    assert!((before..now_ns() / 1000 + 20_000).contains(&at), "{at}");
}
