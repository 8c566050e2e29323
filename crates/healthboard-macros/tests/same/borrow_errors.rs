#![allow(dead_code)]

use healthboard::healthcheck;

#[healthcheck("database")]
fn moved(text: String) -> (String, String) {
    (text, text)
}

#[healthcheck("database")]
fn not_mutable(text: String) -> String {
    text.push('x');
    text
}

#[healthcheck("database")]
fn local() -> &'static str {
    let text = String::new();
    &text
}

#[healthcheck("database")]
fn argument<'a>(text: String) -> &'a str {
    &text
}

#[healthcheck("database")]
fn shared(list: &Vec<u8>) {
    list.push(1);
}
