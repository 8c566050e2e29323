//! Those who watch many hosts, with the files in `deploy`: Prometheus and Alertmanager, node_exporter, Zabbix, Icinga, Nagios.
//!
//! Hosts are runtime directories here, each with a real service, the SQLite example, and a real agent.

mod dashboard;
mod hosts;
mod icinga;
mod nodes;
mod page;
mod prometheus;
mod webhook;
mod zabbix;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

pub use self::hosts::Hosts;
pub use self::page::page;
use crate::setup::Setup;

/// What each of them has noticed, and how soon.
#[derive(Debug, Clone)]
pub struct Noticed {
    /// Who.
    pub monitor: &'static str,
    /// From the fault to the alarm.
    pub alarm: Duration,
    /// From the mend to its end.
    pub recovery: Duration,
    /// What the alarm said.
    pub said: String,
}

/// Plays a broken database on two hosts for all of them. Draws the dashboard of it into `picture`.
///
/// # Errors
///
/// If one of them cannot be started, accepts its file not, or does not notice; the error names its log.
pub fn play(setup: &Setup, picture: &Path, tick: fn(Duration) -> Result<()>) -> Result<Vec<Noticed>> {
    Ok(vec![
        prometheus::play(setup, Some(picture), tick)?,
        zabbix::play(setup, tick)?,
        icinga::play(setup, tick)?,
    ])
}

pub use self::icinga::{check_nagios, play as icinga};
pub use self::nodes::check as node_exporter;
pub(crate) use self::prometheus::Prometheus;
pub use self::prometheus::{check_files, lose_an_agent, play as prometheus};
pub(crate) use self::webhook::Webhook;
pub use self::zabbix::play as zabbix;
