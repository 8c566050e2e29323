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
    service: Server,
    agent_process: Server,
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

    /// Kills the agent of the first host.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn kill_agent(&mut self) -> Result<()> {
        self.hosts[0].agent_process.kill()
    }

    /// Ends [`Hosts::kill_agent`].
    ///
    /// # Errors
    ///
    /// If it does not start; the error names its log.
    pub fn start_agent(&mut self) -> Result<()> {
        self.hosts[0].agent_process.start()
    }

    /// Kills the service of the first host, and removes what is left of it.
    ///
    /// # Errors
    ///
    /// If it does not run, or of the file system.
    pub fn remove_service(&mut self) -> Result<()> {
        self.hosts[0].service.kill()?;
        Ok(fs::remove_dir_all(self.boards().join("sqlite-service"))?)
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
        self.hosts.iter().try_for_each(Host::mend_database)
    }

    /// Ends [`Hosts::break_databases`] on the first host.
    ///
    /// # Errors
    ///
    /// Of the file system.
    pub fn mend_database(&self) -> Result<()> {
        self.hosts[0].mend_database()
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
        Ok(Self { folder: folder.to_owned(), agent: address, service, agent_process: agent })
    }

    fn mend_database(&self) -> Result<()> {
        Ok(fs::rename(self.folder.join("away.db"), self.folder.join("visits.db"))?)
    }
}
