//! What Alertmanager notifies: a program that keeps what it is sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

/// Receives notifications until the process ends.
pub(crate) struct Webhook {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    pub(crate) fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, received) = (listener.local_addr()?, Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Ok(notification) = receive(stream) {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(notification);
                }
            }
        });
        Ok(Self { address, received })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// All notifications so far, of `firing` or `resolved` alerts.
    pub(crate) fn received(&self, status: &str) -> Vec<Value> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        received.iter().filter(|notification| notification["status"] == status).cloned().collect()
    }

    /// What the notifications so far said of an alert of a host, one after the other: whether it is firing.
    pub(crate) fn said_of(&self, alert: &str, instance: SocketAddr) -> Vec<bool> {
        let received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        let alerts = received.iter().flat_map(|notification| notification["alerts"].as_array()).flatten();
        let is_it = |found: &&Value| {
            found["labels"]["alertname"] == alert && found["labels"]["instance"] == instance.to_string()
        };
        alerts.filter(is_it).map(|found| found["status"] == "firing").collect()
    }
}

fn receive(mut stream: TcpStream) -> Result<Value> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().context("no length")?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    Ok(serde_json::from_slice(&body)?)
}
