//! The command `healthboard`: asks services for their health, over their endpoints or from their boards.
//!
//! Answers go to stdout, and hints to stderr. Monitoring systems start `check` every few seconds, so it does little before
//! it sends the first byte: it has no runtime, no threads and no configuration.

#[cfg(feature = "agent")]
mod agent;
mod arguments;
mod ask;
mod check;
mod explain;
mod metrics;
mod output;
mod show;
mod source;
#[cfg(feature = "watch")]
mod watch;

use arguments::{Arguments, Command};
use clap::Parser;
use output::{DEGRADED, UNKNOWN, print, say};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Determined before anything can fail, since docker allows only the exit codes 0 and 1.
    let docker = std::env::args_os().any(|argument| argument == "--docker");
    let code = match Arguments::try_parse() {
        Ok(arguments) => run(arguments.command),
        Err(error) if error.use_stderr() => {
            let text = error.render().to_string();
            // Prints only what is wrong. The usage would fill more than a screen of a log.
            let what = text.split("\n\nUsage:").next().unwrap_or_default().trim_end();
            let what = what.strip_suffix("\n\nFor more information, try '--help'.").unwrap_or(what);
            what.lines().chain(["hint: see `healthboard --help`"]).for_each(say);
            UNKNOWN
        }
        Err(asked) => {
            print(&asked.render().to_string());
            0
        }
    };
    let unhealthy = code > DEGRADED;
    ExitCode::from(if docker { unhealthy.into() } else { code })
}

fn run(command: Command) -> u8 {
    match command {
        Command::Check(check) => check::run(&check),
        Command::Show(source) => show::run(&source),
        Command::Explain(source) => explain::run(&source),
        #[cfg(feature = "watch")]
        Command::Watch(watch) => watch::run(&watch),
        Command::Metrics(metrics) => metrics::run(&metrics),
        #[cfg(feature = "agent")]
        Command::Agent(agent) => agent::run(agent),
    }
}
