//! An agent of a host with many services.

use crate::measure::Spread;
use crate::place;
use crate::process::{Running, built, until};
use crate::table::{Part, Unit};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

const SERVICES: usize = 200;
const SCRAPES: usize = 101;

/// The services of one process.
const PER_PROCESS: usize = 10;

/// How often a monitor asks, in seconds.
const INTERVAL: f64 = 15.0;

pub fn run() -> Result<Part> {
    let mut part = Part::new(
        "The agent",
        "`healthboard agent` over 200 services with 8 indicators each, asked for `/metrics` 101 times, once in each tick of its clock and \
         more: the median of the CPU time of a scrape, in parentheses the quartiles. Asked every 15 s, that is its share of a core.",
    );
    let place = place()?;
    let names: Vec<String> = (0..SERVICES).map(|number| format!("service-{number:03}")).collect();
    let _services: Vec<Running> = names
        .chunks(PER_PROCESS)
        .map(|names| Running::start(Command::new(built("services")).arg(place.path()).args(names)))
        .collect::<Result<_>>()?;
    let socket = place.path().join("agent.sock");
    let mut command = Command::new(built("healthboard"));
    command
        .args(["agent", "--listen", &format!("unix://{}", socket.display()), "--boards"])
        .arg(place.path());
    let agent = Running::start(command.stderr(std::process::Stdio::null()))?;
    until("the agent answers", || {
        scrape(&socket).is_ok_and(|text| text.matches("healthboard_stopped{").count() == SERVICES)
    })?;
    let mut times = Vec::new();
    for _ in 0..SCRAPES {
        let before = agent.cpu()?;
        scrape(&socket)?;
        times.push((agent.cpu()? - before).as_secs_f64() * 1e3);
        // No report of before is used again.
        std::thread::sleep(std::time::Duration::from_millis(120));
    }
    let scrape_ms = Spread::of(times);
    let memory = Spread::of(vec![resident(&agent)?]);
    part.row("one scrape", scrape_ms, Unit::Milliseconds, "");
    part.row("resident memory", memory, Unit::Kibibytes, "");
    part.goal("memory of an agent of 200 services", 6.0 * 1024.0, Unit::Kibibytes, memory);
    part.goal(
        "an agent of 200 services, asked every 15 s",
        0.1,
        Unit::Percent,
        scrape_ms.map(|ms| ms / 1e3 / INTERVAL * 100.0),
    );
    Ok(part)
}

fn scrape(socket: &Path) -> Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    ensure!(text.starts_with("HTTP/1.0 200"), "{text:.100}");
    Ok(text)
}

/// KiB.
fn resident(agent: &Running) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
