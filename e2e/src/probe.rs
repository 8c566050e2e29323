//! A probe in a few lines of HTTP/1.0, so that polling starts no program.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Much longer than an answer may take. A frozen process does not answer, and the next probe may reach another one.
const TIMEOUT: Duration = Duration::from_secs(1);

/// What an endpoint answered to `GET /health`.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status code.
    pub code: u16,
    /// The native JSON body.
    pub body: Value,
}

impl Answer {
    /// `OK`, `DEGRADED` or `FAULT`.
    pub fn status(&self) -> &str {
        self.body["status"].as_str().unwrap_or_default()
    }

    /// The message; empty while all is OK.
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    /// The process that served this answer.
    pub fn serving(&self) -> Option<u32> {
        self.body["processes"]["serving"].as_u64().and_then(|pid| u32::try_from(pid).ok())
    }

    /// How many processes of the service are of this kind: `alive`, `hung` or `dead`.
    pub fn processes(&self, kind: &str) -> u64 {
        self.body["processes"][kind].as_u64().unwrap_or_default()
    }

    /// The state of one indicator, such as `passing`; empty if the service has no such indicator.
    pub fn state(&self, indicator: &str) -> &str {
        self.body["details"][indicator]["state"].as_str().unwrap_or_default()
    }
}

/// Probes `/health` at the endpoint `uri`, written as in `[healthcheck] uri`.
///
/// # Errors
///
/// If there is no answer within a second, or it is not HTTP with JSON.
pub fn ask(uri: &str) -> Result<Answer> {
    let (code, body) = get(uri, "/health", TIMEOUT)?;
    let body = serde_json::from_str(&body).with_context(|| format!("the body is not JSON: {body}"))?;
    Ok(Answer { code, body })
}

/// Gets `path` from the server at `uri`. Returns the status code and the body.
///
/// # Errors
///
/// If there is no answer within `limit`, or it is not HTTP.
pub fn get(uri: &str, path: &str, limit: Duration) -> Result<(u16, String)> {
    get_with(uri, path, "", limit)
}

/// Like [`get`], with additional `headers`, each ended by `\r\n`.
///
/// # Errors
///
/// As for [`get`].
pub fn get_with(uri: &str, path: &str, headers: &str, limit: Duration) -> Result<(u16, String)> {
    answer_to(uri, &format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n"), limit)
}

/// Posts the JSON `body` to `path`, like [`get_with`].
///
/// # Errors
///
/// As for [`get`].
pub(crate) fn post(
    uri: &str,
    path: &str,
    headers: &str,
    body: &Value,
    limit: Duration,
) -> Result<(u16, String)> {
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    answer_to(uri, &(head + &body), limit)
}

fn answer_to(uri: &str, request: &str, limit: Duration) -> Result<(u16, String)> {
    let raw = exchange(uri, request, limit).with_context(|| format!("no answer from {uri}"))?;
    let (head, body) = raw.split_once("\r\n\r\n").context("the answer has no end of headers")?;
    let code =
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("the answer has no status code")?;
    Ok((code, body.to_owned()))
}

/// Sends `request` to the server at `uri` and reads until it closes the connection.
pub(crate) fn exchange(uri: &str, request: &str, limit: Duration) -> Result<String> {
    if let Some(file) = uri.strip_prefix("unix://") {
        let stream = UnixStream::connect(file)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        converse(stream, request)
    } else if let Some(address) = uri.strip_prefix("tcp://") {
        let stream = TcpStream::connect_timeout(&address.parse()?, limit)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        converse(stream, request)
    } else {
        bail!("expected unix:///path or tcp://address:port")
    }
}

fn converse(mut stream: impl Read + Write, request: &str) -> Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
