//! The start of a service, as its author sees it: handles, addresses, transitions, and errors.

#![allow(clippy::unwrap_used, reason = "what a test does not expect is a failure")]

use healthboard::{Builder, Failure, Handle, Impact, Policy, Service, StartError, State, Status, Uri};
use healthboard_endpoint::Start;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const ANY_PORT: &str = "tcp://127.0.0.1:0";

/// A time limit that only a hang reaches.
const HANG: Duration = Duration::from_secs(30);

fn builder(name: &str, place: &tempfile::TempDir, uri: &str) -> Builder {
    Service::builder(name).runtime_dir(place.path().join("run")).uri(uri.parse().unwrap())
}

fn ask(uri: &Uri) -> String {
    let mut stream = TcpStream::connect(uri.addresses()[0]).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begin.elapsed() < HANG, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn notices(health: &Handle) -> String {
    let mut all = String::new();
    until("a notice", || {
        health.tick().iter().for_each(|notice| all += &notice.text);
        (!all.is_empty()).then_some(())
    });
    all
}

#[test]
fn the_handle_knows_the_chosen_port_and_several_services_run_side_by_side() {
    let place = tempfile::tempdir().unwrap();
    let first = builder("first", &place, ANY_PORT).start().unwrap();
    let second = builder("second", &place, ANY_PORT).start().unwrap();
    let [Uri::Tcp { port, .. }] = first.endpoints()[..] else { panic!("{:?}", first.endpoints()) };
    assert_ne!(port, 0);
    second.indicator("queue", Policy::DEFAULT).record_fail(&Failure::new("Full"));
    assert!(until("OK", || Some(ask(&first.endpoints()[0]))).contains(r#""service":"first""#));
    until("DEGRADED", || {
        let answer = ask(&second.endpoints()[0]);
        answer.contains(r#"{"status":"DEGRADED","message":"queue: Full"#).then_some(())
    });
    assert!(!ask(&first.endpoints()[0]).contains("queue"), "each has its own board");
    let twice = builder("first", &place, ANY_PORT).start().unwrap_err();
    assert!(matches!(twice, StartError::AlreadyStarted(_)));
    assert_eq!(twice.to_string(), "health of `first` runs in this process already");
    assert_eq!(twice.handle().endpoints(), first.endpoints());
}

#[test]
fn a_change_is_in_the_history_and_logged_once() {
    let place = tempfile::tempdir().unwrap();
    let health = builder("changes", &place, ANY_PORT).option("failure_window", "0").start().unwrap();
    let policy = Policy { impact: Impact::Critical, ..Policy::DEFAULT };
    let database = health.indicator("database", policy);
    database.record(&Err::<(), _>(std::io::Error::other("gone")));
    database.record(&Err::<(), _>(std::io::Error::other("gone")));
    assert_eq!(health.report().status, Status::Fault);
    let last = || health.history().service.pop_back();
    until("FAULT", || (last()?.status == Status::Fault).then_some(()));
    let fault = last().unwrap();
    assert!(fault.cause.starts_with("database: io::Error, 2 failures"), "{fault:?}");
    assert!(notices(&health).starts_with("FAULT: database: io::Error, 2 failures"));
    database.record_ok();
    until("OK", || (last()?.status == Status::Ok).then_some(()));
    let history = health.history();
    assert_eq!((history.count, last().unwrap().cause), (2, String::new()));
    let states: Vec<_> = history.indicators["database"].iter().filter_map(|change| change.state).collect();
    assert_eq!(states, [State::Failing, State::Passing]);
}

#[test]
fn the_error_says_what_could_not_be_started_and_the_rest_runs() {
    let place = tempfile::tempdir().unwrap();

    let disabled = Service::builder("off").option("uri", "http://nowhere").start().unwrap_err();
    let said = disabled.to_string();
    assert!(matches!(disabled, StartError::Disabled(_)), "{said}");
    assert!(
        said.starts_with("health is off: `uri` names no endpoint; option `uri` in [healthcheck]"),
        "{said}"
    );
    disabled.handle().indicator("database", Policy::DEFAULT).record_ok();
    assert_eq!(disabled.handle().name(), "", "no other service of this process is used");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let uri = format!("tcp://{}", taken.local_addr().unwrap());
    let busy = builder("busy", &place, &uri).start().unwrap_err();
    let said = busy.to_string();
    assert!(matches!(busy, StartError::NoEndpoint(..)), "{said}");
    assert!(said.contains(&format!("cannot listen on {uri}")) && said.contains("is in use"), "{said}");
    drop(taken);
    until("the port that is free now", || (!busy.handle().endpoints().is_empty()).then_some(()));
    assert!(ask(&busy.handle().endpoints()[0]).contains(r#""status":"OK""#));

    std::fs::write(place.path().join("file"), "").unwrap();
    let nowhere = Service::builder("nowhere").runtime_dir(place.path().join("file"));
    let nowhere = nowhere.uri(ANY_PORT.parse().unwrap()).start().unwrap_err();
    let said = nowhere.to_string();
    assert!(matches!(nowhere, StartError::NoDirectory(..)), "{said}");
    assert!(said.contains("found a file, expected a directory") && said.contains("in memory"), "{said}");
    let health = nowhere.handle();
    health.indicator("database", Policy::DEFAULT).record_ok();
    let answer = until("its own answer", || {
        Some(ask(&health.endpoints()[0])).filter(|answer| answer.contains("database"))
    });
    assert!(answer.contains(r#""others_unseen":true"#), "{answer}");
    assert!(health.report().processes.others_unseen);
}

#[test]
fn a_wrong_value_is_logged_and_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let builder = builder("options", &place, ANY_PORT);
    let builder = builder.option("ttl", "1e300").option("fault_status_code", "busy").option("tttl", "5");
    let health = builder.start().unwrap();
    let said = notices(&health);
    for expected in [
        "option `ttl` in [healthcheck]: found `1e300`, expected seconds, at most 1000000000",
        "option `fault_status_code` in [healthcheck]: found `busy`, expected an HTTP status code",
        "option `tttl` in [healthcheck]: found `tttl`, expected one of uri, runtime_dir",
        "socket_mode",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn a_start_without_an_endpoint_fails_with_the_reason_and_no_notice_repeats_it() {
    let place = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(place.path().join("run/locked/endpoint.lock")).unwrap();
    let locked = builder("locked", &place, ANY_PORT).start().unwrap_err();
    let said = locked.to_string();
    assert!(matches!(locked, StartError::NoEndpoint(..)), "{said}");
    assert!(said.contains("cannot open `endpoint.lock`: it is not a regular file; remove it"), "{said}");

    // In a thread of its own: only the keeper that it starts inherits its filter.
    let refused = std::thread::spawn(move || {
        refuse(libc::SYS_epoll_create1);
        let started = builder("refused", &place, ANY_PORT).start().unwrap_err();
        std::thread::sleep(Duration::from_millis(2500));
        (started.to_string(), started.handle().tick())
    });
    let (said, notices) = refused.join().unwrap();
    assert!(said.starts_with("no endpoint is open yet, trying again: cannot serve: "), "{said}");
    assert!(notices.is_empty(), "{notices:?}");
}

/// Makes this system call fail in this thread, and in those that it starts from now on.
fn refuse(call: libc::c_long) {
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let refused = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let mut filter = [
        step((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0, 0, 0),
        step((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, 0, 1, call as u32),
        step((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, refused),
        step((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: a valid program, which the kernel copies.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}
