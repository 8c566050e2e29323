#![allow(dead_code)]

use healthboard::healthcheck;

#[healthcheck("database", ttl = "60")]
//                              ^^^^ error: expected whole seconds, 0 (for ever) or more
fn text() {}

#[healthcheck("database", ttl = 1.5)]
//                              ^^^ error: expected whole seconds, 0 (for ever) or more
fn fraction() {}

#[healthcheck("database", ttl = 18446744073709551616)]
//                              ^^^^^^^^^^^^^^^^^^^^ error: expected whole seconds, 0 (for ever) or more
fn too_many() {}

#[healthcheck("database", impact = Critical)]
//                                 ^^^^^^^^ error: expected `"critical"`, `"degrading"` or `"informational"`
fn path() {}
