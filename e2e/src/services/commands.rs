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
    let Some(application) = application(service) else {
        // The driver of cinder-volume is in the folder.
        command.args([service, "--config-file", "cinder.conf"]).env("PYTHONPATH", stage.folder());
        return command;
    };
    command.args(["uwsgi", "--module", application]);
    command.args("--master --processes 2 --threads 1 --enable-threads --die-on-term --need-app".split(' '));
    // uWSGI closes the connection after each answer. Clients must know, or they would sometimes reuse a closed one.
    command.args(["--add-header", "Connection: close"]);
    if let Some(address) = addresses.of(service) {
        command.args(["--http-socket", &address.to_string()]);
    }
    let variable = match service {
        GLANCE => "OS_GLANCE_CONFIG_DIR",
        KEYSTONE => "OS_KEYSTONE_CONFIG_DIR",
        PLACEMENT => "OS_PLACEMENT_CONFIG_DIR",
        _ => {
            command.args(["--pyargv", "--config-file cinder.conf"]);
            return command;
        }
    };
    command.env(variable, stage.folder());
    command
}

/// What uWSGI runs for this service; `None` if it runs by itself.
pub(super) fn application(service: &str) -> Option<&'static str> {
    Some(match service {
        CINDER_API => "cinder.wsgi.api:application",
        GLANCE => "glance.wsgi.api:application",
        KEYSTONE => "keystone.wsgi.api:application",
        PLACEMENT => "placement.wsgi.api:application",
        _ => return None,
    })
}
