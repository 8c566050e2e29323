//! What acts on health, each as the real program, with the fragments in `deploy`.
//!
//! `cargo xtask deploy` plays more, and writes what it finds.

mod balancers;
mod containers;
mod kubernetes;
mod monitors;
mod operators;
mod probes;
mod static_command;
mod systemd;
