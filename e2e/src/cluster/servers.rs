//! The servers of one cluster, started in parallel.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::Backends;
use super::config::{self, LISTENERS};
use crate::addresses::Addresses;
use crate::servers::{
    Arbitrator, Disk, MariaDb, PASSWORD, PostgreSql, RabbitMq, Server, libvirtd, placement,
};
use crate::setup::Setup;
use crate::stage::Stage;

/// The name of the second cell, and of its server.
pub(super) const CELL2: &str = "cell2";

/// The URL of the second cell's database.
pub(super) fn cell2_url(address: SocketAddr) -> String {
    format!("mysql+pymysql://nova:{PASSWORD}@{address}/nova_cell2")
}

/// The URL of all nodes of the broker.
fn rabbitmq_url(rabbitmq: &RabbitMq) -> String {
    let nodes = rabbitmq.addresses().into_iter().map(|address| format!("guest:guest@{address}"));
    format!("rabbit://{}//", nodes.collect::<Vec<_>>().join(","))
}

/// The servers of one cluster, and all its addresses.
pub(super) struct Servers {
    pub(super) placement: Server,
    pub(super) libvirtd: Server,
    pub(super) rabbitmq: RabbitMq,
    pub(super) mariadb: MariaDb,
    pub(super) cell2: MariaDb,
    pub(super) disk: Disk,
    pub(super) arbitrator: Option<Arbitrator>,
    pub(super) postgresql: Option<PostgreSql>,
    pub(super) addresses: Addresses,
}

impl Servers {
    /// Fills the folder of `stage`, starts the servers there, and returns when all of them answer.
    pub(super) fn start(backends: Backends, setup: &Setup, stage: &Stage) -> Result<Self> {
        let folder = stage.folder();
        setup.populate_cluster(folder, backends)?;
        let disk = Disk::new(folder, "log-disk", "64m")?;
        let (mut mariadb, mut arbitrator) = if backends == Backends::Galera {
            let (node, arbitrator) = Arbitrator::with_node(folder)?;
            (node, Some(arbitrator))
        } else {
            let log = format!("--log-bin={}/changes", disk.path().display());
            (MariaDb::at(folder, "mariadb", &[log, String::from("--server-id=1")])?, None)
        };
        let mut postgresql = None;
        if backends == Backends::PostgreSql {
            postgresql.insert(PostgreSql::new(folder)?).begin_start()?;
        } else {
            mariadb.begin_start()?;
        }
        let mut cell2 = MariaDb::at(folder, CELL2, &[])?;
        cell2.begin_start()?;
        let mut rabbitmq = RabbitMq::new(folder)?;
        rabbitmq.begin_start()?;
        let mut libvirtd = libvirtd(folder)?;
        libvirtd.begin_start()?;
        let address = postgresql.as_ref().map_or(mariadb.address(), PostgreSql::address);
        let mut addresses = Addresses::find(address, rabbitmq.address(), &LISTENERS)?;
        addresses.add(CELL2, cell2.address());
        config::write(folder, &addresses, &setup.venv(), backends)?;
        let address = addresses.of("placement").context("placement has no address")?;
        let mut placement = placement(folder, stage.command("uwsgi"), address)?;
        // placement connects to its database before it answers.
        // The template has the address of another run.
        let cell =
            format!("SET database_connection = '{}' WHERE name = '{CELL2}'", cell2_url(cell2.address()));
        if let Some(postgresql) = &mut postgresql {
            postgresql.until_it_answers()?;
            postgresql.execute("nova_api", &format!("UPDATE cell_mappings {cell}"))?;
        } else {
            mariadb.until_it_answers()?;
            if let Some(arbitrator) = &mut arbitrator {
                arbitrator.join(&mariadb)?;
            }
            mariadb.execute(&format!("UPDATE nova_api.cell_mappings {cell}"))?;
        }
        placement.start()?;
        cell2.until_it_answers()?;
        rabbitmq.until_it_answers()?;
        if backends == Backends::RabbitMqCluster {
            rabbitmq.join(folder)?;
            let bus = rabbitmq_url(&rabbitmq);
            config::use_cluster(folder, rabbitmq.address(), &bus)?;
            let cell = format!("SET transport_url = '{bus}' WHERE name = 'cell1'");
            mariadb.execute(&format!("UPDATE nova_api.cell_mappings {cell}"))?;
        }
        libvirtd.until_it_answers()?;
        Ok(Self { placement, libvirtd, rabbitmq, mariadb, cell2, disk, arbitrator, postgresql, addresses })
    }

    /// Where the databases are.
    pub(super) fn databases_address(&self) -> SocketAddr {
        self.postgresql.as_ref().map_or(self.mariadb.address(), PostgreSql::address)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        // Stop all at once. Dropping the fields then waits for each.
        self.placement.begin_stop();
        self.libvirtd.begin_stop();
        self.rabbitmq.begin_stop();
        self.mariadb.begin_stop();
        self.cell2.begin_stop();
        self.postgresql.iter_mut().for_each(|postgresql| postgresql.begin_stop());
    }
}
