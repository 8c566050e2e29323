//! The command `healthboard`: asks a service for its health, over its endpoint or from its boards.
//!
//! The answer goes to stdout, hints to stderr. Monitoring starts it every few seconds, so it does little before it
//! sends the first byte: no runtime, no threads, no configuration.

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
    // Before anything can fail: docker allows only the codes 0 and 1.
    let docker = std::env::args_os().any(|argument| argument == "--docker");
    let code = match arguments::parse(lexopt::Parser::from_env()) {
        Ok(Command::Print(text)) => {
            print(text);
            0
        }
        Ok(Command::Check(source, style)) => check::run(&source, style),
        Ok(Command::Ask(source, path)) => check::ask(&source, path),
        Ok(Command::Show(source)) => show::run(&source),
        Err(error) => {
            eprintln!("error: {error}");
            eprintln!("hint: see `healthboard --help`");
            UNKNOWN
        }
    };
    let unhealthy = code > DEGRADED;
    ExitCode::from(if docker { unhealthy.into() } else { code })
}
