//! Hosts in small: a runtime directory, a service and an agent for each.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::probe::{ask, get};
use crate::servers::{Server, free_port};
use crate::setup::Setup;

/// Some hosts. They end when this value is dropped.
pub struct Hosts {
    hosts: Vec<Host>,
}

struct Host {
    folder: PathBuf,
    agent: SocketAddr,
    _service: Server,
    _agent: Server,
}

impl Hosts {
    /// Starts `count` hosts in `folder`.
    ///
    /// # Errors
    ///
    /// If a program does not start; the error names its log.
    pub fn start(setup: &Setup, folder: &Path, count: usize) -> Result<Self> {
        let hosts = (0..count).map(|number| Host::start(setup, &folder.join(format!("host-{number}"))));
        Ok(Self { hosts: hosts.collect::<Result<_>>()? })
    }

    /// Where the agents answer.
    pub fn agents(&self) -> Vec<SocketAddr> {
        self.hosts.iter().map(|host| host.agent).collect()
    }

    /// The runtime directory of the first host.
    pub fn boards(&self) -> PathBuf {
        self.hosts[0].folder.join("run")
    }

    /// Takes the database away from the services of all hosts.
    ///
    /// # Errors
    ///
    /// Of the file system.
    pub fn break_databases(&self) -> Result<()> {
        for host in &self.hosts {
            fs::rename(host.folder.join("visits.db"), host.folder.join("away.db"))?;
        }
        Ok(())
    }

    /// Ends [`Hosts::break_databases`].
    ///
    /// # Errors
    ///
    /// Of the file system.
    pub fn mend_databases(&self) -> Result<()> {
        for host in &self.hosts {
            fs::rename(host.folder.join("away.db"), host.folder.join("visits.db"))?;
        }
        Ok(())
    }
}

impl Host {
    fn start(setup: &Setup, folder: &Path) -> Result<Self> {
        let boards = folder.join("run");
        fs::create_dir_all(&boards)?;
        let mut service = Command::new(setup.programs().join("sqlite-service"));
        service
            .args(["--uri", "board"])
            .arg(folder.join("visits.db"))
            .env("HEALTHBOARD_RUNTIME_DIR", &boards)
            .env("HEALTHBOARD_FAILURE_WINDOW", "2");
        let board = boards.join("sqlite-service");
        let mut service = Server::new("sqlite-service", service, folder, move || board.exists())?;
        service.start()?;
        let address: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
        let uri = format!("tcp://{address}");
        let mut agent = Command::new(setup.programs().join("healthboard"));
        agent.args(["agent", "--listen", &uri, "--boards"]).arg(&boards);
        let answers = move || {
            let passing = ask(&format!("tcp://{address}")).is_ok_and(|answer| answer.code == 200);
            passing
                && get(&uri, "/metrics", Duration::from_secs(1))
                    .is_ok_and(|(_, text)| text.contains("sqlite-service"))
        };
        let mut agent = Server::new("agent", agent, folder, answers)?;
        agent.start()?;
        Ok(Self { folder: folder.to_owned(), agent: address, _service: service, _agent: agent })
    }
}
