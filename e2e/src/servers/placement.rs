//! placement, which Nova's scheduler and computes use.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::Server;
use crate::probe::get;

/// placement under `uwsgi` at `address`, with `folder/placement/placement.conf`.
pub(crate) fn placement(folder: &Path, mut uwsgi: Command, address: SocketAddr) -> Result<Server> {
    uwsgi
        .args(["--http-socket", &address.to_string(), "--module", "placement.wsgi.api:application"])
        .args(["--master", "--processes", "1", "--threads", "4", "--enable-threads"])
        .args(["--die-on-term", "--need-app"])
        // uWSGI closes the connection after each answer. Clients must know, or they would sometimes reuse a closed one.
        .args(["--add-header", "Connection: close"])
        .env("OS_PLACEMENT_CONFIG_DIR", folder.join("placement"));
    let uri = format!("tcp://{address}");
    Server::new("placement", uwsgi, folder, move || {
        get(&uri, "/", Duration::from_secs(1)).is_ok_and(|(code, _)| code == 200)
    })
}
