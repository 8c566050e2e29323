//! The command line.

use crate::source::Source;
use healthboard::Uri;
use lexopt::prelude::*;
use std::time::Duration;

const HELP: &str = "\
Asks a service for its health.

Usage: healthboard check [OPTIONS] URI      one line and an exit code
       healthboard show [OPTIONS] URI...    a table for people

URI is the service's `uri` in [healthcheck]: tcp://127.0.0.1:8099, unix:///run/nova/nova-api.sock

Options:
      --boards DIR       read the boards in DIR when no endpoint answers; URI may be left out then
  -t, --timeout SECONDS  for everything together (default 10)
      --json             check: the answer as JSON
      --nagios           check: with performance data
      --docker           check: exit code 0 for OK and DEGRADED, 1 for everything else
      --live             check: what /livez says: whether the service progresses, whatever it depends on
      --ready            check: what /readyz says: no FAULT, and not draining
  -h, --help
  -V, --version

Exit code: 0 OK, 1 DEGRADED, 2 FAULT, 3 no answer or wrong usage. `show`: the highest of all.
With --live and --ready: 0 yes, 2 no, 3 no answer or wrong usage.
";

pub(crate) enum Command {
    Print(&'static str),
    Check(Source, Style),
    /// What this path answers.
    Ask(Source, &'static str),
    Show(Source),
}

/// The output format of `check`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Line,
    Nagios,
    Json,
}

pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut command = None;
    let mut source = Source { uris: Vec::new(), boards: None, timeout: Duration::from_secs(10) };
    let mut style = Style::Line;
    let mut path = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Print(HELP)),
            Short('V') | Long("version") => {
                return Ok(Command::Print(concat!("healthboard ", env!("CARGO_PKG_VERSION"), "\n")));
            }
            Short('t') | Long("timeout") => source.timeout = parser.value()?.parse_with(timeout)?,
            Long("boards") => source.boards = Some(parser.value()?.into()),
            Long("json") => style = Style::Json,
            Long("nagios") => style = Style::Nagios,
            Long("live") => path = Some("/livez"),
            Long("ready") => path = Some("/readyz"),
            // `main` uses it for the exit code.
            Long("docker") => {}
            Value(value) if command.is_none() => command = Some(value.string()?),
            Value(value) => source.uris.push(value.parse_with(uri)?),
            _ => return Err(argument.unexpected()),
        }
    }
    if source.uris.is_empty() && source.boards.is_none() && command.is_some() {
        return Err("found no URI, expected tcp://… or unix://…".into());
    }
    match command.as_deref() {
        Some("check") if source.uris.len() > 1 => {
            Err("found several URIs, `check` takes one; `show` takes more".into())
        }
        Some("check") => match path {
            None => Ok(Command::Check(source, style)),
            Some(_) if source.boards.is_some() || style != Style::Line => {
                Err("`--live` and `--ready` ask an endpoint, without --boards, --json and --nagios".into())
            }
            Some(path) => Ok(Command::Ask(source, path)),
        },
        Some("show") => Ok(Command::Show(source)),
        Some(other) => Err(format!("found command `{other}`, expected `check` or `show`").into()),
        None => Err("found no command, expected `check` or `show`".into()),
    }
}

fn uri(text: &str) -> Result<Uri, String> {
    match text.parse() {
        // Port 0 is any free port for a service, but not an address to connect to.
        Ok(Uri::Tcp { port: 0, .. }) => Err("expected a port from 1 to 65535".to_owned()),
        Ok(uri) => Ok(uri),
        Err(expected) => Err(format!("expected {expected}")),
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let usual = |timeout: &Duration| !timeout.is_zero() && *timeout <= Duration::from_secs(86_400);
    seconds.filter(usual).ok_or_else(|| "expected seconds, more than 0 and at most 86400".to_owned())
}
