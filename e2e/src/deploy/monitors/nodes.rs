//! node_exporter of Debian, with what `healthboard metrics` has written.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::hosts::Hosts;
use crate::probe::get;
use crate::servers::{Server, free_port};
use crate::setup::Setup;

/// The services of a host are among the metrics of its node_exporter.
///
/// # Errors
///
/// If they are not, or it does not start; the error names its log.
pub fn check(setup: &Setup) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let hosts = Hosts::start(setup, folder.path(), 1)?;
    let textfiles = folder.path().join("textfiles");
    fs::create_dir(&textfiles)?;
    let status = Command::new(setup.programs().join("healthboard"))
        .args(["metrics", "--boards"])
        .arg(hosts.boards())
        .arg("--output")
        .arg(textfiles.join("healthboard.prom"))
        .status()?;
    ensure!(status.success(), "healthboard metrics: {status}");
    let address: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
    let uri = format!("tcp://{address}");
    let mut command = Command::new("prometheus-node-exporter");
    command
        .args(["--collector.disable-defaults", "--collector.textfile"])
        .arg(format!("--collector.textfile.directory={}", textfiles.display()))
        .arg(format!("--web.listen-address={address}"));
    let probed = uri.clone();
    let answers = move || get(&probed, "/metrics", Duration::from_secs(1)).is_ok();
    let mut exporter = Server::new("node_exporter", command, folder.path(), answers)?;
    exporter.start()?;
    let (_, text) = get(&uri, "/metrics", Duration::from_secs(5))?;
    for line in [
        "healthboard_status{healthboard_status=\"OK\",service=\"sqlite-service\"} 1",
        "node_textfile_scrape_error 0",
    ] {
        ensure!(text.lines().any(|found| found == line), "expected `{line}` in {text}");
    }
    Ok(())
}
