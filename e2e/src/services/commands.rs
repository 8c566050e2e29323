//! The services and the commands that start them, as their projects document them.

use std::process::Command;

use crate::addresses::Addresses;
use crate::stage::Stage;

/// cinder's scheduler.
pub const CINDER_SCHEDULER: &str = "cinder-scheduler";
/// cinder's volume service, with a driver that has no storage.
pub const CINDER_VOLUME: &str = "cinder-volume";
/// cinder's API, under uWSGI with two processes.
pub const CINDER_API: &str = "cinder-api";
/// glance, under uWSGI with two processes.
pub const GLANCE: &str = "glance-api";
/// keystone, under uWSGI with two processes.
pub const KEYSTONE: &str = "keystone-api";
/// placement, under uWSGI with two processes.
pub const PLACEMENT: &str = "placement-api";

/// All services.
pub const ALL: [&str; 6] = [KEYSTONE, PLACEMENT, GLANCE, CINDER_API, CINDER_SCHEDULER, CINDER_VOLUME];
/// The services that listen.
pub(super) const LISTENERS: [&str; 4] = [KEYSTONE, PLACEMENT, GLANCE, CINDER_API];

/// The command that starts `service` under `healthboard-run`, in the folder of the stage.
pub(super) fn command(service: &str, stage: &Stage, addresses: &Addresses) -> Command {
    let mut command = stage.command("healthboard-run");
    let (module, variable) = match service {
        CINDER_API => ("cinder.wsgi.api", None),
        GLANCE => ("glance.wsgi.api", Some("OS_GLANCE_CONFIG_DIR")),
        KEYSTONE => ("keystone.wsgi.api", Some("OS_KEYSTONE_CONFIG_DIR")),
        PLACEMENT => ("placement.wsgi.api", Some("OS_PLACEMENT_CONFIG_DIR")),
        // The driver of cinder-volume is in the folder.
        daemon => {
            command.args([daemon, "--config-file", "cinder.conf"]).env("PYTHONPATH", stage.folder());
            return command;
        }
    };
    command.args(["uwsgi", "--module", &format!("{module}:application")]);
    command.args("--master --processes 2 --threads 1 --enable-threads --die-on-term --need-app".split(' '));
    // uWSGI closes the connection after each answer. Clients must know, or they would sometimes reuse a closed one.
    command.args(["--add-header", "Connection: close"]);
    if let Some(address) = addresses.of(service) {
        command.args(["--http-socket", &address.to_string()]);
    }
    match variable {
        Some(variable) => command.env(variable, stage.folder()),
        None => command.args(["--pyargv", "--config-file cinder.conf"]),
    };
    command
}
