//! The real HAProxy, and what it says about its servers.

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::servers::{Server, free_port};

/// How often it is asked about its servers.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// A server with this weight, of 100, or less gets next to nothing.
const MIN_WEIGHT: u32 = 2;

/// A running HAProxy with one backend.
pub(super) struct HaProxy {
    server: Server,
    address: SocketAddr,
    statistics: PathBuf,
}

impl HaProxy {
    /// Starts it in `folder` with this configuration of the backend `nova-api`, and returns when both servers are in.
    pub(super) fn start(folder: &Path, backend: &str) -> Result<Self> {
        let address: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
        let statistics = folder.join("haproxy.sock");
        let front = format!(
            "global\n    stats socket {} mode 600 level admin\n    log stdout format raw local0\n\
             defaults front\n    mode http\n    log global\n    option httplog\n    option dontlog-normal\n    \
             timeout connect 2s\n    timeout client 90s\n    timeout server 90s\n\
             frontend front from front\n    bind {address}\n    default_backend nova-api\n",
            statistics.display()
        );
        let file = folder.join("haproxy.cfg");
        fs::write(&file, front + backend)?;
        let mut command = Command::new("haproxy");
        command.args(["-db", "-f"]).arg(file);
        let socket = statistics.clone();
        let is_in =
            move || States::read(&socket).is_ok_and(|states| states.checked && states.out == [false; 2]);
        let mut server = Server::new("haproxy", command, folder, is_in)?;
        server.start()?;
        Ok(Self { server, address, statistics })
    }

    /// Where its clients connect.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Watches its servers. Times count from `start`.
    pub(super) fn watch(&self, start: Instant) -> Watch {
        let done = Arc::new(AtomicBool::new(false));
        let (flag, socket) = (done.clone(), self.statistics.clone());
        let thread = thread::spawn(move || {
            let mut seen: Vec<Seen> = Vec::new();
            loop {
                // Relaxed: what it orders is read from a socket.
                let is_last = flag.load(Ordering::Relaxed);
                if let Ok(States { out, idle, .. }) = States::read(&socket)
                    && seen.last().is_none_or(|last| (last.out, last.idle) != (out, idle))
                {
                    seen.push(Seen { at: start.elapsed(), out, idle });
                }
                if is_last {
                    return seen;
                }
                sleep(POLL_INTERVAL);
            }
        });
        Watch { done, thread }
    }

    /// Gives the command to `HAProxy` that an operator gives, such as `set server nova-api/api1 state drain`.
    pub(super) fn command(&self, line: &str) -> Result<()> {
        let said = ask(&self.statistics, line)?;
        ensure!(said.trim().is_empty(), "`{line}`: {said}");
        Ok(())
    }

    /// How many requests each server has got.
    pub(super) fn requests(&self) -> Result<[u64; 2]> {
        Ok(States::read(&self.statistics)?.requests)
    }

    /// Whether each server gets nothing now.
    pub(super) fn idle(&self) -> Result<[bool; 2]> {
        Ok(States::read(&self.statistics)?.idle)
    }

    /// Whether each server is out now.
    pub(super) fn out(&self) -> Result<[bool; 2]> {
        Ok(States::read(&self.statistics)?.out)
    }

    /// How many requests were sent to a server again, to the same or another one.
    pub(super) fn retries(&self) -> Result<u64> {
        Ok(States::read(&self.statistics)?.retries)
    }

    /// Stops it.
    pub(super) fn stop(mut self) {
        self.server.stop();
    }
}

/// The state of both servers from some time on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) at: Duration,
    /// Whether each gets no new requests, or next to none.
    pub(super) out: [bool; 2],
    /// Whether it gets none at all.
    pub(super) idle: [bool; 2],
}

/// A running [`HaProxy::watch`].
pub(super) struct Watch {
    done: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Seen>>,
}

impl Watch {
    /// Returns all changes.
    pub(super) fn end(self) -> Result<Vec<Seen>> {
        self.done.store(true, Ordering::Relaxed);
        self.thread.join().ok().context("the watch has panicked")
    }
}

/// The state of both servers.
struct States {
    /// A server that is not in the configuration is in.
    out: [bool; 2],
    idle: [bool; 2],
    /// Whether each has passed a check. Before its first one, a server is in.
    checked: bool,
    requests: [u64; 2],
    retries: u64,
}

impl States {
    fn read(socket: &Path) -> Result<Self> {
        Self::parse(&ask(socket, "show stat")?).context("HAProxy's statistics lack a server or a column")
    }

    fn parse(text: &str) -> Option<Self> {
        let columns: Vec<&str> = text.lines().next()?.trim_start_matches("# ").split(',').collect();
        let column = |name| columns.iter().position(|column| *column == name);
        let (name, status) = (column("svname")?, column("status")?);
        let (weight, retries, check) = (column("weight")?, column("wretr")?, column("check_status")?);
        let requests = column("stot")?;
        let mut states =
            Self { out: [false; 2], idle: [false; 2], checked: true, requests: [0; 2], retries: 0 };
        for line in text.lines() {
            let fields: Vec<&str> = line.split(',').collect();
            if fields.get(name) == Some(&"BACKEND") {
                states.retries += fields.get(retries)?.parse::<u64>().unwrap_or_default();
            }
            let Some(number) = ["api1", "api2"].iter().position(|server| fields.get(name) == Some(server))
            else {
                continue;
            };
            // `UP 1/2` is on its way down and still gets requests.
            let weight: u32 = fields.get(weight)?.parse().ok()?;
            states.idle[number] = !fields.get(status)?.starts_with("UP") || weight == 0;
            states.out[number] = states.idle[number] || weight <= MIN_WEIGHT;
            states.checked &= fields.get(check)?.ends_with("OK");
            states.requests[number] = fields.get(requests)?.parse().ok()?;
        }
        Some(states)
    }
}

/// What it says to a line.
fn ask(socket: &Path, line: &str) -> Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    writeln!(stream, "{line}")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(lines: &str) -> States {
        let columns = "# pxname,svname,wretr,status,weight,check_status,stot,\n";
        States::parse(&format!("{columns}{lines}nova-api,BACKEND,7,UP,200,,9,\n")).unwrap()
    }

    #[test]
    fn a_server_with_next_to_no_weight_is_out_and_not_idle_and_one_with_none_is_idle() {
        let found = states("nova-api,api1,3,UP,2,L7OK,5,\nnova-api,api2,4,UP 1/2,3,* L7OK,4,\n");
        assert_eq!((found.out, found.idle), ([true, false], [false, false]));
        assert!(found.checked);
        assert_eq!((found.retries, found.requests), (7, [5, 4]));
        let found = states("nova-api,api1,3,UP,0,L7OK,5,\nnova-api,api2,4,UP,100,L7OK,4,\n");
        assert_eq!((found.out, found.idle), ([true, false], [true, false]));
    }

    #[test]
    fn a_server_that_is_down_drains_or_is_gone_from_balancing_is_idle() {
        for status in ["DOWN", "DOWN 1/2", "DOWN (agent)", "NOLB", "DRAIN", "MAINT"] {
            let found = states(&format!(
                "nova-api,api1,0,{status},100,L7STS,0,\nnova-api,api1-unchecked,0,no check,100,,0,\n"
            ));
            assert_eq!((found.out, found.idle), ([true, false], [true, false]), "{status}");
            assert!(!found.checked);
        }
    }
}
