//! What acts on health, each as the real program, with the fragments in `deploy`.
//!
//! `cargo xtask test e2e` sets up what they need and runs them; `cargo xtask deploy` plays more, and writes what it finds.

#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

mod balancers;
mod containers;
mod kubernetes;
mod operators;
mod probes;
mod static_command;
mod systemd;
