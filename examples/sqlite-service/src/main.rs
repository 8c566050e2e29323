//! A service that writes to an embedded SQLite once a second and reports its health.
//!
//! ```text
//! cargo run -p sqlite-service -- --uri tcp://127.0.0.1:8099 /tmp/visits.db
//! curl http://127.0.0.1:8099/health        # OK
//! mv /tmp/visits.db /tmp/away.db           # DEGRADED at once, FAULT and 503 after ten seconds
//! mv /tmp/away.db /tmp/visits.db           # OK
//! ```

#![allow(clippy::print_stderr, reason = "the log of a service in the foreground")]

use healthboard::{Service, healthcheck};
use healthboard_endpoint::Start;
use rusqlite::{Connection, OpenFlags, Result};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering::Relaxed};
use std::time::Duration;

/// The work of the service. Health needs only the attribute.
#[healthcheck("database")]
fn visit(file: &Path) -> Result<i64> {
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    db.execute("INSERT INTO visits DEFAULT VALUES", ())?;
    db.query_row("SELECT count(*) FROM visits", (), |row| row.get(0))
}

fn create(file: &Path) -> Result<()> {
    Connection::open(file)?.execute_batch("CREATE TABLE IF NOT EXISTS visits (id INTEGER PRIMARY KEY)")
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let (uris, file) = arguments()?;
    create(&file)?;

    // From here on calls are recorded, and every endpoint answers. Without an endpoint, health is off.
    let builder = Service::builder("sqlite-service").option("uri", &uris).from_env();
    let health = builder.start().unwrap_or_else(|error| {
        eprintln!("{error}");
        error.handle()
    });
    for endpoint in health.endpoints() {
        eprintln!("health at {endpoint}");
    }

    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    // In a unit of `Type=notify`, this is the moment at which systemd starts what comes after the service.
    health.ready();
    while !stop.load(Relaxed) {
        // This loop does the work, so it stamps `progress`. If it hangs, `/livez` is 503.
        for notice in health.tick() {
            eprintln!("{}", notice.text);
        }
        match visit(&file) {
            Ok(visits) => eprintln!("visit {visits}"),
            Err(error) => eprintln!("no visit: {error}"),
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    // systemd shows that the service stops, and /readyz is 503.
    health.drain();
    // Without a goodbye, the end would be reported as a death.
    health.goodbye();
    Ok(())
}

fn arguments() -> std::result::Result<(String, PathBuf), Box<dyn Error>> {
    let mut parser = lexopt::Parser::from_env();
    let (mut uris, mut file) = (String::new(), None);
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("uri") => uris = parser.value()?.to_string_lossy().into_owned(),
            lexopt::Arg::Value(path) if file.is_none() => file = Some(path.into()),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok((uris, file.ok_or("usage: sqlite-service [--uri URI,…] FILE")?))
}
