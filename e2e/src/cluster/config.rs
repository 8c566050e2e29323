//! The configuration files of a cluster.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};

use super::Backends;
use super::services::{API, METADATA, NOVNCPROXY, SERIALPROXY, SPICEPROXY};
use crate::addresses::Addresses;

/// The image service, which does not run: only some faults listen at its address.
pub(super) const IMAGES: &str = "glance";

/// The configuration with the servers by name.
pub(crate) const NAMES: &str = "names.conf";

/// What gets an address here. The other servers choose their own.
pub(super) const LISTENERS: [&str; 7] =
    ["placement", IMAGES, API, METADATA, NOVNCPROXY, SERIALPROXY, SPICEPROXY];

/// The configuration files, with placeholders for the addresses.
pub(crate) const TEMPLATES: [(&str, &str); 5] = [
    ("nova.conf", include_str!("../../cluster/nova.conf")),
    ("cell2.conf", include_str!("../../cluster/cell2.conf")),
    (NAMES, include_str!("../../cluster/names.conf")),
    ("nova-compute-libvirt.conf", include_str!("../../cluster/nova-compute-libvirt.conf")),
    ("placement/placement.conf", include_str!("../../cluster/placement.conf")),
];

/// Writes all configuration files into `folder`. `environment` is the virtual environment with Nova.
pub(crate) fn write(
    folder: &Path,
    addresses: &Addresses,
    environment: &Path,
    backends: Backends,
) -> Result<()> {
    for part in ["placement", "state", "libvirt/nova/instances", "web"] {
        fs::create_dir_all(folder.join(part))?;
    }
    addresses.write(folder, environment, &TEMPLATES)?;
    if backends == Backends::PostgreSql {
        for name in ["nova.conf", NAMES, "placement/placement.conf"] {
            let text = fs::read_to_string(folder.join(name))?;
            fs::write(folder.join(name), text.replace("mysql+pymysql:", "postgresql+psycopg2:"))?;
        }
    }
    // Both run as `uwsgi`. Without this, that would be the name of their log.
    for service in [API, METADATA] {
        let text = format!("[DEFAULT]\nlog_file = {service}.log\n");
        fs::write(folder.join(format!("{service}.conf")), text)?;
    }
    write_api_paste(folder, environment)
}

/// Writes Nova's api-paste.ini into `folder`, without Keystone and with `/healthcheck`.
pub(crate) fn write_api_paste(folder: &Path, environment: &Path) -> Result<()> {
    let api_paste = environment.join("etc/nova/api-paste.ini");
    let shipped =
        fs::read_to_string(&api_paste).with_context(|| format!("cannot read {}", api_paste.display()))?;
    fs::write(folder.join("api-paste.ini"), without_keystone(&shipped)).context("cannot write api-paste.ini")
}

/// Replaces the address of the broker by the URL of its cluster, whose queues are on several nodes.
pub(super) fn use_cluster(folder: &Path, single: SocketAddr, url: &str) -> Result<()> {
    let path = folder.join("nova.conf");
    let text = fs::read_to_string(&path)?.replace(&format!("rabbit://guest:guest@{single}//"), url);
    let queues = "[oslo_messaging_rabbit]\nrabbit_quorum_queue = true\n\n[conductor]";
    fs::write(&path, text.replace("[conductor]", queues)).context("cannot write nova.conf")
}

/// Nova's api-paste.ini without Keystone, so that it trusts the headers, and with oslo.middleware's `/healthcheck`.
fn without_keystone(shipped: &str) -> String {
    let mut text = shipped
        .replace(" authtoken keystonecontext", " keystonecontext")
        .replace("/: oscomputeversions\n", "/: oscomputeversions\n/healthcheck: healthcheck\n");
    text = text.replace("/: meta\n", "/: meta\n/healthcheck: healthcheck\n");
    text + "\n[app:healthcheck]\npaste.app_factory = oslo_middleware:Healthcheck.app_factory\n"
}
