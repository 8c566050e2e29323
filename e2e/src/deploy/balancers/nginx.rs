//! The real nginx.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::probe::get;
use crate::servers::Server;

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
    let mut server =
        Server::new("nginx", command, folder, move || get(&uri, "/", Duration::from_secs(2)).is_ok())?;
    server.start()?;
    Ok(server)
}
