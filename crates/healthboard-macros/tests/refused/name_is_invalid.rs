#![allow(dead_code)]

use healthboard::healthcheck;

#[healthcheck("")]
//            ^^ error: expected a name of 1 to 64 letters, digits and `_.:-`
fn empty() {}

#[healthcheck("data\nbase")]
//            ^^^^^^^^^^^^ error: expected a name of 1 to 64 letters, digits and `_.:-`
fn line() {}

#[healthcheck("a2345678901234567890123456789012345678901xxxxxxxxxxxxxxxxxxxxxxxx")]
//            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ error: expected a name of 1 to 64 letters, digits and `_.:-`
fn long() {}

#[healthcheck("a234567890123456789012345678901234567890123456789012345678901234")]
fn longest() {}

#[healthcheck("progress")]
//            ^^^^^^^^^^ error: `progress` is built in: `healthboard::tick` stamps it
fn built_in() {}
