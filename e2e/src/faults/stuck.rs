//! Requests that occupy all workers of a service, because what they need does not answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle, sleep};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::probe::get_with;

const SCRIPT: &str = include_str!("stuck.py");
/// Longer than any fault.
const TIMEOUT: Duration = Duration::from_secs(600);
/// An answer of the image service: there are no images.
const NO_IMAGES: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 14\r\n\
     Connection: close\r\n\r\n{\"images\": []}";

/// Requests for the list of images, and the image service, which accepts connections and does not answer.
pub(super) struct StuckRequests {
    images: TcpListener,
    users: Vec<JoinHandle<Result<(u16, String)>>>,
}

impl StuckRequests {
    /// Sends `count` requests to the API at `uri`. Its image service is at `images`.
    pub(super) fn begin(uri: &str, headers: &'static str, images: SocketAddr, count: usize) -> Result<Self> {
        let images = TcpListener::bind(images).context("cannot listen as the image service")?;
        let user = |_| {
            let uri = uri.to_owned();
            thread::spawn(move || get_with(&uri, "/v2.1/images", headers, TIMEOUT))
        };
        Ok(Self { images, users: (0..count).map(user).collect() })
    }

    /// Answers as the image service until all requests are answered. An error if one of them was not stuck.
    pub(super) fn answer(mut self) -> Result<()> {
        self.images.set_nonblocking(true)?;
        if let Some(free) = self.users.iter().position(JoinHandle::is_finished) {
            let (code, body) = answer_of(self.users.swap_remove(free)).context("a request was not stuck")?;
            bail!("a request was not stuck: {code} {body}");
        }
        while self.users.iter().any(|user| !user.is_finished()) {
            if let Ok((mut stream, _)) = self.images.accept() {
                stream.set_nonblocking(false)?;
                let _ = stream.read(&mut [0; 4096])?;
                stream.write_all(NO_IMAGES.as_bytes())?;
            }
            sleep(Duration::from_millis(10));
        }
        for user in self.users {
            let (code, body) = answer_of(user)?;
            ensure!(code == 200, "a request for images ended with {code}: {body}");
        }
        Ok(())
    }
}

fn answer_of(user: JoinHandle<Result<(u16, String)>>) -> Result<(u16, String)> {
    user.join().ok().context("a request panicked")?
}

/// Calls nova-conductor over the message bus, `count` times at once. The calls wait for the table of services.
pub(super) fn call_conductor(mut python: Command, count: usize) -> Result<Child> {
    python.args(["-c", SCRIPT, &count.to_string()]).stdin(Stdio::null());
    python.stdout(Stdio::null()).stderr(Stdio::null());
    python.spawn().context("cannot call nova-conductor")
}
