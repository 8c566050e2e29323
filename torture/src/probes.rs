//! Probes in a loop: one over TCP, one over the unix socket, each time over a new connection.

use crate::listeners::Endpoints;
use anyhow::{Result, ensure};
use std::fmt;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The longest wait for a part of an answer, far longer than any answer should take.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The pause between two probes of one endpoint.
const PAUSE: Duration = Duration::from_micros(300);

/// Two probes and their results.
#[derive(Default)]
pub(crate) struct Probes {
    stop: AtomicBool,
    results: Mutex<Results>,
}

#[derive(Clone, Default)]
pub(crate) struct Results {
    pub(crate) answers: u64,
    /// Connections that ended without a whole answer: the process that had accepted them was killed.
    pub(crate) cut: u64,
    /// The pid of the process that answers, and since when.
    pub(crate) serving: Option<(u32, Instant)>,
    /// The longest time between two answers of one endpoint.
    pub(crate) longest_gap: Gap,
    /// The first failure: something that must never happen.
    failure: Option<String>,
}

/// A time without an answer.
#[derive(Clone, Default)]
pub(crate) struct Gap {
    endpoint: &'static str,
    took: Duration,
    /// The part of it that connecting took.
    connecting: Duration,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Gap { endpoint, took, connecting } = self;
        write!(f, "longest gap of an endpoint {took:.1?} ({endpoint}, {connecting:.1?} of it connecting)")
    }
}

enum Probed {
    Answer(u32),
    Cut,
    Failure(String),
}

trait Stream: Read + Write {}
impl Stream for TcpStream {}
impl Stream for UnixStream {}

impl Probes {
    /// The results so far; fails if there was a failure.
    pub(crate) fn results(&self) -> Result<Results> {
        let results = self.lock().clone();
        ensure!(results.failure.is_none(), "{}", results.failure.unwrap_or_default());
        Ok(results)
    }

    /// Probes both endpoints, which must be open, while `work` runs.
    pub(crate) fn during<T>(&self, endpoints: &Endpoints, work: impl FnOnce() -> Result<T>) -> Result<T> {
        std::thread::scope(|scope| {
            scope.spawn(|| self.probe("tcp", || tcp(endpoints)));
            scope.spawn(|| self.probe("unix", || unix(endpoints)));
            let done = work();
            self.stop.store(true, Relaxed);
            done
        })
    }

    fn probe(&self, endpoint: &'static str, connect: impl Fn() -> std::io::Result<Box<dyn Stream>>) {
        let mut answered = Instant::now();
        while !self.stop.load(Relaxed) {
            let begin = Instant::now();
            let connected = connect();
            let connecting = begin.elapsed();
            let probed = ask(connected);
            let mut results = self.lock();
            match probed {
                Probed::Answer(pid) => {
                    results.answers += 1;
                    let took = answered.elapsed();
                    if took > results.longest_gap.took {
                        results.longest_gap = Gap { endpoint, took, connecting };
                    }
                    answered = Instant::now();
                    if results.serving.is_none_or(|(serving, _)| serving != pid) {
                        results.serving = Some((pid, answered));
                    }
                }
                Probed::Cut => results.cut += 1,
                Probed::Failure(why) => {
                    results.failure.get_or_insert(why);
                }
            }
            drop(results);
            std::thread::sleep(PAUSE);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Results> {
        self.results.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn tcp(endpoints: &Endpoints) -> std::io::Result<Box<dyn Stream>> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from(([127, 0, 0, 1], endpoints.port)), MAX_WAIT)?;
    stream.set_read_timeout(Some(MAX_WAIT))?;
    Ok(Box::new(stream))
}

fn unix(endpoints: &Endpoints) -> std::io::Result<Box<dyn Stream>> {
    let stream = UnixStream::connect(&endpoints.socket)?;
    stream.set_read_timeout(Some(MAX_WAIT))?;
    Ok(Box::new(stream))
}

fn ask(connected: std::io::Result<Box<dyn Stream>>) -> Probed {
    let mut stream = match connected {
        Ok(stream) => stream,
        Err(error) => return Probed::Failure(format!("a connection was refused: {error}")),
    };
    let mut answer = String::new();
    let asked =
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").and_then(|()| stream.read_to_string(&mut answer));
    match asked {
        // Accepted by a process that was killed before it answered completely.
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
            Probed::Cut
        }
        Err(error) => Probed::Failure(format!("no answer in {} s: {error}", MAX_WAIT.as_secs())),
        Ok(_) if answer.is_empty() => Probed::Cut,
        Ok(_) => serving(&answer).map_or_else(
            || Probed::Failure(format!("an answer that says nothing: {answer:?}")),
            Probed::Answer,
        ),
    }
}

/// The pid of the process that has answered.
fn serving(answer: &str) -> Option<u32> {
    let body: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    u32::try_from(body["processes"]["serving"].as_u64()?).ok()
}

/// Waits until `found` returns a value; fails after 60 s.
pub(crate) fn until<T>(what: &str, mut found: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(found) = found()? {
            return Ok(found);
        }
        ensure!(begin.elapsed() < Duration::from_secs(60), "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
