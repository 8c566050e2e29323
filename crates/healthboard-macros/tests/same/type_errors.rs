#![allow(dead_code)]

use healthboard::healthcheck;
use std::fmt::Error;

#[healthcheck("database")]
fn tail() -> Result<u8, Error> {
    "seven"
}

#[healthcheck("database")]
fn early() -> Result<u8, Error> {
    if true {
        return Ok("seven");
    }
    Ok(7)
}

#[healthcheck("database")]
fn conversion(text: &str) -> Result<u8, Error> {
    Ok(text.parse()?)
}

#[healthcheck("database")]
fn unit() {
    7
}

#[healthcheck("database")]
fn no_tail() -> u8 {
    7;
}

#[healthcheck("database")]
fn opaque() -> impl Iterator<Item = u8> {
    7
}

#[healthcheck("database")]
async fn later() -> Result<u8, Error> {
    if true {
        return Ok("seven");
    }
    "seven"
}

#[healthcheck("database")]
async fn no_tail_later() -> u8 {
    7;
}

struct Store(u8);

impl Store {
    #[healthcheck("database")]
    fn method(&mut self) -> &mut u8 {
        &mut self.1
    }
}
