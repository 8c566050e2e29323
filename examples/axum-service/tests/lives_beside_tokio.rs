//! The whole life of the service, with tokio or health started first, and with other open descriptors: both answer, health
//! follows the database, an idle service costs nothing, and SIGTERM shuts it down gracefully.

#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long to wait for a condition.
const HANG_LIMIT: Duration = Duration::from_secs(30);

/// The limit for an idle service, as a share of one core.
const MAX_IDLE_CPU: f64 = 0.05;

#[test]
fn runtime_first() {
    the_whole_life_of_a_service("runtime-first", 0);
}

#[test]
fn health_first() {
    the_whole_life_of_a_service("health-first", 0);
}

#[test]
fn runtime_first_in_a_host_with_open_descriptors() {
    the_whole_life_of_a_service("runtime-first", 40);
}

#[test]
fn health_first_in_a_host_with_open_descriptors() {
    the_whole_life_of_a_service("health-first", 40);
}

fn the_whole_life_of_a_service(order: &str, open_descriptors: usize) {
    let mut service = Service::start(order, open_descriptors);

    // Both answer.
    assert_part(&service.notes("POST", "milk"), "201 Created");
    service.wait_for_health("/health", &["200 OK", "\r\n\r\nOK\n"]);
    assert_part(&service.notes("POST", ""), "422 ");

    // Nothing blocks the only worker of the runtime.
    std::thread::scope(|scope| {
        let requests: Vec<_> = (0..50).map(|_| scope.spawn(|| service.notes("GET", ""))).collect();
        for request in requests {
            assert_part(&request.join().unwrap(), r#"{"id":1,"text":"milk"}"#);
        }
    });

    // The database has refused a note, so it works.
    let health = service.health("/health?verbose");
    assert!(health.contains("last_success") && !health.contains("last_failure"), "{health}");

    // The database is broken and repaired. Meanwhile the service gets no requests, only probes.
    let (begun, cpu) = (Instant::now(), service.cpu());
    std::fs::rename(service.path("notes.db"), service.path("away.db")).unwrap();
    service.wait_for_health("/health", &["200 OK", "\r\n\r\nDEGRADED: database: rusqlite::Error, "]);
    service.wait_for_health("/health", &["503 ", "\r\n\r\nFAULT: database: rusqlite::Error, "]);
    assert_part(&service.notes("GET", ""), "503 ");
    service.wait_for_line(&[
        " WARN healthboard: FAULT: database: ",
        "status=\"FAULT\"",
        "cause=\"database: ",
    ]);
    std::fs::rename(service.path("away.db"), service.path("notes.db")).unwrap();
    service.wait_for_health("/health", &["200 OK", "\r\n\r\nOK\n"]);
    let share = (service.cpu() - cpu).as_secs_f64() / begun.elapsed().as_secs_f64();
    assert!(share < MAX_IDLE_CPU, "an idle service takes {share:.3} of a core");

    // SIGTERM while a request waits for a lock on the database.
    let lock = rusqlite::Connection::open(service.path("notes.db")).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let slow = service.send("POST", "bread");
    service.wait_for_health("/health?verbose", &["\"in_flight\":1"]);
    service.terminate();
    service.wait_for_health("/readyz", &["503 ", "draining"]);
    assert!(service.process.try_wait().unwrap().is_none(), "did not wait for the request in flight");
    lock.execute_batch("ROLLBACK").unwrap();
    assert_part(&answer(slow), "201 Created");
    assert!(service.wait().success());
}

struct Service {
    process: Child,
    directory: tempfile::TempDir,
    /// The address of the service's own API.
    address: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Service {
    fn start(order: &str, open_descriptors: usize) -> Service {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_axum-service"));
        command
            .args(["--order", order, "--listen", "127.0.0.1:0", "--uri"])
            .arg(format!("unix://{}", directory.path().join("health.sock").display()))
            .arg(directory.path().join("notes.db"))
            .env("HEALTHBOARD_RUNTIME_DIR", directory.path())
            .env("HEALTHBOARD_FAILURE_WINDOW", "2")
            .env("HEALTHBOARD_REFRESH_INTERVAL", "1")
            // If that worker blocks, no request is answered.
            .env("TOKIO_WORKER_THREADS", "1")
            .env("NO_COLOR", "1")
            .stderr(std::fs::File::create(directory.path().join("log")).unwrap())
            .stdout(Stdio::piped());
        // SAFETY: calls nothing but `open`, which is safe between fork and exec.
        unsafe {
            command.pre_exec(move || {
                for _ in 0..open_descriptors {
                    libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY);
                }
                Ok(())
            });
        }
        let process = command.spawn().unwrap();
        let mut service = Service { process, directory, address: String::new() };
        let line = first_line(service.process.stdout.take().unwrap());
        service.address = line.trim().strip_prefix("listening on ").unwrap_or_default().to_owned();
        assert!(!service.address.is_empty(), "expected an address, found {line:?}");
        service
    }

    /// Waits for a line of the log that has all these parts.
    fn wait_for_line(&self, parts: &[&str]) {
        let begun = Instant::now();
        loop {
            let log = std::fs::read_to_string(self.path("log")).unwrap();
            if log.lines().any(|line| parts.iter().all(|part| line.contains(part))) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(30), "{parts:?} not in {log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a request to the service's own API.
    fn notes(&self, method: &str, body: &str) -> String {
        answer(self.send(method, body))
    }

    fn send(&self, method: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(HANG_LIMIT)).unwrap();
        let length = body.len();
        write!(stream, "{method} /notes HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
            .unwrap();
        stream
    }

    /// Probes until the answer has all of these parts.
    #[track_caller]
    fn wait_for_health(&self, path: &str, parts: &[&str]) {
        let deadline = Instant::now() + HANG_LIMIT;
        loop {
            let found = self.health(path);
            if parts.iter().all(|part| found.contains(part)) {
                return;
            }
            assert!(Instant::now() < deadline, "expected {parts:?} from {path}, found {found:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The answer to a probe, in JSON for `/health?…`, else as text. Empty if there is none.
    fn health(&self, path: &str) -> String {
        let accept = if path.starts_with("/health?") { "application/json" } else { "text/plain" };
        let Ok(mut stream) = UnixStream::connect(self.path("health.sock")) else { return String::new() };
        stream.set_read_timeout(Some(HANG_LIMIT)).unwrap();
        let _ = write!(stream, "GET {path} HTTP/1.0\r\nAccept: {accept}\r\n\r\n");
        answer(stream)
    }

    /// The CPU time of all its threads so far.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        // `utime` and `stime` are the fields 14 and 15. The second field, the name, may have blanks.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        // SAFETY: takes and returns a number.
        let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        Duration::from_secs(ticks) / u32::try_from(per_second).unwrap()
    }

    fn terminate(&self) {
        // SAFETY: signals a child that has not been waited for.
        let sent = unsafe { libc::kill(self.process.id().cast_signed(), libc::SIGTERM) };
        assert_eq!(sent, 0);
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + HANG_LIMIT;
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "still runs");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The first line of the output; empty if the service hangs before it prints one.
fn first_line(log: ChildStdout) -> String {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut log = BufReader::new(log);
        let mut line = String::new();
        let _ = log.read_line(&mut line);
        let _ = sender.send(line);
        // Keep reading: the service must not write to a closed pipe.
        let _ = std::io::copy(&mut log, &mut std::io::sink());
    });
    receiver.recv_timeout(HANG_LIMIT).unwrap_or_default()
}

fn answer(mut stream: impl Read) -> String {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[track_caller]
fn assert_part(answer: &str, part: &str) {
    assert!(answer.contains(part), "expected {part:?}, found {answer:?}");
}
