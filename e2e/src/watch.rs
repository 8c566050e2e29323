//! Watches services from background threads: their endpoints, and the checks that deployments use today.

mod snapshot;
mod timeline;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use self::snapshot::Snapshot;
pub use self::timeline::{Change, Pace, Status, Timeline, p99};
use crate::probe::{ask, get};

/// How often the checks of today run: as often as in the most eager deployments.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a probe of `/healthcheck` waits.
const OSLO_TIMEOUT: Duration = Duration::from_secs(2);

/// One service to be watched.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The name of the service.
    pub service: String,
    /// Its endpoint.
    pub uri: String,
    /// Its process group.
    pub group: u32,
    /// The address of oslo.middleware's `/healthcheck`, if it has one.
    pub oslo: Option<String>,
}

/// The observations of one service.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Seen {
    /// The name of the service.
    pub service: String,
    /// The statuses of its endpoint.
    pub ours: Timeline,
    /// The response times of its endpoint.
    pub pace: Pace,
    /// The answers of oslo.middleware's `/healthcheck`.
    pub oslo: Timeline,
    /// Whether it had a process.
    pub pgrep: Timeline,
    /// Whether it had a connection to the broker.
    pub broker: Timeline,
    /// Whether it had a connection to the database server.
    pub database: Timeline,
}

/// A running watch. It ends when it is dropped, at the latest.
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

/// The ports that the services connect to.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// Of RabbitMQ.
    pub broker: u16,
    /// Of MariaDB.
    pub database: u16,
}

impl Watch {
    /// Begins the watch, and probes each endpoint once per `interval`.
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
                watch.repeat(CHECK_INTERVAL, move |shared| shared.ask_oslo(index, &uri));
            }
        }
        watch.repeat(CHECK_INTERVAL, move |shared| shared.look_at_processes(ports));
        watch
    }

    /// The time since the watch began: the clock of all timelines.
    pub fn now(&self) -> Duration {
        self.shared.start.elapsed()
    }

    /// Passes the observations so far to `look`.
    pub fn so_far<T>(&self, look: impl FnOnce(&[Seen]) -> T) -> T {
        look(&self.shared.seen())
    }

    /// Sets the new process group of a restarted service.
    pub fn follow(&self, service: &str, group: u32) {
        let index = self.so_far(|seen| seen.iter().position(|seen| seen.service == service));
        if let Some(index) = index {
            self.shared.groups.lock().unwrap_or_else(PoisonError::into_inner)[index] = group;
        }
    }

    /// Ends the watch and returns the observations.
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
                // After a delay, continue at once and skip the missed times.
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
        let answer = get(uri, "/healthcheck", OSLO_TIMEOUT);
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
        let snapshot = Snapshot::take(&[ports.broker, ports.database]);
        let at = self.start.elapsed();
        for (index, group) in groups.into_iter().enumerate() {
            let exists = snapshot.has_process(group);
            let (broker, database) =
                (snapshot.is_connected(group, ports.broker), snapshot.is_connected(group, ports.database));
            let seen = &mut self.seen()[index];
            seen.pgrep.record(at, ok_if(exists), "");
            seen.broker.record(at, ok_if(broker), "");
            seen.database.record(at, ok_if(database), "");
        }
    }
}

fn ok_if(ok: bool) -> Status {
    if ok { Status::Ok } else { Status::Fault }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers the first probe with DEGRADED, and no other.
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
    fn an_endpoint_that_goes_away_is_silent() {
        let own = rustix::process::getpgrp().as_raw_nonzero().get().unsigned_abs();
        let watched = Watched { service: String::from("one"), uri: answer_once(), group: own, oslo: None };
        let ports = Ports { broker: 1, database: 1 };
        let watch = Watch::begin(&[watched], ports, Duration::from_millis(5));
        while watch.so_far(|seen| seen[0].ours.changes().len() < 2 || seen[0].pgrep.last().is_none()) {
            assert!(watch.now() < Duration::from_secs(10), "{:?}", watch.so_far(<[Seen]>::to_vec));
            thread::sleep(Duration::from_millis(5));
        }
        let seen = watch.end().remove(0);
        let statuses: Vec<_> = seen.ours.changes().iter().map(|change| change.status).collect();
        assert_eq!(statuses, [Status::Degraded, Status::Silent]);
        assert_eq!(seen.ours.changes()[0].note, "database: gone");
        assert_eq!(seen.pgrep.at(Duration::MAX), Some(Status::Ok));
        assert_eq!(seen.broker.at(Duration::MAX), Some(Status::Fault));
        assert!(seen.pace.longest_wait() > Duration::ZERO);
    }
}
