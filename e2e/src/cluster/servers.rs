//! The servers of one cluster, started in parallel.

use anyhow::{Context, Result};

use super::config::{self, LISTENERS};
use crate::addresses::Addresses;
use crate::servers::{Disk, MariaDb, RabbitMq, Server, libvirtd, placement};
use crate::setup::Setup;
use crate::stage::Stage;

/// The name of the second cell, and of its server.
pub(super) const CELL2: &str = "cell2";

/// The URL of the second cell's database.
pub(super) fn cell2_url(cell2: &MariaDb) -> String {
    format!("mysql+pymysql://nova:{}@{}/nova_cell2", cell2.password(), cell2.address())
}

/// The servers of one cluster, and all its addresses.
pub(super) struct Servers {
    pub(super) placement: Server,
    pub(super) libvirtd: Server,
    pub(super) rabbitmq: RabbitMq,
    pub(super) mariadb: MariaDb,
    pub(super) cell2: MariaDb,
    pub(super) disk: Disk,
    pub(super) addresses: Addresses,
}

impl Servers {
    /// Fills the folder of `stage`, starts the servers there, and returns when all of them answer.
    pub(super) fn start(setup: &Setup, stage: &Stage) -> Result<Self> {
        let folder = stage.folder();
        setup.populate_cluster(folder)?;
        let disk = Disk::new(folder, "log-disk", "64m")?;
        let mut mariadb = MariaDb::at(
            folder,
            "mariadb",
            &[format!("--log-bin={}/changes", disk.path().display()), String::from("--server-id=1")],
        )?;
        mariadb.begin_start()?;
        let mut cell2 = MariaDb::at(folder, CELL2, &[])?;
        cell2.begin_start()?;
        let mut rabbitmq = RabbitMq::new(folder)?;
        rabbitmq.begin_start()?;
        let mut libvirtd = libvirtd(folder)?;
        libvirtd.begin_start()?;
        let mut addresses = Addresses::find(mariadb.address(), rabbitmq.address(), &LISTENERS)?;
        addresses.add(CELL2, cell2.address());
        config::write(folder, &addresses, &setup.venv())?;
        let address = addresses.of("placement").context("placement has no address")?;
        let mut placement = placement(folder, stage.command("uwsgi"), address)?;
        // placement connects to its database before it answers.
        mariadb.until_it_answers()?;
        // The template has the address of another run.
        mariadb.execute(&format!(
            "UPDATE nova_api.cell_mappings SET database_connection = '{}' WHERE name = '{CELL2}'",
            cell2_url(&cell2)
        ))?;
        placement.start()?;
        cell2.until_it_answers()?;
        rabbitmq.until_it_answers()?;
        libvirtd.until_it_answers()?;
        Ok(Self { placement, libvirtd, rabbitmq, mariadb, cell2, disk, addresses })
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
    }
}
