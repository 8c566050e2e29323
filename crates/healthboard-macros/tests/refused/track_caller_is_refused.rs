#![allow(dead_code)]

use healthboard::healthcheck;

#[track_caller]
//^^^^^^^^^^^^ error: `#[track_caller]` does not reach the body of a recorded function: put `#[healthcheck]` on a function that this one calls
#[healthcheck("database")]
fn above() {}

#[healthcheck("database")]
#[track_caller]
//^^^^^^^^^^^^ error: `#[track_caller]` does not reach the body of a recorded function: put `#[healthcheck]` on a function that this one calls
fn below() {}
