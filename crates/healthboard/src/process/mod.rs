//! This process: its services, the keeper of each, and how they survive a fork.
//!
//! # Fork
//!
//! The state of one process is in [`Page`](crate::board::page::Page), which the kernel wipes in a forked child. A wiped
//! page means "no board yet, nothing started, all locks free". So the first recording in a child makes a new board and a
//! new keeper, and does not touch those of the parent.

mod attached;
mod descriptors;
mod handle;
mod keeper;
mod notice;
mod runtime_dir;
mod service;
mod start;

pub use handle::{
    Handle, attach, crash, drain, goodbye, goodbye_in_signal_handler, ready, reloading, stamp, take_notices,
    tick, watch,
};
pub use keeper::Keeper;
pub use notice::{Announcement, Notice, Transition};
pub use service::Service;
pub use start::{Builder, Clock, StartError};

pub(crate) use service::DEFAULT;
