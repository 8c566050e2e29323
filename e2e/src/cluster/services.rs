//! The services of a cluster: their names and their commands.

use std::net::SocketAddr;

use crate::stage::{CONDUCTOR, SCHEDULER};

/// The API, under uWSGI with two processes.
pub const API: &str = "nova-api";
/// The metadata API, under uWSGI with two processes.
pub const METADATA: &str = "nova-metadata";
/// A compute with Nova's fake driver.
pub const COMPUTE: &str = "nova-compute";
/// A compute with libvirt, under a host name of its own.
pub const COMPUTE_LIBVIRT: &str = "nova-compute-libvirt";
/// The proxy for VNC.
pub const NOVNCPROXY: &str = "nova-novncproxy";
/// The proxy for serial consoles.
pub const SERIALPROXY: &str = "nova-serialproxy";
/// The proxy for SPICE.
pub const SPICEPROXY: &str = "nova-spicehtml5proxy";

/// All services, in the order in which an operator would start them.
pub const ALL: [&str; 9] =
    [CONDUCTOR, SCHEDULER, API, METADATA, COMPUTE, COMPUTE_LIBVIRT, NOVNCPROXY, SERIALPROXY, SPICEPROXY];

/// How to tell that a service is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It reports its state, from this many processes.
    Reporting(usize),
    /// It answers at its port.
    Listening,
}

/// How to tell that `service` is up.
pub(super) fn kind(service: &str) -> Kind {
    match service {
        CONDUCTOR => Kind::Reporting(2),
        SCHEDULER | COMPUTE | COMPUTE_LIBVIRT => Kind::Reporting(1),
        _ => Kind::Listening,
    }
}

/// The program of a service. If its name differs, the service needs `--service`.
pub(super) fn program(service: &str) -> &str {
    match service {
        API | METADATA => "uwsgi",
        COMPUTE_LIBVIRT => "nova-compute",
        other => other,
    }
}

/// The arguments of a service that listens at `address`, if it listens at all.
pub(super) fn arguments(service: &str, address: SocketAddr) -> Vec<String> {
    let line = match service {
        API => uwsgi("nova.wsgi.osapi_compute:application", address),
        METADATA => uwsgi("nova.wsgi.metadata:application", address),
        COMPUTE_LIBVIRT => String::from("--config-file nova.conf --config-file nova-compute-libvirt.conf"),
        NOVNCPROXY | SPICEPROXY => String::from("--config-file nova.conf --web web"),
        _ => String::from("--config-file nova.conf"),
    };
    line.split(' ').map(str::to_owned).collect()
}

/// Workers that do not end within five seconds are killed by their master, which then says so.
fn uwsgi(module: &str, address: SocketAddr) -> String {
    format!(
        "--http-socket {address} --module {module} --master --processes 2 --threads 1 --enable-threads \
         --die-on-term --need-app --worker-reload-mercy 5"
    )
}
