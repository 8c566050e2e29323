//! A daemon tells its own health.
//!
//! ```
//! use healthboard::{LazyIndicator, Policy};
//!
//! static DATABASE: LazyIndicator = LazyIndicator::new("database", Policy::DEFAULT);
//!
//! fn query() -> std::io::Result<()> {
//!     let operation = DATABASE.begin();
//!     // … the work the service does anyway …
//!     operation.ok();
//!     Ok(())
//! }
//! # query().unwrap();
//! ```
//!
//! An [`Indicator`] stands for one thing the service needs. Recording an outcome costs a few nanoseconds and writes to the
//! process's *board*, a small file that any process may read. [`judge`] makes one [`Report`] of all the boards of a service;
//! the crate `healthboard-endpoint` answers it over HTTP. As long as nobody has called [`start`], recording does nothing,
//! so a library may record without asking whether the program wants to be watched.
//!
//! It is not a metrics library (no histograms, no labels) and not a supervisor (it restarts nothing). Linux 5.9 or later.

#[doc(hidden)]
pub mod attribute;
mod board;
mod evidence;
pub mod format;
mod indicator;
mod policy;
mod process;
mod report;
mod runtime_dir;
mod scrub;
mod settings;
mod verdict;
mod watchdog;

pub use board::clock::now_ns;
pub use board::directory::Directory;
pub use evidence::{Evidence, Failure, Life, Observed, Process};
pub use healthboard_macros::healthcheck;
pub use indicator::{Indicator, LazyIndicator, Operation};
pub use policy::{Impact, Policy};
pub use process::{
    Keeper, Notice, attach, drain, goodbye, start, start_in_children, tick, tick_interval, watch,
};
pub use report::{Detail, Processes, Report, State, Status};
pub use scrub::{printable, scrub};
pub use settings::{ErrorDetail, SettingError, Settings, Uri};
pub use verdict::{Moment, PROGRESS, judge, state, status};
