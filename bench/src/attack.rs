//! A good probe among clients that mean no good.

use crate::cores::Cores;
use crate::load::Target;
use crate::measure::Spread;
use crate::place;
use crate::probe::{free, nginx};
use crate::process::{Running, built, service, until};
use crate::table::{Part, Unit};
use anyhow::{Context, Result};
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Turns of each server under each attack.
const ROUNDS: usize = 4;
/// Probes in each turn, and from the beginning of one to that of the next.
const PROBES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// A turn in which probes are not answered ends earlier. Those that were sent count.
const MAX_TURN: Duration = Duration::from_secs(10);

const ATTACKS: [(&str, &str, usize); 7] = [
    ("nothing", "idle", 0),
    ("10,000 idle clients", "idle", 10_000),
    ("2,000 slow clients", "slow", 2_000),
    ("a flood of connections", "connections", 64),
    ("a flood of pipelined requests", "pipelined", 100),
    ("a flood of heavy requests", "heavy", 40),
    ("1,000 busy keep-alive clients", "busy", 1_000),
];

pub fn run() -> Result<Part> {
    let mut part = Part::new(
        "A good probe under attack",
        format!(
            "Wall time of a probe over a new TCP connection, from connecting to the end of the answer, every 10 ms: the 99th \
             percentile, and the median and the worst of {}. Ours and nginx are attacked in turn. The server has one core; the \
             attackers share the other one with the good probe, which has priority over them, so its time includes waiting for \
             a core as much as waiting for the server. Whoever is closed comes again after a second. Slow clients send a byte a \
             second. Connections: 64 clients, a new connection for each request. Pipelined: 100 clients that never wait for an \
             answer. Heavy: 40 clients, heads of 7 KB with 96 lines, never the same twice. nginx has room for 16,384 \
             connections, ours for 2,048; nginx answers a constant.",
            ROUNDS as u32 * PROBES
        ),
    );
    let place = place()?;
    let (tcp, nginx_tcp) = (free()?, free()?);
    let (ours, nginx) = {
        let _last = Cores::last()?;
        (service(place.path(), Some(&format!("tcp://{tcp}")))?, nginx(place.path(), nginx_tcp, 1000)?)
    };
    let _first = Cores::first()?;
    for address in [tcp, nginx_tcp] {
        until("the server answers", || Target::Tcp(address).probe(1, true).is_ok())?;
    }
    for (what, kind, connections) in ATTACKS {
        let mut measured =
            [(&ours, tcp), (&nginx, nginx_tcp)].map(|(server, address)| Measured::new(server, address));
        for _ in 0..ROUNDS {
            for server in &mut measured {
                server.turn(kind, connections)?;
            }
        }
        for (name, server) in ["healthboard", "nginx"].into_iter().zip(&mut measured) {
            server.times.sort_unstable();
            let shown = server.at(0.99);
            part.row(
                format!("{what}, {name}"),
                Spread::of(vec![shown]),
                Unit::Milliseconds,
                server.describe(),
            );
        }
        let [ours, _] = measured;
        if connections > 0 {
            let p99 = Spread::of(vec![ours.at(0.99)]);
            part.goal(format!("p99 of a good probe among {what}"), 50.0, Unit::Milliseconds, p99);
        }
        if kind == "busy" {
            let ended = Spread::of(vec![ours.ended as f64]);
            part.goal("busy keep-alive clients that were closed", 0.0, Unit::Count, ended);
        }
    }
    Ok(part)
}

/// One server under one attack.
struct Measured<'a> {
    server: &'a Running,
    address: SocketAddr,
    times: Vec<Duration>,
    elapsed: Duration,
    cpu: Duration,
    answered: u64,
    ended: u64,
}

impl<'a> Measured<'a> {
    fn new(server: &'a Running, address: SocketAddr) -> Measured<'a> {
        let zero = Duration::ZERO;
        Measured { server, address, times: Vec::new(), elapsed: zero, cpu: zero, answered: 0, ended: 0 }
    }

    fn turn(&mut self, kind: &str, connections: usize) -> Result<()> {
        let attackers = Attackers::start(kind, connections, self.address)?;
        // They open their connections in the first second.
        std::thread::sleep(Duration::from_millis(1500));
        let (start, cpu) = (Instant::now(), self.server.cpu()?);
        for number in 0..PROBES {
            if start.elapsed() > MAX_TURN {
                break;
            }
            std::thread::sleep((start + PAUSE * number).saturating_duration_since(Instant::now()));
            let began = Instant::now();
            // One that fails has waited for as long as it takes to fail, and is not forgiven for being refused at once.
            let answered = Target::Tcp(self.address).probe(1, false);
            let took = began.elapsed();
            self.times.push(if answered.is_ok() { took } else { took.max(Duration::from_secs(1)) });
        }
        self.cpu += self.server.cpu()? - cpu;
        self.elapsed += start.elapsed();
        let (answered, ended) = attackers.stop()?;
        self.answered += answered;
        self.ended += ended;
        Ok(())
    }

    /// Milliseconds within which this part of the probes was answered.
    fn at(&self, part: f64) -> f64 {
        let last = self.times.len() - 1;
        self.times[(last as f64 * part).ceil() as usize].as_secs_f64() * 1e3
    }

    fn describe(&self) -> String {
        let cpu = self.cpu.as_secs_f64() / self.elapsed.as_secs_f64() * 100.0;
        let (median, worst) = (self.at(0.5), self.at(1.0));
        let mut text = format!("median {median:.2} ms, worst {worst:.2} ms; {cpu:.0} % of a core");
        if self.answered > 0 {
            text.push_str(&format!(
                "; {} attacking requests answered, {} clients closed",
                self.answered, self.ended
            ));
        }
        text
    }
}

/// The clients, in a process of their own.
struct Attackers(Child);

impl Attackers {
    fn start(kind: &str, connections: usize, address: SocketAddr) -> Result<Attackers> {
        let mut command = Command::new(built("attacker"));
        command.args([kind, &connections.to_string(), &address.to_string()]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        Ok(Attackers(child.context("cannot start the attackers")?))
    }

    /// How many of their requests were answered, and how many of them were closed.
    fn stop(mut self) -> Result<(u64, u64)> {
        drop(self.0.stdin.take());
        let mut text = String::new();
        self.0.stdout.take().context("the attackers have no output")?.read_to_string(&mut text)?;
        let numbers: Vec<u64> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let [answered, ended] = numbers[..] else { anyhow::bail!("the attackers said: {text}") };
        Ok((answered, ended))
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
