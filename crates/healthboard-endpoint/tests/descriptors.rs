//! A service with more idle clients than descriptors.

#![allow(clippy::unwrap_used, reason = "what a test does not expect is a failure")]

use healthboard::Service;
use healthboard_endpoint::Start;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A time limit that only a hang reaches, and shorter than any after which the endpoint closes an idle connection.
const HANG: Duration = Duration::from_secs(8);

fn probe(socket: &Path) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(HANG))?;
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Not a test by itself: the service, which the test below starts in a process of its own.
#[test]
fn role() {
    let Some(place) = std::env::var_os("ROLE_PLACE").map(PathBuf::from) else { return };
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..limit }).unwrap();
    let uri = format!("unix://{}", place.join("health.sock").display());
    let builder = Service::builder("service").runtime_dir(place.join("run")).uri(uri.parse().unwrap());
    builder.start().unwrap();
    // Until the test ends.
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_good_probe_is_answered_among_more_idle_clients_than_there_are_descriptors() {
    let place = tempfile::tempdir().unwrap();
    let socket = place.path().join("health.sock");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "role", "--nocapture", "--test-threads=1"])
        .env("ROLE_PLACE", place.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while probe(&socket).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(60), "no endpoint");
        std::thread::sleep(Duration::from_millis(10));
    }
    let _idle: Vec<UnixStream> = (0..100).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let answers: Vec<String> = (0..10).map(|_| probe(&socket).unwrap_or_else(|e| e.to_string())).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    for answer in answers {
        assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    }
}
