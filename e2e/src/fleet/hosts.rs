//! The agents of many hosts in one program.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::deploy::until;
use crate::probe::get_with;
use crate::servers::{Server, free_port};
use crate::setup::Setup;

/// The services of one process.
const PER_PROCESS: usize = 10;

/// How long an agent may take to see a fault.
const LIMIT: Duration = Duration::from_secs(30);

/// Addresses that differ in one of their four parts alone.
const PER_PART: usize = 250;

/// A thread that answers needs little.
const STACK: usize = 64 << 10;

/// What agents answer to Prometheus.
pub(super) struct Answers {
    well: String,
    ill: String,
}

impl Answers {
    /// Those of a real agent of a host with so many services.
    pub(super) fn of_agent(setup: &Setup, folder: &Path, services: usize) -> Result<Self> {
        let boards = folder.join("run");
        std::fs::create_dir_all(&boards)?;
        let names: Vec<String> = (0..services).map(|number| format!("service-{number:02}")).collect();
        let mut all: Vec<Services> = names
            .chunks(PER_PROCESS)
            .map(|names| Services::start(setup, &boards, names))
            .collect::<Result<_>>()?;
        let address: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
        let uri = format!("tcp://{address}");
        let mut agent = Command::new(setup.programs().join("healthboard"));
        agent.args(["agent", "--listen", &uri, "--boards"]).arg(&boards);
        let probed = uri.clone();
        let count = names.len();
        let is_whole = move |text: &str| text.matches("healthboard_stopped{").count() == count;
        let mut agent =
            Server::new("agent", agent, folder, move || metrics(&probed).is_ok_and(|text| is_whole(&text)))?;
        agent.start()?;
        let well = metrics(&uri)?;
        all.iter_mut().try_for_each(|services| services.tell("ill"))?;
        let broken = "indicator=\"database\",healthboard_indicator_status=\"FAULT\"} 1";
        let (ill, _) = until(
            "a broken database",
            LIMIT,
            |_| Ok(()),
            || Ok(Some(metrics(&uri)?).filter(|text| text.matches(broken).count() == count)),
        )?;
        Ok(Self { well, ill })
    }

    /// The series of a host, and the bytes of its answer, while all is well.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.well.lines().filter(|line| !line.starts_with('#')).count(), self.well.len())
    }
}

/// Some services in one process.
pub(crate) struct Services(Child);

impl Services {
    pub(crate) fn start(setup: &Setup, boards: &Path, names: &[String]) -> Result<Self> {
        let mut command = Command::new(setup.programs().join("host-services"));
        command.arg(boards).args(names).stdin(Stdio::piped());
        Ok(Self(command.spawn().context("cannot start host-services")?))
    }

    /// What `host-services` does with each word is in its head.
    pub(crate) fn tell(&mut self, word: &str) -> Result<()> {
        writeln!(self.0.stdin.as_mut().context("no input")?, "{word}")?;
        Ok(())
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // They end with their input.
        self.0.stdin = None;
        let _ = self.0.wait();
    }
}

fn metrics(uri: &str) -> Result<String> {
    let accept = "Accept: application/openmetrics-text;version=1.0.0\r\n";
    Ok(get_with(uri, "/metrics", accept, Duration::from_secs(5))?.1)
}

/// Many hosts, each with an agent that answers at an address of its own.
pub(super) struct Hosts {
    port: u16,
    is_ill: Arc<AtomicBool>,
}

impl Hosts {
    pub(super) fn start(answers: Answers) -> Result<Self> {
        let listener = TcpListener::bind("0.0.0.0:0")?;
        let (port, is_ill) = (listener.local_addr()?.port(), Arc::new(AtomicBool::new(false)));
        let (state, answers) = (Arc::clone(&is_ill), Arc::new(answers));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, answers) = (Arc::clone(&state), Arc::clone(&answers));
                // Connections are kept, as agents keep them: one thread each.
                let serve = move || serve(stream, &state, &answers).unwrap_or(());
                let _ = std::thread::Builder::new().stack_size(STACK).spawn(serve);
            }
        });
        Ok(Self { port, is_ill })
    }

    /// The address of one of them.
    pub(super) fn address(&self, number: usize) -> SocketAddr {
        let part = |number: usize| u8::try_from(number % PER_PART).unwrap_or(0);
        ([127, 1 + part(number / PER_PART / PER_PART), part(number / PER_PART), 1 + part(number)], self.port)
            .into()
    }

    /// Breaks the database of all, or mends it.
    pub(super) fn set_ill(&self, is_ill: bool) {
        self.is_ill.store(is_ill, Relaxed);
    }
}

fn serve(mut stream: TcpStream, is_ill: &AtomicBool, answers: &Answers) -> Result<()> {
    let mut request = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Ok(());
        }
        request.extend_from_slice(&chunk[..count]);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        request.clear();
        let body = if is_ill.load(Relaxed) { &answers.ill } else { &answers.well };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body.as_bytes())?;
    }
}
