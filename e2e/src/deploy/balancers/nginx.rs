//! The real nginx.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::scenarios::Balancer;
use crate::probe::get;
use crate::servers::{Server, free_port};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Starts it in `folder` with this part of its configuration, which listens at `address`.
pub(super) fn start(folder: &Path, servers: &str, address: SocketAddr) -> Result<Server> {
    let file = folder.join("nginx.conf");
    fs::write(
        &file,
        format!(
            "daemon off; pid nginx.pid; error_log stderr; worker_processes 1;\nevents {{ worker_connections 4096; }}\n\
             http {{ access_log off;\n{servers}}}\n"
        ),
    )?;
    let mut command = Command::new("nginx");
    // Temporary files are elsewhere by default.
    for part in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        fs::create_dir_all(folder.join(part))?;
    }
    command.arg("-p").arg(folder).arg("-c").arg(&file);
    let uri = format!("tcp://{address}");
    let mut server = Server::new("nginx", command, folder, move || get(&uri, "/", PATIENCE).is_ok())?;
    server.start()?;
    Ok(server)
}

/// Two servers have the same bug: `/bug` is 500. Returns the codes of two such requests, and those of twenty others.
///
/// # Errors
///
/// If nginx cannot be started or does not answer.
pub fn codes_after_a_bug() -> Result<[Vec<u16>; 2]> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    for host in [11, 12] {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, host], port)))?;
        // It ends with this process.
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| drop(answer(stream))));
    }
    let text = Balancer::Nginx.text().replace("192.0.2.1", "127.0.0.1").replace("8774", &port.to_string());
    let front: SocketAddr = ([127, 0, 0, 10], port).into();
    let mut nginx = start(folder.path(), &text, front)?;
    let codes = |path, count: usize| {
        (0..count).map(|_| Ok(get(&format!("tcp://{front}"), path, PATIENCE)?.0)).collect::<Result<_>>()
    };
    let both = [codes("/bug", 2)?, codes("/", 20)?];
    nginx.stop();
    Ok(both)
}

fn answer(mut stream: impl Read + Write) -> std::io::Result<()> {
    let mut head = [0; 1024];
    let length = stream.read(&mut head)?;
    let status = if head[..length].starts_with(b"GET /bug ") { "500 Bug" } else { "200 OK" };
    write!(stream, "HTTP/1.0 {status}\r\nContent-Length: 0\r\n\r\n")
}
