#![allow(dead_code)]

use healthboard::healthcheck;

#[healthcheck("database", classify = judge)]
//                                   ^^^^^ error
fn query() -> Result<(), std::fmt::Error> {
    Ok(())
}
