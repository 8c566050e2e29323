//! The pages for people, in the real Chromium: how they look, and what an accessibility check finds.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use healthboard::{Failure, Handle, Impact, Policy, Service};
use serde::Deserialize;

use super::until;
use crate::probe::get;
use crate::servers::{Server, free_port};
use crate::setup::Setup;

const DRIVER: &str = include_str!("pages.py");

/// How long a service may take to be hung.
const LIMIT: Duration = Duration::from_secs(60);

/// How many kinds of readers there are in the driver.
const VIEWS: usize = 5;

/// What each page must say.
const PAGES: [(&str, &str, &[&str]); 7] = [
    ("host", "/", &["1 OK", "FAULT", "nova-conductor", "process "]),
    ("ok", "/services/nova-api/health", &["nova-api: OK", "database"]),
    ("degraded", "/services/nova-scheduler/health", &["nova-scheduler: DEGRADED", "ConnectionRefusedError"]),
    (
        "fault",
        "/services/nova-conductor/health",
        &["nova-conductor: FAULT", "OperationalError 2003", "Recent changes"],
    ),
    ("hung", "/services/nova-compute/health", &["nova-compute: FAULT", "not progressing"]),
    ("dead", "/services/sqlite-service/health", &["sqlite-service: FAULT", "no process is alive"]),
    ("missing", "/services/nowhere/health", &["nowhere: not found", "All services of compute-1.example.org"]),
];

/// One page as one kind of reader sees it.
#[derive(Debug, Deserialize)]
struct Seen {
    page: String,
    view: String,
    title: String,
    text: String,
    requests: usize,
    overflows: bool,
    unreadable: Vec<String>,
    first_link: String,
    messages: Vec<String>,
    violations: Vec<String>,
}

/// Opens every page, light and dark, on screens of all widths, and keeps its pictures in `pictures`. Returns how many were opened.
///
/// # Errors
///
/// If a page does not say what it must, loads something, is wider than the screen, is hard to read, or is not accessible.
pub fn open(setup: &Setup, pictures: &Path, tick: fn(Duration) -> Result<()>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (address, _alive) = host(setup, folder.path(), tick)?;
    fs::create_dir_all(pictures)?;
    let driver = folder.path().join("pages.py");
    fs::write(&driver, DRIVER)?;
    let mut command = Command::new(setup.program("python"));
    command.env("PYTHONPATH", setup.browser_driver()).arg(&driver).arg("/usr/bin/chromium").arg(pictures);
    for (name, path, _) in PAGES {
        command.arg(format!("{name}=http://{address}{path}"));
    }
    let output = command.output().context("cannot start the browser's driver")?;
    ensure!(output.status.success(), "the browser: {}", String::from_utf8_lossy(&output.stderr));
    let all: Vec<Seen> = serde_json::from_slice(&output.stdout)?;
    for seen in &all {
        let (_, _, words) = PAGES.iter().find(|(name, ..)| *name == seen.page).context("an unknown page")?;
        let what = format!("the page `{}`, {}", seen.page, seen.view);
        for word in *words {
            ensure!(seen.text.contains(word), "{what} does not say `{word}`: {}", seen.text);
        }
        let statuses = ["OK", "DEGRADED", "FAULT", "not found"];
        ensure!(statuses.iter().any(|status| seen.title.starts_with(status)), "{what}: {}", seen.title);
        ensure!(seen.requests == 1, "{what} loads {} things", seen.requests);
        ensure!(!seen.overflows, "{what} is wider than the screen");
        ensure!(seen.unreadable.is_empty(), "{what}: {:?}", seen.unreadable);
        // Each reload puts the keyboard's focus back to the beginning.
        ensure!(seen.first_link == "Go on", "{what} begins with the link `{}`", seen.first_link);
        // That of the page itself, which is an error for a browser.
        let is_own = |message: &String| {
            ["503", "404"].iter().any(|code| message.contains(&format!("status of {code}")))
        };
        let mut messages = seen.messages.iter().filter(|message| !is_own(message));
        ensure!(messages.next().is_none(), "{what}: {:?}", seen.messages);
        ensure!(seen.violations.is_empty(), "{what}: {:#?}", seen.violations);
    }
    ensure!(all.len() == PAGES.len() * VIEWS, "{} pages were opened", all.len());
    Ok(())
}

/// An agent of a host with a service of each kind. What is returned keeps it running.
fn host(
    setup: &Setup,
    folder: &Path,
    tick: fn(Duration) -> Result<()>,
) -> Result<(SocketAddr, (Server, Vec<Handle>))> {
    let boards = folder.join("run");
    fs::create_dir_all(&boards)?;
    let critical = Policy { impact: Impact::Critical, ..Policy::DEFAULT };
    let [api, scheduler, conductor, compute] =
        ["nova-api", "nova-scheduler", "nova-conductor", "nova-compute"].map(|name| service(name, &boards));
    let all = vec![api?, scheduler?, conductor?, compute?];
    for service in &all {
        for name in ["database", "message_bus", "service_report"] {
            service.indicator(name, critical).record_ok();
        }
    }
    all[1]
        .indicator("message_bus", critical)
        .record_fail(&Failure::new("ConnectionRefusedError").code("111"));
    // One stamp, and no more.
    all[3].tick();
    dead(setup, folder, &boards)?;
    let address: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
    let uri = format!("tcp://{address}");
    let mut agent = Command::new(setup.programs().join("healthboard"));
    agent.args(["agent", "--listen", &uri, "--host", "compute-1.example.org", "--boards"]).arg(&boards);
    let probed = uri.clone();
    let mut agent =
        Server::new("agent", agent, folder, move || get(&probed, "/livez", Duration::from_secs(1)).is_ok())?;
    agent.start()?;
    // Seen once while all was well, so that there is a change.
    get(&uri, "/services", Duration::from_secs(5))?;
    let gone = Failure::new("OperationalError").code("2003");
    let database = all[2].indicator("database", critical);
    until("FAULT and hung", LIMIT, tick, || {
        // Failures for longer than `failure_window` make it failing.
        database.record_fail(&gone);
        std::thread::sleep(Duration::from_millis(500));
        let (_, text) = get(&uri, "/services", Duration::from_secs(5))?;
        let is_fault = |name: &str| text.contains(&format!("\"{name}\":{{\"status\":\"FAULT\""));
        Ok((is_fault("nova-conductor") && is_fault("nova-compute")).then_some(()))
    })?;
    Ok((address, (agent, all)))
}

fn service(name: &str, boards: &Path) -> Result<Handle> {
    let builder = Service::builder(name).runtime_dir(boards).option("uri", "board");
    builder.start_with(|keeper| keeper.listening(Ok(Vec::new()))).context("a service does not start")
}

/// A service that was killed.
fn dead(setup: &Setup, folder: &Path, boards: &Path) -> Result<()> {
    let mut command = Command::new(setup.programs().join("sqlite-service"));
    command.args(["--uri", "board"]).arg(folder.join("visits.db")).env("HEALTHBOARD_RUNTIME_DIR", boards);
    let board = boards.join("sqlite-service");
    let mut server = Server::new("sqlite-service", command, folder, move || board.exists())?;
    server.start()?;
    server.kill()
}
