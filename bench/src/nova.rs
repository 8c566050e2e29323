//! What the hooks cost Nova: the API and the conductor with them and without, at the same time, on real servers.

use crate::measure::{Rounds, Spread};
use crate::place;
use crate::table::{Part, Unit};
use anyhow::{Context, Result, ensure};
use healthboard_e2e::{API, CONDUCTOR, Cluster, Concurrency, Setup, children};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Rounds of three turns: without, with, without.
const ROUNDS: usize = 40;
const REQUESTS: u32 = 10;
const CALLS: u32 = 50;

const NAMES: [&str; 3] = ["without", "with", "without, again"];

pub fn run() -> Result<Part> {
    let setup = Setup::prepare_cluster()?;
    let mut part = Part::new(
        "Nova with and without",
        format!(
            "Two clusters at a time (MariaDB, RabbitMQ, placement), one with `healthboard-run` and one without: the API under \
             uWSGI with two processes is asked for `/v2.1/os-services`, the conductor, with two workers, for a `ping` by RPC. \
             Turns of {REQUESTS} requests or {CALLS} calls, {ROUNDS} rounds of three turns: without, with, without. The median \
             of the rounds, in parentheses the quartiles. The noise is what the second turn without differs from the first, and \
             its upper quartile is the goal. CPU is that of all processes of the service."
        ),
    );
    let mut bare = Cluster::new(&setup, Concurrency::Threading)?;
    let mut ours = Cluster::new(&setup, Concurrency::Threading)?;
    for service in [CONDUCTOR, API] {
        bare.start_bare(service, &[])?;
        ours.start(service)?;
    }
    bare.ready()?;
    ours.ready()?;
    let (mut bare_calls, mut our_calls) = (Caller::start(&setup, &bare)?, Caller::start(&setup, &ours)?);
    measure(
        &mut part,
        "request to the API",
        &bare,
        &ours,
        API,
        |cluster| requests(cluster, REQUESTS),
        REQUESTS,
    )?;
    let bare_folder = bare.folder().to_owned();
    let calls = |cluster: &Cluster| {
        if cluster.folder() == bare_folder { bare_calls.call(CALLS) } else { our_calls.call(CALLS) }
    };
    measure(&mut part, "RPC to the conductor", &bare, &ours, CONDUCTOR, calls, CALLS)?;
    for service in [API, CONDUCTOR] {
        added(&mut part, service, &bare, &ours)?;
    }
    instructions(&mut part, &setup, "query", "a query on SQLite", 2000)?;
    instructions(&mut part, &setup, "rpc", "what the hooks replace, for an RPC, client and server", 2000)?;
    instructions(&mut part, &setup, "request", "a request to a WSGI application that does nothing", 2000)?;
    Ok(part)
}

/// The instructions of one database query, of what an RPC has the hooks do, or of a request, as the difference between so many and twice as
/// many.
fn instructions(part: &mut Part, setup: &Setup, what: &str, name: &str, times: u64) -> Result<()> {
    let count = |how: &str, times: u64| -> Result<u64> {
        let place = place()?;
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(setup.program("python"))
            .args([concat!(env!("CARGO_MANIFEST_DIR"), "/hooks.py"), what, how, &times.to_string()])
            .arg(place.path())
            .env("PYTHONHASHSEED", "0")
            .output()
            .context("cannot start valgrind")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let found = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
        ensure!(output.status.success(), "valgrind: {said}");
        found.with_context(|| format!("valgrind counted nothing: {said}"))
    };
    let one = |how| -> Result<f64> {
        Ok((count(how, 2 * times)? as f64 - count(how, times)? as f64) / times as f64)
    };
    let single = |value| Spread::of(vec![value]);
    for how in ["without", "with"] {
        part.row(format!("instructions of {name}, {how}"), single(one(how)?), Unit::Instructions, "");
    }
    Ok(())
}

/// Time and CPU of what `work` does, `times` of it in a turn.
fn measure(
    part: &mut Part,
    what: &str,
    bare: &Cluster,
    ours: &Cluster,
    service: &str,
    mut work: impl FnMut(&Cluster) -> Result<()>,
    times: u32,
) -> Result<()> {
    let names = || NAMES.map(str::to_owned).to_vec();
    let mut time = Rounds { names: names(), nanoseconds: vec![Vec::new(); 3] };
    let mut cpu = time.clone();
    for round in 0..=ROUNDS {
        for (i, cluster) in [bare, ours, bare].into_iter().enumerate() {
            let (began, before) = (Instant::now(), cpu_of(cluster, service)?);
            work(cluster)?;
            let elapsed = began.elapsed();
            let used = cpu_of(cluster, service)? - before;
            // The first round warms up.
            if round > 0 {
                time.nanoseconds[i].push(elapsed.as_nanos() as f64 / f64::from(times));
                cpu.nanoseconds[i].push(used.as_nanos() as f64 / f64::from(times));
            }
        }
    }
    for (kind, rounds) in [("time", &time), ("CPU", &cpu)] {
        for name in NAMES {
            let ratio = rounds.ratio(name, NAMES[0]).median;
            let shown = rounds.time(name).map(|ns| ns / 1e6);
            part.row(format!("{what}, {kind}, {name}"), shown, Unit::Milliseconds, format!("{ratio:.3}"));
        }
        let noise = rounds.ratio(NAMES[2], NAMES[0]);
        let limit = noise.high.max(1.0 / noise.low);
        part.goal(
            format!("{what}, {kind}, with / without"),
            limit,
            Unit::Times,
            rounds.ratio(NAMES[1], NAMES[0]),
        );
    }
    Ok(())
}

/// Memory and threads that one process more or less has.
fn added(part: &mut Part, service: &str, bare: &Cluster, ours: &Cluster) -> Result<()> {
    let mean = |cluster: &Cluster, look: fn(u32) -> Result<f64>| -> Result<f64> {
        let workers = cluster.daemon(service)?.workers();
        let values = workers.iter().map(|pid| look(*pid)).collect::<Result<Vec<_>>>()?;
        Ok(values.iter().sum::<f64>() / values.len().max(1) as f64)
    };
    let memory = mean(ours, private_kib)? - mean(bare, private_kib)?;
    let threads = mean(ours, threads)? - mean(bare, threads)?;
    let one = |value| Spread::of(vec![value]);
    part.row(
        format!("memory of its own that a worker of {service} has more"),
        one(memory),
        Unit::Kibibytes,
        "",
    );
    part.row(format!("threads that a worker of {service} has more"), one(threads), Unit::Threads, "");
    Ok(())
}

fn private_kib(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let private = text.lines().filter(|line| line.starts_with("Private_"));
    let values = private.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    Ok(values.sum())
}

fn threads(pid: u32) -> Result<f64> {
    Ok(fs::read_dir(format!("/proc/{pid}/task"))?.count() as f64)
}

/// CPU time of the master and its workers so far.
fn cpu_of(cluster: &Cluster, service: &str) -> Result<Duration> {
    // What they still do after the last answer is part of it.
    std::thread::sleep(Duration::from_millis(5));
    let master = cluster.daemon(service)?.pid();
    let mut nanoseconds = 0;
    for pid in children(master).into_iter().chain([master]) {
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let line = fs::read_to_string(thread?.path().join("schedstat"))?;
            nanoseconds += line.split(' ').next().context("an empty schedstat")?.parse::<u64>()?;
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn requests(cluster: &Cluster, times: u32) -> Result<()> {
    let url = cluster.api_url();
    let address = url.strip_prefix("tcp://").context("the API has no address")?;
    let request = "GET /v2.1/os-services HTTP/1.0\r\nHost: localhost\r\nX-User-Id: bench\r\nX-Project-Id: bench\r\n\
                   X-Roles: admin\r\n\r\n";
    for _ in 0..times {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.contains(" 200 OK"), "the API answered: {answer}");
    }
    Ok(())
}

/// A client of the conductor in a process of its own, without us.
struct Caller {
    say: ChildStdin,
    hear: BufReader<ChildStdout>,
}

impl Caller {
    fn start(setup: &Setup, cluster: &Cluster) -> Result<Caller> {
        let mut child = Command::new(setup.program("python"))
            .args([concat!(env!("CARGO_MANIFEST_DIR"), "/rpc.py"), "--config-file", "nova.conf"])
            .current_dir(cluster.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let missing = "the client has no pipe";
        let say = child.stdin.take().context(missing)?;
        // It ends with its standard input.
        Ok(Caller { say, hear: BufReader::new(child.stdout.take().context(missing)?) })
    }

    fn call(&mut self, times: u32) -> Result<()> {
        writeln!(self.say, "{times}")?;
        let mut line = String::new();
        self.hear.read_line(&mut line)?;
        ensure!(line.trim() == times.to_string(), "the client of the conductor said: {line}");
        Ok(())
    }
}
