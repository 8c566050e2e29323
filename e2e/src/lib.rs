//! Real, unpatched Nova daemons on a private stage, and the faults they are tested with.
//!
//! A [`Stage`] needs only Python and loopback: Nova runs on its `fake:/` transport and on SQLite. `cargo xtask demo` runs on it,
//! and the tests of this crate assert what the demo shows. A [`Cluster`] is a stage with all services of Nova and real servers.
//! It needs root. [`services::Services`] does the same for services of other projects.
//!
//! ```no_run
//! use healthboard_e2e::{Setup, Stage};
//!
//! let mut stage = Stage::new(&Setup::prepare()?)?;
//! stage.listen()?;
//! let conductor = stage.start("nova-conductor", &[])?;
//! println!("{} has the workers {:?}", conductor.pid(), conductor.workers());
//! # anyhow::Ok(())
//! ```
//!
//! A [`Setup`] lasts from run to run (virtual environment, databases to copy), a [`Stage`] is one run, a [`Daemon`] is one
//! service in it. Everything that a stage starts is stopped when the stage is dropped, even if this process is killed: see
//! [`Daemon`].

#![allow(clippy::print_stderr, reason = "a setup shows its progress")]

mod addresses;
mod cluster;
mod daemon;
pub mod deploy;
pub mod faults;
pub mod fleet;
mod probe;
mod processes;
pub mod releases;
mod servers;
pub mod services;
mod setup;
mod stage;
mod step;
mod system;
mod watch;

pub use cluster::{
    ALL, API, Backends, COMPUTE, COMPUTE_LIBVIRT, Cluster, Concurrency, METADATA, NOVNCPROXY, SERIALPROXY,
    SPICEPROXY,
};
pub use daemon::Daemon;
pub use probe::{Answer, ask, get, get_with};
pub use processes::{Signal, children, is_alive, send, threads};
pub use servers::{MariaDb, PostgreSql, RabbitMq, Server};
pub use setup::{Setup, without_paths};
pub use stage::{CONDUCTOR, Output, SCHEDULER, Stage};
pub use step::Step;
pub use watch::{Change, Pace, Ports, Seen, Status, Timeline, Watch, Watched, p99};
