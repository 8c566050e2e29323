//! The listening sockets of the endpoints, by the kernel's numbers for them.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// The endpoints of the tested service.
pub(crate) struct Endpoints {
    pub(crate) port: u16,
    pub(crate) socket: PathBuf,
}

/// The inode of the one listening socket of each endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listeners {
    tcp: u64,
    unix: u64,
}

impl Endpoints {
    /// One endpoint of each kind, with a free port.
    pub(crate) fn new(folder: &Path) -> Result<Endpoints> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        // A name that no other socket of this machine has.
        let name = folder.file_name().context("a folder with a name")?.to_string_lossy().replace('.', "");
        Ok(Endpoints { port, socket: folder.join(format!("{name}.sock")) })
    }

    pub(crate) fn uri(&self) -> String {
        format!("tcp://127.0.0.1:{},unix://{}", self.port, self.socket.display())
    }

    /// The listening sockets. Fails unless there is one for each endpoint.
    pub(crate) fn listeners(&self) -> Result<Listeners> {
        let address = format!("0100007F:{:04X}", self.port);
        let tcp =
            rows("/proc/net/tcp", 9, |row| row.get(1) == Some(&&*address) && row.get(3) == Some(&"0A"))?;
        // The kernel lists the longer temporary name under which the socket was bound.
        let name = self.socket.file_name().context("a socket with a name")?.to_string_lossy();
        let is_ours = |path: &&str| path.contains(&*name);
        let accepts = "00010000";
        let unix =
            rows("/proc/net/unix", 6, |row| row.get(7).is_some_and(is_ours) && row.get(3) == Some(&accepts))?;
        ensure!(
            tcp.len() == 1 && unix.len() == 1,
            "sockets that listen: {tcp:?} on TCP, {unix:?} at the path"
        );
        Ok(Listeners { tcp: tcp[0], unix: unix[0] })
    }
}

/// The numbers in this column of the wanted rows.
fn rows(table: &str, column: usize, wanted: impl Fn(&[&str]) -> bool) -> Result<Vec<u64>> {
    let text = fs::read_to_string(table).with_context(|| format!("cannot read {table}"))?;
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| wanted(row))
        .map(|row| row.get(column).and_then(|number| number.parse().ok()).context("a row without a number"))
        .collect()
}
