//! Every job of this project as one command: `cargo xtask JOB`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

mod bench;
mod demo;
mod e2e;
mod fuzz;
mod interrupt;
mod lint;
mod releases;
mod sanitize;
mod story;
mod terminal;
mod test;
mod torture;

use std::env;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask JOB

  demo [--keep]   real Nova daemons tell their health while faults are put on them
  test [PART…]    all tests, or some parts: rust, loom, python, e2e
  e2e [FAULT…]    real faults on all of Nova and its servers, written to docs/faults.md
      --mode MODE       only threading, or only eventlet
      --quiet MINUTES   how long everything is left alone: 5
      --as-is           with what is set up already
  releases [NN…]  older releases of Nova start and report, written to docs/releases.md
      --as-is           the newest one as it is set up already
  fuzz [TARGET…]  bytes of anybody's choice: board, http_head, settings, uri, scrub
      --seconds N       how long each: 60
  torture [PART…] writers and holders killed at any moment, storms of forks: writers, holders, forks
      --full            first of all: as often as docs/reliability.md says, half an hour
  sanitize [TOOL…] the tests under address, thread, memcheck, miri, as far as these can be had
  lint            formatting, clippy, documentation, ruff
  bench [PART…]   what it costs: record, python, probe, check, footprint, reading, nova

Each job sets up what it needs, in target/healthboard.";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{} {error:#}", terminal::bad("error:"));
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<()> {
    match words {
        ["demo"] => demo::run(false),
        ["demo", "--keep"] => demo::run(true),
        ["test", parts @ ..] => test::run(parts),
        ["e2e", words @ ..] => e2e::run(words),
        ["releases", numbers @ ..] => releases::run(numbers),
        ["fuzz", words @ ..] => fuzz::run(words),
        ["torture", words @ ..] => torture::run(words),
        ["sanitize", tools @ ..] => sanitize::run(tools),
        ["lint"] => lint::run(),
        ["bench", parts @ ..] => bench::run(parts),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("no such job: `{}`\n\n{USAGE}", words.join(" ")),
    }
}
