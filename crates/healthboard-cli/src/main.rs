//! The command `healthboard`: asks a service how it is, over its endpoint or from its boards.
//!
//! What was asked for goes to stdout, advice to stderr. It is started every few seconds by whoever watches, so it does
//! little before the first byte is sent: no runtime, no threads, no configuration.

#![allow(clippy::print_stderr, reason = "this is what a command does")]

mod arguments;
mod ask;
mod check;
mod output;
mod show;
mod source;

use arguments::Command;
use output::{DEGRADED, UNKNOWN, print};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything can go wrong: docker takes any other code than 0 and 1 for a mistake of its own.
    let docker = std::env::args_os().any(|argument| argument == "--docker");
    let code = match arguments::parse(lexopt::Parser::from_env()) {
        Ok(Command::Print(text)) => {
            print(text);
            0
        }
        Ok(Command::Check(source, style)) => check::run(&source, style),
        Ok(Command::Show(source)) => show::run(&source),
        Err(error) => {
            eprintln!("error: {error}");
            eprintln!("hint: `healthboard --help` says how it is used");
            UNKNOWN
        }
    };
    let unhealthy = code > DEGRADED;
    ExitCode::from(if docker { unhealthy.into() } else { code })
}
