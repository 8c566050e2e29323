//! What containers and Kubernetes ask: the static command, health checks, probes, and the checks that they replace.
//!
//! One program, so that its tests run side by side: they wait more than they work.

#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

mod health;
mod kubernetes;
mod probes;
mod static_command;
