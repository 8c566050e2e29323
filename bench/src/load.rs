//! Probes, one after the other, and each answer looked at.

use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

const KEEP: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
const CLOSE: &[u8] = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const CLOSE_JSON: &[u8] =
    b"GET /health HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n";

#[derive(Clone, Debug)]
pub enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

impl Target {
    /// Sends so many probes over one connection, or each over one of its own. Returns how long the newest body was.
    pub fn probe(&self, times: u32, keep: bool) -> Result<usize> {
        self.send(times, if keep { KEEP } else { CLOSE }, keep)
    }

    /// Each over a connection of its own, and asking for JSON.
    pub fn probe_for_json(&self, times: u32) -> Result<usize> {
        self.send(times, CLOSE_JSON, false)
    }

    fn send(&self, times: u32, request: &[u8], keep: bool) -> Result<usize> {
        let mut stream = self.connect()?;
        let mut answer = [0; 8192];
        let mut body = 0;
        for time in 0..times {
            if !keep && time > 0 {
                stream = self.connect()?;
            }
            stream.write_all(request)?;
            body = read_answer(&mut *stream, &mut answer)?;
            ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
            ensure!(keep || stream.read(&mut answer)? == 0, "the connection was kept");
        }
        Ok(body)
    }

    fn connect(&self) -> Result<Box<dyn Stream>> {
        let patience = Some(Duration::from_secs(5));
        Ok(match self {
            Target::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(patience)?;
                Box::new(stream)
            }
            Target::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(patience)?;
                Box::new(stream)
            }
        })
    }
}

/// As many bytes as the head says there are; returns how many those are.
fn read_answer(stream: &mut dyn Stream, buffer: &mut [u8]) -> Result<usize> {
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..])?;
        ensure!(count > 0, "the connection was closed in mid-answer");
        filled += count;
        let Some(head) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let text = std::str::from_utf8(&buffer[..head])?.to_ascii_lowercase();
        let body = text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = body.context("no content-length")?.parse()?;
        if filled >= head + 4 + length {
            return Ok(length);
        }
    }
}
