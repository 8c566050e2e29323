//! Who says what of a service, asked all the time from threads of our own: its endpoint, and what deployments use today.

mod census;
mod timeline;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::census::Census;
pub use self::timeline::{Change, Pace, Status, Timeline, p99};
use crate::probe::{ask, get};

/// How often everything but our own endpoint is asked: as often as deployments do at best.
const SECOND: Duration = Duration::from_secs(1);

/// How long a check of `/healthcheck` waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// One service to be watched.
#[derive(Debug, Clone)]
pub struct Watched {
    /// What it is called.
    pub service: String,
    /// Its endpoint.
    pub uri: String,
    /// The process group that it was started as.
    pub group: u32,
    /// Where it serves oslo.middleware's `/healthcheck`, if it does.
    pub oslo: Option<String>,
}

/// What was seen of one service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Seen {
    /// What it is called.
    pub service: String,
    /// What its endpoint said.
    pub ours: Timeline,
    /// How quickly.
    pub pace: Pace,
    /// What oslo.middleware's `/healthcheck` said.
    pub oslo: Timeline,
    /// Whether a process of it was there.
    pub pgrep: Timeline,
    /// Whether it had a connection to the broker.
    pub broker: Timeline,
    /// Whether it had a connection to the database server.
    pub database: Timeline,
}

/// Asks until it is ended or dropped.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    start: Instant,
    stop: AtomicBool,
    seen: Mutex<Vec<Seen>>,
    groups: Mutex<Vec<u32>>,
}

/// The ports of the servers, as the services connect to them.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Of RabbitMQ.
    pub broker: u16,
    /// Of MariaDB.
    pub database: u16,
}

impl Watch {
    /// Begins to ask, each endpoint once in `interval`.
    pub fn begin(services: &[Watched], ports: Ports, interval: Duration) -> Self {
        let seen =
            services.iter().map(|watched| Seen { service: watched.service.clone(), ..Seen::default() });
        let shared = Arc::new(Shared {
            start: Instant::now(),
            stop: AtomicBool::new(false),
            seen: Mutex::new(seen.collect()),
            groups: Mutex::new(services.iter().map(|watched| watched.group).collect()),
        });
        let mut watch = Self { shared, threads: Vec::new() };
        for (index, watched) in services.iter().enumerate() {
            let uri = watched.uri.clone();
            watch.repeat(interval, move |shared| shared.ask_ours(index, &uri));
            if let Some(uri) = watched.oslo.clone() {
                watch.repeat(SECOND, move |shared| shared.ask_oslo(index, &uri));
            }
        }
        watch.repeat(SECOND, move |shared| shared.look_at_processes(ports));
        watch
    }

    /// How long it has been watching: the clock of all timelines.
    pub fn now(&self) -> Duration {
        self.shared.start.elapsed()
    }

    /// What was seen so far.
    pub fn so_far<T>(&self, look: impl FnOnce(&[Seen]) -> T) -> T {
        look(&self.shared.seen())
    }

    /// From now on `service` is the process group `group`: it was started anew.
    pub fn follow(&self, service: &str, group: u32) {
        let index = self.so_far(|seen| seen.iter().position(|seen| seen.service == service));
        if let Some(index) = index {
            self.shared.groups.lock().unwrap_or_else(PoisonError::into_inner)[index] = group;
        }
    }

    /// Asks no more.
    pub fn end(mut self) -> Vec<Seen> {
        self.stop();
        std::mem::take(&mut *self.shared.seen())
    }

    fn repeat(&mut self, interval: Duration, act: impl Fn(&Shared) + Send + 'static) {
        let shared = Arc::clone(&self.shared);
        self.threads.push(thread::spawn(move || {
            let mut next = Instant::now();
            // Relaxed: the flag carries no other data with it.
            while !shared.stop.load(Ordering::Relaxed) {
                act(&shared);
                // Whoever is late asks again at once, and does not make up for what was missed.
                next = (next + interval).max(Instant::now());
                thread::sleep(next - Instant::now().min(next));
            }
        }));
    }

    fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask_ours(&self, index: usize, uri: &str) {
        let begin = self.start.elapsed();
        let answer = ask(uri);
        let end = self.start.elapsed();
        let (status, note) = match &answer {
            Ok(answer) => (Status::parse(answer.status()), answer.message().to_owned()),
            Err(error) => (Status::Silent, format!("no answer: {}", error.root_cause())),
        };
        let seen = &mut self.seen()[index];
        seen.ours.record(end, status, &note);
        seen.pace.record(begin, end, answer.is_ok());
    }

    fn ask_oslo(&self, index: usize, uri: &str) {
        let answer = get(uri, "/healthcheck", PATIENCE);
        let at = self.start.elapsed();
        let (status, note) = match answer {
            Ok((200, _)) => (Status::Ok, String::from("200")),
            Ok((code, _)) => (Status::Fault, code.to_string()),
            Err(error) => (Status::Silent, format!("no answer: {}", error.root_cause())),
        };
        self.seen()[index].oslo.record(at, status, &note);
    }

    fn look_at_processes(&self, ports: Ports) {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let census = Census::take(&[ports.broker, ports.database]);
        let at = self.start.elapsed();
        for (index, group) in groups.into_iter().enumerate() {
            let there = census.is_there(group);
            let (broker, database) =
                (census.is_connected(group, ports.broker), census.is_connected(group, ports.database));
            let seen = &mut self.seen()[index];
            seen.pgrep.record(at, well_if(there), "");
            seen.broker.record(at, well_if(broker), "");
            seen.database.record(at, well_if(database), "");
        }
    }
}

fn well_if(well: bool) -> Status {
    if well { Status::Ok } else { Status::Fault }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers the first question with DEGRADED, and none after that.
    fn answer_once() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let uri = format!("tcp://{}", listener.local_addr().unwrap());
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]).unwrap();
            let body = r#"{"status": "DEGRADED", "message": "database: gone"}"#;
            write!(stream, "HTTP/1.1 200 OK\r\n\r\n{body}").unwrap();
        });
        uri
    }

    #[test]
    fn an_endpoint_that_goes_away_is_first_heard_and_then_silent() {
        let own = rustix::process::getpgrp().as_raw_nonzero().get().unsigned_abs();
        let watched = Watched { service: String::from("one"), uri: answer_once(), group: own, oslo: None };
        let ports = Ports { broker: 1, database: 1 };
        let watch = Watch::begin(&[watched], ports, Duration::from_millis(5));
        while watch.so_far(|seen| seen[0].ours.changes().len() < 2 || seen[0].pgrep.last().is_none()) {
            assert!(watch.now() < Duration::from_secs(10), "{:?}", watch.so_far(<[Seen]>::to_vec));
            thread::sleep(Duration::from_millis(5));
        }
        let seen = watch.end().remove(0);
        let said: Vec<_> = seen.ours.changes().iter().map(|change| change.status).collect();
        assert_eq!(said, [Status::Degraded, Status::Silent]);
        assert_eq!(seen.ours.changes()[0].note, "database: gone");
        assert_eq!(seen.pgrep.at(Duration::MAX), Some(Status::Ok));
        assert_eq!(seen.broker.at(Duration::MAX), Some(Status::Fault));
        assert!(seen.pace.longest_wait() > Duration::ZERO);
    }
}
