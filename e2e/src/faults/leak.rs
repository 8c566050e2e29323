//! Leaking the database connections of a Python process.

use anyhow::Result;

use super::block::send_realtime;

/// The part of the `sitecustomize` that does it.
pub(super) const SITECUSTOMIZE: &str = include_str!("leak.py");

/// Takes all connections of the pools of `pid`.
pub(super) fn leak(pid: u32) -> Result<()> {
    send_realtime(pid, 6)
}

/// Gives them back.
pub(super) fn give_back(pid: u32) -> Result<()> {
    send_realtime(pid, 7)
}
