//! The dashboard in `deploy/grafana`: every query of it returns data.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::prometheus::Prometheus;
use crate::setup::Setup;

const DRAWING: &str = include_str!("dashboard.py");

/// Panels that show something only in a case that is not played: an agent that asks for nothing has no rate yet.
const MAY_BE_EMPTY: [&str; 1] = ["Processes hung or dead"];

/// Runs every query against this Prometheus, which watches hosts with a broken database.
pub(super) fn check(setup: &Setup, prometheus: &Prometheus) -> Result<()> {
    let text = fs::read_to_string(file(setup))?;
    let board: Value = serde_json::from_str(&text).context("the dashboard is not JSON")?;
    let panels = board["panels"].as_array().context("the dashboard has no panels")?;
    ensure!(panels.len() > 8, "the dashboard has {} panels", panels.len());
    for panel in panels {
        let title = panel["title"].as_str().context("a panel has no title")?;
        for member in ["type", "gridPos", "targets", "datasource", "fieldConfig", "description"] {
            ensure!(!panel[member].is_null(), "the panel `{title}` has no `{member}`");
        }
        for target in panel["targets"].as_array().context("a panel without queries")? {
            let expression = target["expr"].as_str().context("a query without an expression")?;
            let expression = expression
                .replace("$instance", ".*")
                .replace("$service", ".*")
                .replace("[5m]", "[30s]")
                .replace("[1h]", "[30s]");
            let values = prometheus.query(&expression).with_context(|| format!("the panel `{title}`"))?;
            ensure!(
                !values.is_empty() || MAY_BE_EMPTY.contains(&title),
                "the panel `{title}` shows nothing: {expression}"
            );
        }
    }
    Ok(())
}

/// Draws its panels, as far as a plotting library can, from what this Prometheus answers.
pub(super) fn draw(setup: &Setup, prometheus: SocketAddr, picture: &Path) -> Result<()> {
    let output = Command::new(setup.program("python"))
        .env("PYTHONPATH", setup.browser_driver())
        .args(["-c", DRAWING])
        .arg(file(setup))
        .arg(format!("http://{prometheus}"))
        .arg(picture)
        .output()
        .context("cannot start the drawing")?;
    ensure!(output.status.success(), "the drawing: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn file(setup: &Setup) -> PathBuf {
    setup.workspace().join("deploy/grafana/healthboard.json")
}
