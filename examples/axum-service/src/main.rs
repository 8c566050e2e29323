//! A web service on axum that keeps notes in an embedded SQLite and reports its health.
//!
//! ```text
//! cargo run -p axum-service -- --uri tcp://127.0.0.1:8099 --listen 127.0.0.1:8080 /tmp/notes.db
//! curl -d 'buy milk' http://127.0.0.1:8080/notes
//! curl http://127.0.0.1:8080/notes
//! curl http://127.0.0.1:8099/health        # OK
//! mv /tmp/notes.db /tmp/away.db            # DEGRADED after the next request, FAULT and 503 after ten seconds
//! mv /tmp/away.db /tmp/notes.db            # OK after the next request
//! ```
//!
//! SIGTERM and Ctrl-C shut it down gracefully: `/readyz` is 503 at once, and requests in flight are still answered.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "the log of a service in the foreground")]

mod notes;
mod options;
mod routes;

use healthboard::Builder;
use healthboard_endpoint::Start;
use notes::Notes;
use options::{Options, Order};
use std::error::Error;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let options = Options::from_args()?;
    let notes = Notes::create(options.file)?;
    // Either order works: healthboard's thread and tokio's share nothing.
    match options.order {
        Order::HealthFirst => {
            start_health(options.health);
            Runtime::new()?.block_on(run(&options.listen, notes))?;
        }
        Order::RuntimeFirst => Runtime::new()?.block_on(async {
            start_health(options.health);
            run(&options.listen, notes).await
        })?,
    }
    // Without a goodbye, the end would be reported as a death.
    healthboard::goodbye();
    Ok(())
}

/// Starts health. Errors are logged and do not stop the service. The parts of health that could be started keep running.
fn start_health(health: Builder) {
    if let Err(error) = health.start() {
        eprintln!("{error}");
    }
}

async fn run(listen: &str, notes: Notes) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    tokio::spawn(progress());
    tokio::spawn(notes::refresh(notes.clone()));
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
        // Before axum stops accepting, so that a load balancer that probes `/readyz` sends no requests to a closed port.
        healthboard::drain();
    };
    axum::serve(listener, routes::of(notes)).with_graceful_shutdown(stop).await?;
    Ok(())
}

/// Stamps `progress` from the runtime that serves requests. If the runtime hangs, `/livez` is 503.
async fn progress() {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    loop {
        interval.tick().await;
        for notice in healthboard::tick() {
            notice.log();
        }
    }
}
