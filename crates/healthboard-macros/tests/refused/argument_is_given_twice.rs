#![allow(dead_code)]

use healthboard::{Outcome, healthcheck};

#[healthcheck("database", ttl = 1, impact = "critical", ttl = 2)]
//                                                      ^^^ error: `ttl` is given twice
fn ttl() {}

#[healthcheck("database", classify = judge, classify = judge)]
//                                          ^^^^^^^^ error: `classify` is given twice
fn classify() -> Result<(), u8> {
    Ok(())
}

fn judge(_: &u8) -> Outcome {
    Outcome::Success
}
