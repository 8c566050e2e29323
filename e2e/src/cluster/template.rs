//! The initial data of the servers, created once for all clusters.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Backends;
use super::config::{self, LISTENERS};
use super::servers::{CELL2, cell2_url};
use crate::addresses::Addresses;
use crate::servers::{MariaDb, PostgreSql, RabbitMq, libvirtd};
use crate::setup::Setup;
use crate::step::Step;

/// The URL of a cell, with placeholders that Nova fills in from the nova.conf of each run.
const CELL_URL: &str = "{scheme}://{username}:{password}@{hostname}:{port}/";

/// The URL of the broker for the second cell. It has no services, so nobody connects.
const NO_BUS: &str = "{scheme}://{username}:{password}@{hostname}:{port}/cell2";

/// The address of a server that is not used.
const NOWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 9);

/// The databases that Nova and placement use.
const DATABASES: [&str; 4] = ["nova_api", "nova_cell0", "nova", "placement"];

/// The folders of the template that are copied into each cluster.
pub(crate) const TEMPLATE_FOLDERS: [&str; 4] = ["mariadb", CELL2, "rabbitmq", "libvirt"];

/// Fills the empty `folder` with what the servers would otherwise create at their first start: the databases of Nova and
/// placement, the tables of `RabbitMQ`, and libvirt's knowledge of qemu.
pub(crate) fn make(setup: &Setup, folder: &Path, step: &mut Step) -> Result<()> {
    let mut rabbitmq = RabbitMq::new(folder)?;
    rabbitmq.begin_start()?;
    let mut libvirtd = libvirtd(folder)?;
    libvirtd.begin_start()?;
    let mariadb = MariaDb::install(folder, &DATABASES, step)?;
    let cell2 = MariaDb::install_at(folder, CELL2, &["nova_cell2"], step)?;
    make_databases(setup, folder, Backends::Usual, [mariadb.address(), cell2.address()], step)?;
    run(setup, folder, "nova-manage", &["--config-file", "cell2.conf", "db", "sync", "--local_cell"], step)?;
    rabbitmq.until_it_answers()?;
    libvirtd.until_it_answers()?;
    libvirtd.stop();
    fs::remove_dir_all(folder.join("libvirt/run"))?;
    Ok(())
}

/// The same for `PostgreSQL` alone. The other servers have the data of [`make`].
pub(crate) fn make_postgresql(setup: &Setup, folder: &Path, step: &mut Step) -> Result<()> {
    let postgresql = PostgreSql::install(folder, &DATABASES, step)?;
    make_databases(setup, folder, Backends::PostgreSql, [postgresql.address(), NOWHERE.into()], step)
}

/// Creates the tables of Nova and placement, and maps the cells.
fn make_databases(
    setup: &Setup,
    folder: &Path,
    backends: Backends,
    [address, cell2]: [SocketAddr; 2],
    step: &mut Step,
) -> Result<()> {
    let mut addresses = Addresses::find(address, NOWHERE.into(), &LISTENERS)?;
    addresses.add(CELL2, cell2);
    config::write(folder, &addresses, &setup.venv(), backends)?;
    let (cell0, cell1, bus) =
        (format!("{CELL_URL}nova_cell0"), format!("{CELL_URL}nova"), format!("{CELL_URL}/"));
    let second = cell2_url(cell2);
    let steps: [(&str, &[&str]); 6] = [
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
        (
            "nova-manage",
            &[
                "cell_v2",
                "create_cell",
                "--name",
                CELL2,
                "--database_connection",
                &second,
                "--transport-url",
                NO_BUS,
            ],
        ),
        ("placement-manage", &["db", "sync"]),
    ];
    steps.into_iter().try_for_each(|(program, arguments)| run(setup, folder, program, arguments, step))
}

fn run(setup: &Setup, folder: &Path, program: &str, arguments: &[&str], step: &mut Step) -> Result<()> {
    let mut manage = Command::new(setup.program(program));
    let file = if program == "nova-manage" { "nova.conf" } else { "placement/placement.conf" };
    step.run(manage.args(["--config-file", file]).args(arguments).current_dir(folder))
}
