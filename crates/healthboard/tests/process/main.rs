//! Real processes: fork, death, signals, descriptors, lost boards, bad places. Each test starts this program again in a role,
//! since the default service starts once in a process.

#![allow(clippy::unwrap_used, reason = "what a test does not expect is a failure")]

mod act;
mod boards;
mod forks;
mod life;
mod memory;
mod places;
mod player;
mod recording;
mod roles;

/// Not a test by itself: the entry point of children that tests start.
#[test]
fn role() {
    if let Ok(role) = std::env::var("ROLE") {
        roles::play(&role);
    }
}
