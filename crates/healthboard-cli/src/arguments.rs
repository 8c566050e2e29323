//! The command line.

mod help;

use clap::{Args, Parser, Subcommand, ValueHint};
use healthboard::Uri;
use std::path::PathBuf;
use std::time::Duration;

/// Asks services for their health, over their endpoints or from their boards.
#[derive(Debug, Parser)]
#[command(name = "healthboard", version, propagate_version = true, after_help = help::HEALTHBOARD)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// One line for a program, and an exit code
    #[command(after_help = help::CHECK)]
    Check(Check),
    /// A table for people
    #[command(after_help = help::SHOW)]
    Show(Source),
    /// Why the status is what it is, rule by rule, and what to look at next
    #[command(after_help = help::EXPLAIN)]
    Explain(Source),
    /// All services on the screen, the worst first, as they change
    #[cfg(feature = "watch")]
    #[command(after_help = help::WATCH)]
    Watch(Watch),
    /// The metrics of this host's services for Prometheus, such as for node_exporter's textfile collector
    #[command(after_help = help::METRICS)]
    Metrics(Metrics),
    /// Serves the health of all services of this host, from their boards
    #[cfg(feature = "agent")]
    #[command(after_help = help::AGENT)]
    Agent(Agent),
}

#[derive(Args, Debug)]
pub(crate) struct Source {
    /// A URI or the name of a service. With URIs alone, the services in `--boards` are asked for as well
    #[arg(value_name = "TARGET", value_parser = target, value_hint = ValueHint::Other)]
    pub(crate) targets: Vec<Target>,

    #[command(flatten)]
    pub(crate) boards: Boards,

    /// Seconds for each target; all are asked at the same time
    #[arg(short, long, value_name = "SECONDS", default_value = "10", value_parser = timeout, value_hint = ValueHint::Other)]
    pub(crate) timeout: Duration,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Boards {
    /// Where boards are: the runtime directory, or the directory of one service in it; `DIR/*` for every directory in DIR
    /// [default: see Files]
    #[arg(long = "boards", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) directories: Vec<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Expect {
    /// Services that must run on this host: one that was never started is FAULT
    #[arg(long = "expect", value_name = "NAME,…", value_delimiter = ',', value_parser = service_or_none, value_hint = ValueHint::Other)]
    names: Vec<Option<String>>,
}

impl Expect {
    pub(crate) fn services(&self) -> Vec<String> {
        self.names.iter().flatten().cloned().collect()
    }
}

#[derive(Args, Debug)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) source: Source,

    /// The answer as JSON
    #[arg(long, conflicts_with = "nagios")]
    pub(crate) json: bool,

    /// With performance data
    #[arg(long)]
    pub(crate) nagios: bool,

    /// Exit code 0 for OK and DEGRADED, 1 for everything else
    #[arg(long)]
    pub(crate) docker: bool,

    /// What /livez says: whether the service progresses, whatever it depends on
    #[arg(long, conflicts_with_all = ["ready", "json", "nagios", "directories"])]
    pub(crate) live: bool,

    /// What /readyz says: no FAULT, and not draining
    #[arg(long, conflicts_with_all = ["json", "nagios", "directories"])]
    pub(crate) ready: bool,
}

#[derive(Args, Debug)]
pub(crate) struct Metrics {
    #[command(flatten)]
    pub(crate) boards: Boards,

    #[command(flatten)]
    pub(crate) expect: Expect,

    /// Also what passing indicators are in: 13 more series each
    #[arg(long)]
    pub(crate) verbose: bool,

    /// Replace this file as a whole, instead of printing
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
}

#[cfg(feature = "watch")]
#[derive(Args, Debug)]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) source: Source,

    /// Seconds between two looks
    #[arg(short = 'n', long, value_name = "SECONDS", default_value = "2", value_parser = timeout, value_hint = ValueHint::Other)]
    pub(crate) interval: Duration,
}

#[cfg(feature = "agent")]
#[derive(Args, Debug)]
pub(crate) struct Agent {
    /// Where to listen; may be given several times
    #[arg(long, value_name = "URI", default_value = "tcp://127.0.0.1:9955", value_parser = uri, value_hint = ValueHint::Other)]
    pub(crate) listen: Vec<Uri>,

    #[command(flatten)]
    pub(crate) boards: Boards,

    #[command(flatten)]
    pub(crate) expect: Expect,

    /// The name of this host in answers [default: the host's own]
    #[arg(long, value_name = "NAME", value_hint = ValueHint::Other)]
    pub(crate) host: Option<String>,

    /// Names that clients may ask for, besides addresses and localhost; `*` for any
    #[arg(long, value_name = "NAME,…", default_value = "", hide_default_value = true, value_hint = ValueHint::Other)]
    pub(crate) allowed_hosts: String,

    /// TLS and passwords, in the format of Prometheus' exporters
    #[arg(long = "web.config.file", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) web_config: Option<PathBuf>,

    /// Serve addresses that are not loopback without TLS
    #[arg(long)]
    pub(crate) insecure: bool,

    /// Permissions of unix sockets
    #[arg(long, value_name = "MODE", default_value = "0660", value_parser = mode, value_hint = ValueHint::Other)]
    pub(crate) socket_mode: u32,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Uri(Uri),
    /// The name of a service of this host.
    Name(String),
}

fn service(text: &str) -> Result<String, String> {
    let is_name =
        |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@+".contains(&byte));
    let name = Some(text.trim()).filter(|name| !name.is_empty()).filter(is_name);
    name.map(str::to_owned)
        .ok_or_else(|| "expected the name of a service: letters, digits and -_.@+".to_owned())
}

/// Nothing between two commas is nothing.
fn service_or_none(text: &str) -> Result<Option<String>, String> {
    if text.trim().is_empty() { Ok(None) } else { service(text).map(Some) }
}

fn target(text: &str) -> Result<Target, String> {
    if let Ok(name) = service(text) {
        return Ok(Target::Name(name));
    }
    uri(text).map(Target::Uri).map_err(|expected| format!("{expected}, or the name of a service"))
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

#[cfg(feature = "agent")]
fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).ok();
    mode.filter(|mode| *mode <= 0o777).ok_or_else(|| "expected an octal mode, 0000 to 0777".to_owned())
}
