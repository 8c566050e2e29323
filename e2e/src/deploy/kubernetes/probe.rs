//! One probe as kubelet makes it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::manifest::Probe;

/// What kubelet reads of an answer, and of a command's output.
const MOST_BYTES: u64 = 10 << 10;
/// How often it is looked whether a command has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// Where the service of this run is, and our command.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// `tcp://` for probes over HTTP, `unix://` for those by command.
    pub(super) uri: String,
    pub(super) command: PathBuf,
}

impl Probe {
    /// The error is what it says when it has failed.
    pub(super) fn ask(&self, target: &Target, timeout: Duration) -> Result<()> {
        match (&self.http_get, &self.exec) {
            (Some(http), None) => get(&target.uri, &http.path, timeout),
            (None, Some(exec)) => run(&exec.command, target, timeout),
            _ => bail!("expected one of httpGet and exec"),
        }
    }
}

/// From 200 to 399 is a success.
fn get(uri: &str, path: &str, timeout: Duration) -> Result<()> {
    let end = Instant::now() + timeout;
    let address = uri.strip_prefix("tcp://").context("expected tcp://")?;
    let mut stream = TcpStream::connect_timeout(&address.parse()?, timeout)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: kube-probe/1.31\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0; 1 << 10];
    while (answer.len() as u64) < MOST_BYTES {
        let left = end.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "no whole answer in {timeout:?}");
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut chunk)? {
            0 => break,
            n => answer.extend_from_slice(&chunk[..n]),
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let code: u16 = answer.split(' ').nth(1).context("no HTTP")?.parse()?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).trim();
    ensure!((200..400).contains(&code), "HTTP probe failed with statuscode: {code}: {body}");
    Ok(())
}

/// Runs the manifest's command, with the program and the socket of this run.
fn run(words: &[String], target: &Target, timeout: Duration) -> Result<()> {
    let end = Instant::now() + timeout;
    let arguments = words.iter().skip(1);
    let arguments =
        arguments.map(|word| if word.starts_with("unix://") { target.uri.as_str() } else { word.as_str() });
    let mut command = Command::new(&target.command);
    let mut child =
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if Instant::now() >= end => {
                child.kill()?;
                child.wait()?;
                bail!("command timed out after {timeout:?}");
            }
            None => sleep(POLL_INTERVAL),
        }
    };
    let mut output = String::new();
    child.stdout.take().context("no output")?.take(MOST_BYTES).read_to_string(&mut output)?;
    ensure!(status.success(), "{status}: {}", output.trim());
    Ok(())
}
