//! Services of a host that do nothing: boards for an agent to read.
//!
//! ```text
//! host-services RUNTIME_DIR NAME…
//! ```
//!
//! At most 16, which is what a process can have. The line `ill` at standard input breaks the database of all, and `drain` makes them
//! drain; they end with it.

use std::io::BufRead;
use std::path::Path;
use std::time::Duration;

use healthboard::{Failure, Handle, Impact, Policy, Service};

/// The indicators of each, beside `progress`.
const INDICATORS: [&str; 8] =
    ["database", "message_bus", "requests", "rpc_server", "service_report", "identity", "image", "network"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let runtime = arguments.next().ok_or("usage: host-services RUNTIME_DIR NAME…")?;
    let services: Vec<Handle> =
        arguments.map(|name| start(&name, Path::new(&runtime))).collect::<Result<_, _>>()?;
    for line in std::io::stdin().lock().lines() {
        match line?.as_str() {
            "ill" => services.iter().for_each(break_database),
            "drain" => services.iter().for_each(Handle::drain),
            _ => {}
        }
    }
    Ok(())
}

fn start(name: &str, runtime: &Path) -> Result<Handle, Box<dyn std::error::Error>> {
    let builder =
        Service::builder(name).runtime_dir(runtime).option("uri", "board").option("failure_window", "0");
    let service = builder.start_with(|keeper| keeper.listening(Ok(Vec::new())))?;
    for name in INDICATORS {
        service.indicator(name, critical()).record_ok();
    }
    Ok(service)
}

fn break_database(service: &Handle) {
    let database = service.indicator("database", critical());
    let failure = Failure::new("OperationalError").code("2003");
    // More than the threshold.
    for _ in 0..3 {
        database.record_fail(&failure);
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn critical() -> Policy {
    Policy { impact: Impact::Critical, ..Policy::DEFAULT }
}
