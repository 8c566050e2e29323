//! The command against the real endpoint, over a unix socket and over TCP.

#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

use healthboard::{Indicator, Policy, Settings};
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

/// The line and the exit code.
fn check(uri: &str) -> (String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_healthboard")).args(["check", uri]).output().unwrap();
    (String::from_utf8(output.stdout).unwrap(), output.status.code().unwrap())
}

#[test]
fn the_endpoint_and_the_command_understand_each_other() {
    let runtime = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let uris =
        [format!("unix://{}/health.sock", runtime.path().display()), format!("tcp://localhost:{port}")];
    let mut settings = Settings::new("real");
    settings.set("uri", &uris.join(",")).unwrap();
    settings.set("failure_window", "0").unwrap();
    settings.set("error_detail", "message").unwrap();
    settings.runtime_dir = Some(runtime.path().to_owned());
    assert!(healthboard_endpoint::start(settings));
    healthboard::tick();

    let database = Indicator::register("database", Policy::DEFAULT);
    database.record_ok();
    let deadline = Instant::now() + Duration::from_secs(10);
    for uri in &uris {
        while check(uri) != ("real OK\n".to_owned(), 0) {
            assert!(Instant::now() < deadline, "{:?}", check(uri));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    database.record_fail("Gone", "2006", "mysql://nova:canary@db/nova went away");
    let (line, code) = check(&uris[0]);
    assert!(
        line.starts_with("real DEGRADED: database: Gone 2006: mysql://***@db/nova went away, 1 failure "),
        "{line}"
    );
    assert_eq!(code, 1);
    database.record_fail("Gone", "2006", "");
    let (line, code) = check(&uris[1]);
    assert!(line.starts_with("real FAULT: database: Gone 2006, 2 failures in "), "{line}");
    assert_eq!(code, 2);
}
