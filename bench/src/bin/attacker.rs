//! Clients that mean no good: `attacker KIND CONNECTIONS ADDRESS`. They go on until standard input ends, and then write how many
//! requests were answered and how many connections the server ended that had not asked for it.

use anyhow::{Context, Result, bail};
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A step of those that wait for the clock and not for the server.
const TICK: Duration = Duration::from_millis(10);
/// Connections that are opened in one step, so that the server's queue of newcomers does not overflow at the start.
const MAX_OPENED: usize = 200;
/// A slow client sends a byte, and one that was closed comes again, after so long.
const PAUSE: Duration = Duration::from_secs(1);

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// They connect and say nothing.
    Idle,
    /// They send a head byte by byte.
    Slow,
    /// A new connection for each request.
    Connections,
    /// They send requests without waiting for answers.
    Pipelined,
    /// Long heads, each another one.
    Heavy,
    /// One request after the other, on one connection.
    Busy,
}

/// One connection and what it is at.
struct Client {
    /// `None`: to be opened at `due`.
    socket: Option<OwnedFd>,
    due: Instant,
    is_connected: bool,
    /// What is still to be sent.
    output: Vec<u8>,
    sent: usize,
    /// What came of an answer that is not complete.
    input: Vec<u8>,
    watched: EventFlags,
}

struct Clients {
    kind: Kind,
    address: SocketAddr,
    epoll: OwnedFd,
    all: Vec<Client>,
    answered: u64,
    ended: u64,
    scratch: Vec<u8>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, connections, address] = &arguments[..] else {
        bail!("usage: attacker KIND CONNECTIONS ADDRESS")
    };
    let kind = match kind.as_str() {
        "idle" => Kind::Idle,
        "slow" => Kind::Slow,
        "connections" => Kind::Connections,
        "pipelined" => Kind::Pipelined,
        "heavy" => Kind::Heavy,
        "busy" => Kind::Busy,
        other => bail!("no such kind of clients: `{other}`"),
    };
    // The good probe shares a core with these, and is not what they are to keep waiting.
    // SAFETY: a system call about this process alone.
    unsafe { libc::nice(5) };
    let mut clients = Clients::new(kind, connections.parse()?, address.parse()?)?;
    let ended: &'static AtomicBool = Box::leak(Box::default());
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        ended.store(true, Relaxed);
    });
    while !ended.load(Relaxed) {
        clients.step()?;
    }
    println!("{} {}", clients.answered, clients.ended);
    Ok(())
}

impl Clients {
    fn new(kind: Kind, connections: usize, address: SocketAddr) -> Result<Clients> {
        let limit = rustix::process::Rlimit {
            current: Some(connections as u64 + 64),
            ..rustix::process::getrlimit(rustix::process::Resource::Nofile)
        };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)
            .with_context(|| format!("{connections} connections need as many descriptors"))?;
        let start = Instant::now();
        let client = |i: usize| Client {
            socket: None,
            // Spread over a second, whatever their number.
            due: start + PAUSE.mul_f64(i as f64 / connections as f64),
            is_connected: false,
            output: Vec::new(),
            sent: 0,
            input: Vec::new(),
            watched: EventFlags::empty(),
        };
        Ok(Clients {
            kind,
            address,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            all: (0..connections).map(client).collect(),
            answered: 0,
            ended: 0,
            scratch: vec![0; 1 << 16],
        })
    }

    fn step(&mut self) -> Result<()> {
        let now = Instant::now();
        let mut opened = 0;
        for i in 0..self.all.len() {
            let client = &mut self.all[i];
            if client.due > now {
                continue;
            }
            if client.socket.is_none() && opened < MAX_OPENED {
                opened += 1;
                self.open(i)?;
            } else if self.kind == Kind::Slow && client.socket.is_some() && client.is_connected {
                client.due = now + PAUSE;
                client.output.push(b'a');
                self.write(i, now);
            }
        }
        let mut events: Vec<Event> = Vec::with_capacity(256);
        let until = Instant::now() + TICK;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            events.clear();
            let timeout = Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
            match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            let now = Instant::now();
            for event in &events {
                let i = event.data.u64() as usize;
                let flags = event.flags;
                if flags.intersects(EventFlags::OUT) {
                    self.all[i].is_connected = true;
                    self.write(i, now);
                }
                if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                    self.read(i, now);
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, i: usize) -> Result<()> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &self.address) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error).context("cannot connect"),
        }
        let client = &mut self.all[i];
        let (kind, number) = (self.kind, self.answered);
        client.output = match kind {
            Kind::Idle => Vec::new(),
            Kind::Slow => b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".to_vec(),
            _ => request(kind, i, number),
        };
        (client.sent, client.is_connected) = (0, false);
        client.input.clear();
        client.watched = EventFlags::IN | EventFlags::OUT;
        epoll::add(&self.epoll, &socket, EventData::new_u64(i as u64), client.watched)?;
        client.socket = Some(socket);
        client.due = Instant::now() + PAUSE;
        Ok(())
    }

    fn write(&mut self, i: usize, now: Instant) {
        loop {
            let client = &mut self.all[i];
            let Some(socket) = &client.socket else { return };
            if client.sent == client.output.len() {
                client.output.clear();
                client.sent = 0;
                if self.kind != Kind::Pipelined {
                    return self.watch(i, EventFlags::IN);
                }
                client.output = request(self.kind, i, self.answered).repeat(32);
            }
            match rustix::net::send(socket, &client.output[client.sent..], SendFlags::NOSIGNAL) {
                Ok(count) => client.sent += count,
                Err(Errno::AGAIN) => return self.watch(i, EventFlags::IN | EventFlags::OUT),
                Err(_) => return self.end(i, now, false),
            }
        }
    }

    fn read(&mut self, i: usize, now: Instant) {
        let client = &mut self.all[i];
        let Some(socket) = &client.socket else { return };
        match rustix::net::recv(socket, &mut *self.scratch, RecvFlags::empty()) {
            Ok((0, _)) | Err(Errno::CONNRESET | Errno::PIPE | Errno::CONNREFUSED) => {
                let good = self.kind == Kind::Connections && !client.input.is_empty();
                self.answered += u64::from(good);
                self.end(i, now, good);
            }
            Ok((count, _)) => match self.kind {
                Kind::Idle | Kind::Slow => {}
                Kind::Pipelined => {
                    let begins = |bytes: &&[u8]| bytes.starts_with(b"HTTP/1.1 200");
                    self.answered += self.scratch[..count].windows(12).filter(begins).count() as u64;
                }
                Kind::Connections => client.input.extend_from_slice(&self.scratch[..count]),
                Kind::Heavy | Kind::Busy => {
                    client.input.extend_from_slice(&self.scratch[..count]);
                    if is_whole(&client.input) {
                        client.input.clear();
                        self.answered += 1;
                        client.output = request(self.kind, i, self.answered);
                        client.sent = 0;
                        self.write(i, now);
                    }
                }
            },
            Err(_) => {}
        }
    }

    /// The connection is over; `good`: as the client wanted.
    fn end(&mut self, i: usize, now: Instant, good: bool) {
        let client = &mut self.all[i];
        client.socket = None;
        self.ended += u64::from(!good);
        client.due = if good { now } else { now + PAUSE };
    }

    fn watch(&mut self, i: usize, flags: EventFlags) {
        let client = &mut self.all[i];
        if let Some(socket) = &client.socket
            && client.watched != flags
        {
            client.watched = flags;
            epoll::modify(&self.epoll, socket, EventData::new_u64(i as u64), flags).expect("it is watched");
        }
    }
}

/// What a client of this kind asks.
fn request(kind: Kind, client: usize, number: u64) -> Vec<u8> {
    match kind {
        Kind::Heavy => {
            // About 7.5 KB, and never the same twice: nothing that is kept helps.
            let lines: String =
                (0..96).map(|n| format!("X-Heavy-{n:02}: {:050}-{client}\r\n", number)).collect();
            let excluded: String = (0..16).map(|n| format!("&exclude=name{n}-{number}")).collect();
            format!("GET /readyz?verbose{excluded} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n").into_bytes()
        }
        Kind::Connections => b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec(),
        _ => b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    }
}

/// Whether this is an answer to its end.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    bytes.len() >= head + 4 + length.unwrap_or(0usize)
}
