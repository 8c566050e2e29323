//! The command against the real endpoint, over a unix socket and over TCP.

#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

use healthboard::{ErrorDetail, Failure, Policy, Service};
use healthboard_endpoint::Start;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

#[track_caller]
fn assert_answer(uri: &str, expected: &str, code: i32) {
    assert_answers(&["check", uri], expected, code);
}

/// Asks until this is the answer: a new report is made only with the next tick of the clock.
#[track_caller]
fn assert_answers(arguments: &[&str], expected: &str, code: i32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let output = Command::new(env!("CARGO_BIN_EXE_healthboard")).args(arguments).output().unwrap();
        let line = String::from_utf8(output.stdout).unwrap();
        if line.starts_with(expected) && output.status.code() == Some(code) {
            return;
        }
        assert!(Instant::now() < deadline, "{:?}: {line}", output.status);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_endpoint_and_the_command_understand_each_other() {
    let runtime = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let uris =
        [format!("unix://{}/health.sock", runtime.path().display()), format!("tcp://localhost:{port}")];
    let builder = Service::builder("real").runtime_dir(runtime.path()).error_detail(ErrorDetail::Message);
    let builder = builder.option("uri", &uris.join(",")).option("failure_window", "0");
    let health = builder.start().unwrap();
    health.tick();

    let database = health.indicator("database", Policy::DEFAULT);
    database.record_ok();
    for uri in &uris {
        assert_answer(uri, "real OK\n", 0);
    }
    let failure = Failure::new("Gone").code("2006");
    database.record_fail(&failure.clone().text("mysql://nova:canary@db/nova went away"));
    assert_answer(
        &uris[0],
        "real DEGRADED: database: Gone 2006: mysql://***@db/nova went away, 1 failure ",
        1,
    );
    database.record_fail(&failure);
    assert_answer(&uris[1], "real FAULT: database: Gone 2006, 2 failures in ", 2);
    assert_answers(&["check", "--live", &uris[0]], "ok\n", 0);
    assert_answers(&["check", "--ready", &uris[0]], "[-]database failed: Gone 2006, 2 failures", 2);

    database.record_ok();
    assert_answers(&["check", "--ready", &uris[1]], "ok\n", 0);
    health.drain();
    assert_answers(
        &["check", "--ready", &uris[0]],
        "[+]database ok\n[+]progress ok\n[+]processes ok\n[-]shutdown",
        2,
    );
    assert_answers(&["check", "--live", &uris[1]], "ok\n", 0);
}
