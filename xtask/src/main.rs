//! Every job of this project as one command: `cargo xtask JOB`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is a command")]

mod bench;
mod book;
mod crates;
mod deb;
mod demo;
mod deploy;
mod e2e;
mod fleet;
mod fuzz;
mod generated;
mod interrupt;
mod lint;
mod pythons;
mod release;
mod releases;
mod reproduce;
mod rpm;
mod sanitize;
mod sbom;
mod services;
mod source;
mod static_command;
mod terminal;
mod test;
mod torture;
mod transcript;
mod wheels;

use std::env;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask JOB

  demo [--keep]   show real Nova daemons during faults; --keep leaves them running
  test [PART…]    run all tests, or some parts: rust, loom, python, e2e; and on request
                  pythons: the tests of the package, from its wheels, with each Python from 3.10 to 3.14 that is here
  e2e [FAULT…]    play real faults on all of Nova and its servers; write docs/faults.md
      --mode MODE       threading or eventlet; the default is both
      --minutes N       the length of each period without faults; the default is 5
      --as-is           use the existing setup
  deploy [PART…]  play faults for what acts on health, with the real programs, and write its pages:
                  systemd, balancers, containers, kubernetes, probes, monitors
      --minutes N       how long systemd watches services under load; the default is 60
      --as-is           use the existing setup
  fleet [HOSTS…]  watch many hosts by one Prometheus; write docs/fleet.md, unless numbers of hosts are given
      --as-is           use the existing setup
  releases [NN…]  try older releases of Nova; write docs/releases.md
      --as-is           use the existing setup of the newest release
  services [SCENARIO…] take services of other projects through faults on real servers; write docs/services.md
      --as-is           use the existing setup
  fuzz [TARGET…]  feed random input to: board, http_head, settings, stacks, uri, scrub
      --seconds N       how long each target runs; the default is 60
  torture [PART…] kill writers and holders at any moment, fork in storms; parts: writers, holders, forks
      --full            as often as docs/reliability.md says; must come first
  sanitize [TOOL…] run the tests under address, thread, memcheck, miri, as far as they are available
  static          build the command `healthboard` as one static file, for containers
  crates          check that the crates can be published, and build with each of their features and the oldest Rust
  deb             build the packages for Debian from one source package, without a network; check them, and test
                  them in a minimal Debian 12 beside its own Nova
  rpm             build the packages for distributions with RPM from the same sources; check, install, remove them
  wheels          build the Python package for each Python from 3.10 on, for hosts without a compiler
  book            make a website of all pages
  reproduce       build packages, a wheel and the static command in two folders, and compare them
  release         check versions, run every job that a release must pass, and gather its files
  lint            check formatting, clippy, documentation, dependencies, ruff
  bench [PART…]   measure costs: record, python, probe, backend, attack, check, footprint, reading, agent,
                  nova;
                  write docs/performance.md after a run of all parts
      --write           write it after a run of some parts, too; must come first

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
        ["deploy", words @ ..] => deploy::run(words),
        ["fleet", words @ ..] => fleet::run(words),
        ["demo"] => demo::run(false),
        ["demo", "--keep"] => demo::run(true),
        ["test", parts @ ..] => test::run(parts),
        ["e2e", words @ ..] => e2e::run(words),
        ["releases", numbers @ ..] => releases::run(numbers),
        ["services", words @ ..] => services::run(words),
        ["fuzz", words @ ..] => fuzz::run(words),
        ["torture", words @ ..] => torture::run(words),
        ["sanitize", tools @ ..] => sanitize::run(tools),
        ["static"] => static_command::run(),
        ["crates"] => crates::run(),
        ["deb"] => deb::run(),
        ["reproduce"] => reproduce::run(),
        ["release"] => release::run(),
        ["rpm"] => rpm::run(),
        ["wheels"] => wheels::run(),
        ["book"] => book::run(),
        ["lint"] => lint::run(),
        ["bench", parts @ ..] => bench::run(parts),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("no such job: `{}`\n\n{USAGE}", words.join(" ")),
    }
}
