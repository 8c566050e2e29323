//! What real daemons, servers and consumers of health do. One program, so that the tests run side by side: they wait more than they
//! work. `cargo xtask test e2e` sets up what they need and runs them.

#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

mod cluster;
mod deploy;
mod faults;
mod nova;
mod versions;
