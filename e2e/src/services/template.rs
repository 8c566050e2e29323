//! The configuration files of the services, and the initial data of their servers.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::commands::LISTENERS;
use crate::addresses::Addresses;
use crate::servers::{MariaDb, RabbitMq};
use crate::setup::Setup;
use crate::step::Step;

/// The configuration files, with placeholders for the addresses, and the driver of cinder-volume.
pub(crate) const TEMPLATES: [(&str, &str); 5] = [
    ("cinder.conf", include_str!("../../services/cinder.conf")),
    ("glance-api.conf", include_str!("../../services/glance-api.conf")),
    ("keystone.conf", include_str!("../../services/keystone.conf")),
    ("placement.conf", include_str!("../../services/placement.conf")),
    ("stage_driver.py", include_str!("../../services/stage_driver.py")),
];

/// The folders of the template that are copied into each run.
pub(crate) const TEMPLATE_FOLDERS: [&str; 3] = ["mariadb", "rabbitmq", "keys"];

/// The databases.
const DATABASES: [&str; 4] = ["cinder", "glance", "keystone", "placement"];
/// What Keystone keeps its keys in.
const KEYS: [&str; 3] = ["keys/tokens", "keys/receipts", "keys/credentials"];

/// Writes all configuration files into `folder`. `environment` is the virtual environment with the services.
pub(super) fn configure(folder: &Path, environment: &Path, addresses: &Addresses) -> Result<()> {
    for part in ["state", "images/staging", "images/tasks"] {
        fs::create_dir_all(folder.join(part))?;
    }
    addresses.write(folder, environment, &TEMPLATES)
}

/// Fills the empty `folder` with what the servers would otherwise create at their first start, the databases of the services, and
/// the keys of Keystone.
pub(crate) fn make(setup: &Setup, folder: &Path, step: &mut Step) -> Result<()> {
    let mut rabbitmq = RabbitMq::new(folder)?;
    rabbitmq.begin_start()?;
    let mariadb = MariaDb::install(folder, &DATABASES, step)?;
    let addresses = Addresses::find(mariadb.address(), rabbitmq.address(), &LISTENERS)?;
    configure(folder, &setup.venv(), &addresses)?;
    KEYS.iter().try_for_each(|part| fs::create_dir_all(folder.join(part)))?;
    rabbitmq.until_it_answers()?;
    let own = ["--keystone-user", "root", "--keystone-group", "root"];
    let user = ["--bootstrap-password", "stage"];
    let steps: [(&str, &str, &[&str], &[&str]); 8] = [
        ("cinder-manage", "cinder.conf", &["db", "sync"], &[]),
        ("glance-manage", "glance-api.conf", &["db", "sync"], &[]),
        ("placement-manage", "placement.conf", &["db", "sync"], &[]),
        ("keystone-manage", "keystone.conf", &["db_sync"], &[]),
        ("keystone-manage", "keystone.conf", &["fernet_setup"], &own),
        ("keystone-manage", "keystone.conf", &["receipt_setup"], &own),
        ("keystone-manage", "keystone.conf", &["credential_setup"], &own),
        ("keystone-manage", "keystone.conf", &["bootstrap"], &user),
    ];
    for (program, file, job, more) in steps {
        let mut manage = Command::new(setup.program(program));
        step.run(manage.args(["--config-file", file]).args(job).args(more).current_dir(folder))?;
    }
    Ok(())
}
