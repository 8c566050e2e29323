//! The databases that every cluster begins with, made once.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::config::{self, Addresses};
use crate::servers::MariaDb;
use crate::setup::Setup;
use crate::step::Step;

/// Cells that find their servers where nova.conf says, in whatever run.
const CELL: &str = "{scheme}://{username}:{password}@{hostname}:{port}/";

/// Makes `folder`, in which MariaDB has all databases of Nova and placement, as they are before the first start.
pub(crate) fn make(setup: &Setup, folder: &Path, step: &mut Step) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let mariadb = MariaDb::install(folder, step)?;
    let nowhere = ([127, 0, 0, 1], 9).into();
    let addresses = Addresses::find(mariadb.address(), nowhere)?;
    config::write(folder, &addresses, &setup.api_paste())?;
    let (cell0, cell1, bus) = (format!("{CELL}nova_cell0"), format!("{CELL}nova"), format!("{CELL}/"));
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
        let mut manage = std::process::Command::new(setup.program(program));
        let file = if program == "nova-manage" { "nova.conf" } else { "placement/placement.conf" };
        step.run(manage.args(["--config-file", file]).args(arguments).current_dir(folder))?;
    }
    Ok(())
}
