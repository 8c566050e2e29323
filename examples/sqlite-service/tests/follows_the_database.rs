//! The example, as in its first comment: the file is moved away and back.

#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn health(socket: &Path) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = UnixStream::connect(socket) {
        stream.write_all(b"GET /health HTTP/1.0\r\nAccept: text/plain\r\n\r\n").unwrap();
        stream.read_to_string(&mut answer).unwrap();
    }
    answer
}

#[track_caller]
fn wait_for(socket: &Path, parts: [&str; 2]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = health(socket);
        if parts.iter().all(|part| answer.contains(part)) {
            return;
        }
        assert!(Instant::now() < deadline, "expected {parts:?}, found {answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn health_follows_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let [socket, file, away] =
        ["health.sock", "visits.db", "away.db"].map(|name| directory.path().join(name));
    let child = Command::new(env!("CARGO_BIN_EXE_sqlite-service"))
        .arg("--uri")
        .arg(format!("unix://{}", socket.display()))
        .arg(&file)
        .env("HEALTHBOARD_RUNTIME_DIR", directory.path())
        .env("HEALTHBOARD_FAILURE_WINDOW", "2")
        .spawn()
        .unwrap();
    let _service = Service(child);
    wait_for(&socket, ["200 OK", "\r\n\r\nOK\n"]);
    std::fs::rename(&file, &away).unwrap();
    wait_for(&socket, ["200 OK", "\r\n\r\nDEGRADED: database: rusqlite::Error, "]);
    wait_for(&socket, ["503 ", "\r\n\r\nFAULT: database: rusqlite::Error, "]);
    std::fs::rename(&away, &file).unwrap();
    wait_for(&socket, ["200 OK", "\r\n\r\nOK\n"]);
}
