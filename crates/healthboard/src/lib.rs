//! Lets a daemon report its own health.
//!
//! ```
//! use healthboard::{LazyIndicator, Policy};
//! # fn work() -> std::io::Result<()> { Ok(()) }
//!
//! static DATABASE: LazyIndicator = LazyIndicator::new("database", Policy::DEFAULT);
//!
//! fn query() -> std::io::Result<()> {
//!     let result = work(); // the work that the service does anyway
//!     DATABASE.get().record(&result);
//!     result
//! }
//! # query().unwrap();
//! ```
//!
//! The attribute [`healthcheck`] does the same for a whole function, and also sees an operation that hangs.
//!
//! An [`Indicator`] stands for one thing that the service needs. Recording an outcome costs a few nanoseconds and writes
//! to the process's *board*, a small file that other processes can read. [`judge`] makes one [`Report`] from all boards
//! of a service. The crate `healthboard-endpoint` starts a [`Service`] and answers probes over HTTP. Until a service is
//! started, recording does nothing, so a library can record unconditionally.
//!
//! This is not a metrics library (no histograms, no labels) and not a supervisor (it restarts nothing). It requires
//! Linux 5.9 or later.

#![cfg_attr(
    loom,
    allow(dead_code, unreachable_pub, unused_imports, reason = "the models use a part of the board")
)]

mod board;
mod config;
mod failure;
#[cfg(not(loom))]
pub mod format;
#[cfg(not(loom))]
mod handle;
#[cfg(not(loom))]
mod history;
#[cfg(not(loom))]
mod host;
#[cfg(not(loom))]
mod process;
mod read;
#[cfg(not(loom))]
mod record;
#[cfg(not(loom))]
mod refresh;
mod scrub;
mod stacks;
mod status;
#[cfg(not(loom))]
mod trace;
#[cfg(not(loom))]
mod verdict;

pub use config::{ErrorDetail, Impact, PROGRESS, Policy, SettingError, Settings, Unclaimed, Uri};
pub use failure::Failure;
pub use scrub::{printable, scrub};

#[cfg(not(loom))]
pub use crate::{
    board::clock::now_ns,
    board::place::Place,
    handle::report,
    history::{read_history, write_history},
    host::Host,
    process::{
        Announcement, Builder, Clock, Handle, Keeper, Notice, Service, StartError, Transition, attach, crash,
        drain, goodbye, goodbye_in_signal_handler, ready, reloading, stamp, take_notices, tick, watch,
    },
    read::{Abandoned, Directory, Evidence, Life, Observed, Process},
    record::{Indicator, IntoOutcome, LazyIndicator, Observe, Operation, Outcome, attribute},
    stacks::{Frame, Role, Stack, Stacks},
    status::Status,
    trace::{Tracer, trace_with},
    verdict::{
        Change, Detail, History, Moment, Processes, Report, State, Traced, judge, span, state, status,
    },
};
#[cfg(not(loom))]
pub use healthboard_macros::healthcheck;

#[cfg(all(any(test, fuzzing), not(loom)))]
#[doc(hidden)]
pub use read::{fuzz_board, repair_board};
