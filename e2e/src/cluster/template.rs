//! The initial data of the servers, created once for all clusters.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::config::{self, LISTENERS};
use crate::addresses::Addresses;
use crate::servers::{MariaDb, RabbitMq, libvirtd};
use crate::setup::Setup;
use crate::step::Step;

/// The URL of a cell, with placeholders that Nova fills in from the nova.conf of each run.
const CELL_URL: &str = "{scheme}://{username}:{password}@{hostname}:{port}/";

/// The databases that Nova and placement use.
const DATABASES: [&str; 4] = ["nova_api", "nova_cell0", "nova", "placement"];

/// The folders of the template that are copied into each cluster.
pub(crate) const TEMPLATE_FOLDERS: [&str; 3] = ["mariadb", "rabbitmq", "libvirt"];

/// Fills the empty `folder` with what the servers would otherwise create at their first start: the databases of Nova and
/// placement, the tables of `RabbitMQ`, and libvirt's knowledge of qemu.
pub(crate) fn make(setup: &Setup, folder: &Path, step: &mut Step) -> Result<()> {
    let mut rabbitmq = RabbitMq::new(folder)?;
    rabbitmq.begin_start()?;
    let mut libvirtd = libvirtd(folder)?;
    libvirtd.begin_start()?;
    let mariadb = MariaDb::install(folder, &DATABASES, step)?;
    make_databases(setup, folder, &mariadb, step)?;
    rabbitmq.until_it_answers()?;
    libvirtd.until_it_answers()?;
    libvirtd.stop();
    fs::remove_dir_all(folder.join("libvirt/run"))?;
    Ok(())
}

fn make_databases(setup: &Setup, folder: &Path, mariadb: &MariaDb, step: &mut Step) -> Result<()> {
    let nowhere = ([127, 0, 0, 1], 9).into();
    let addresses = Addresses::find(mariadb.address(), nowhere, &LISTENERS)?;
    config::write(folder, &addresses, &setup.venv())?;
    let (cell0, cell1, bus) =
        (format!("{CELL_URL}nova_cell0"), format!("{CELL_URL}nova"), format!("{CELL_URL}/"));
    let steps: [(&str, &[&str]); 5] = [
        ("nova-manage", &["api_db", "sync"]),
        ("nova-manage", &["cell_v2", "map_cell0", "--database_connection", &cell0]),
        ("nova-manage", &["db", "sync"]),
        (
            "nova-manage",
            &[
                "cell_v2",
                "create_cell",
                "--name",
                "cell1",
                "--database_connection",
                &cell1,
                "--transport-url",
                &bus,
            ],
        ),
        ("placement-manage", &["db", "sync"]),
    ];
    for (program, arguments) in steps {
        let mut manage = Command::new(setup.program(program));
        let file = if program == "nova-manage" { "nova.conf" } else { "placement/placement.conf" };
        step.run(manage.args(["--config-file", file]).args(arguments).current_dir(folder))?;
    }
    Ok(())
}
