//! Kills writers and holders at any moment, and forks in a loop, while readers and probes check the results.
//!
//! Each part starts this program again in roles, checks their results and prints a summary. The first error ends it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

mod evidence;
mod forks;
mod holders;
mod listeners;
mod probes;
mod random;
mod roles;
mod writers;

use anyhow::{Context, Result, ensure};
use std::process::ExitCode;

/// How often each part is repeated.
struct Times {
    writers: u64,
    holders: u64,
    forks: u64,
}

const SHORT: Times = Times { writers: 400, holders: 40, forks: 300 };
const FULL: Times = Times { writers: 20_000, holders: 500, forks: 10_000 };

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["role", role, rest @ ..] => roles::play(role, rest),
        ["--full", parts @ ..] => torture(parts, &FULL),
        parts => torture(parts, &SHORT),
    }
}

/// Runs the named parts; without names all of them.
fn torture(names: &[&str], times: &Times) -> Result<()> {
    const PARTS: [&str; 3] = ["writers", "holders", "forks"];
    for name in names {
        ensure!(PARTS.contains(name), "no such part: `{name}`, expected some of {}", PARTS.join(", "));
    }
    let chosen = |part: &str| names.is_empty() || names.contains(&part);
    if chosen("writers") {
        let seen = writers::run(times.writers).context("writers")?;
        println!("result: writers | {} x kill -9 | {seen}", times.writers);
    }
    if chosen("holders") {
        let seen = holders::run(times.holders).context("holders")?;
        println!("result: holders | {} x kill -9 | {seen}", times.holders);
    }
    for kind in roles::Fork::ALL.into_iter().filter(|_| chosen("forks")) {
        let name = kind.name();
        let seen = forks::run(kind, times.forks).with_context(|| name.to_owned())?;
        println!("result: {name} | {} x | {seen}", times.forks);
    }
    Ok(())
}
