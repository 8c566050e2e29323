//! The clients of a balanced API.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::probe::exchange;

/// How long a client waits. Longer than a balancer waits for one server and then for another one.
const PATIENCE: Duration = Duration::from_secs(75);
/// A client needs little.
const STACK_BYTES: usize = 256 << 10;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    /// The versions of the API. No database is needed.
    Versions,
    /// The keypairs of a user, from the database.
    Keypairs,
    /// To lock a server that, according to the database, does not exist. A balancer must not send this twice.
    Lock,
}

impl Ask {
    /// The mix: of twenty requests, one needs the database, and one more must not be sent twice. Without its database, a nova-api
    /// takes ten times as long for either. Which ones follows no period: one server of a round robin would get all of a kind.
    fn of(number: usize) -> Self {
        // The finalizer of SplitMix64 (Steele, Lea and Flood, 2014).
        let mut mixed = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        match (mixed ^ (mixed >> 31)) % 20 {
            0 => Self::Keypairs,
            1 => Self::Lock,
            _ => Self::Versions,
        }
    }

    /// The request line, the body, and the status code of the right answer.
    fn parts(self) -> (&'static str, &'static str, u16) {
        match self {
            Self::Versions => ("GET /", "", 200),
            Self::Keypairs => ("GET /v2.1/os-keypairs", "", 200),
            Self::Lock => {
                ("POST /v2.1/servers/6b9ee1bc-3a53-4a0e-8e1f-0dd0e1ea2e01/action", r#"{"lock": null}"#, 404)
            }
        }
    }
}

/// A request and what became of it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) ask: Ask,
    /// When it was sent.
    pub(super) at: Duration,
    /// How long the client waited.
    pub(super) took: Duration,
    /// Why the client did not get the right answer; empty if it did.
    pub(super) wrong: String,
}

/// Clients that go on asking, each request at its time, whether or not earlier ones were answered.
pub(super) struct Load {
    enough: Arc<AtomicBool>,
    clients: JoinHandle<Vec<Asked>>,
}

impl Load {
    /// Sends `per_second` requests to `uri`, until `minimum` have been sent and [`Load::end`] is called. Times count from `start`.
    pub(super) fn begin(uri: String, per_second: u32, minimum: usize, start: Instant) -> Self {
        let enough = Arc::new(AtomicBool::new(false));
        let flag = enough.clone();
        let clients = thread::spawn(move || {
            let (sender, results) = mpsc::channel();
            let begin = Instant::now();
            // Relaxed: nothing else depends on it.
            for number in (0..).take_while(|number| *number < minimum || !flag.load(Ordering::Relaxed)) {
                let due = Duration::from_secs(1) * number as u32 / per_second;
                sleep(due.saturating_sub(begin.elapsed()));
                let (sender, uri) = (sender.clone(), uri.clone());
                let client = thread::Builder::new().stack_size(STACK_BYTES);
                let _ = client.spawn(move || sender.send(ask(&uri, Ask::of(number), start)));
            }
            drop(sender);
            results.into_iter().collect()
        });
        Self { enough, clients }
    }

    /// Returns all requests when the last one has ended.
    pub(super) fn end(self) -> Result<Vec<Asked>> {
        self.enough.store(true, Ordering::Relaxed);
        self.clients.join().ok().context("the clients have panicked")
    }
}

fn ask(uri: &str, ask: Ask, start: Instant) -> Asked {
    let (line, body, right) = ask.parts();
    let request = format!(
        "{line} HTTP/1.0\r\nHost: nova.example.org\r\nX-User-Id: u\r\nX-Project-Id: p\r\nX-Roles: admin\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let at = start.elapsed();
    let wrong = match exchange(uri, &request, PATIENCE) {
        Ok(answer) => match answer.split(' ').nth(1).map(str::parse::<u16>) {
            Some(Ok(code)) if code == right => String::new(),
            Some(Ok(code)) => code.to_string(),
            _ => String::from("no answer"),
        },
        Err(error) => error.root_cause().to_string(),
    };
    Asked { ask, at, took: start.elapsed() - at, wrong }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_a_twentieth_and_no_server_of_a_round_robin_gets_more_of_it() {
        for kind in [Ask::Keypairs, Ask::Lock] {
            let numbers: Vec<usize> = (0..10_000).filter(|number| Ask::of(*number) == kind).collect();
            assert!((450..=550).contains(&numbers.len()), "{kind:?}: {}", numbers.len());
            for servers in 2..=5 {
                for server in 0..servers {
                    let share = numbers.iter().filter(|number| **number % servers == server).count();
                    let fair = numbers.len() / servers;
                    assert!(share.abs_diff(fair) <= fair / 3, "{kind:?}: {share} of {} x {servers}", fair);
                }
            }
        }
    }
}
