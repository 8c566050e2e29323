//! The configuration files of a cluster.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::services::{API, METADATA, NOVNCPROXY, SERIALPROXY, SPICEPROXY};
use crate::servers::{PASSWORD, free_port};

/// What gets an address here. The other servers choose their own.
const LISTENERS: [&str; 6] = ["placement", API, METADATA, NOVNCPROXY, SERIALPROXY, SPICEPROXY];

/// The configuration files, with placeholders for the addresses.
pub(crate) const TEMPLATES: [(&str, &str); 3] = [
    ("nova.conf", include_str!("../../cluster/nova.conf")),
    ("nova-compute-libvirt.conf", include_str!("../../cluster/nova-compute-libvirt.conf")),
    ("placement/placement.conf", include_str!("../../cluster/placement.conf")),
];

/// The addresses of one cluster.
pub(crate) struct Addresses(BTreeMap<&'static str, SocketAddr>);

impl Addresses {
    /// Finds a free port on loopback for each of [`LISTENERS`].
    pub(crate) fn find(mariadb: SocketAddr, rabbitmq: SocketAddr) -> Result<Self> {
        let mut addresses = BTreeMap::from([("mariadb", mariadb), ("rabbitmq", rabbitmq)]);
        for name in LISTENERS {
            addresses.insert(name, ([127, 0, 0, 1], free_port()?).into());
        }
        Ok(Self(addresses))
    }

    /// The address of `name`; `None` if it has none.
    pub(crate) fn of(&self, name: &str) -> Option<SocketAddr> {
        self.0.get(name).copied()
    }
}

/// Writes all configuration files into `folder`. `api_paste` is the file that Nova ships.
pub(crate) fn write(folder: &Path, addresses: &Addresses, api_paste: &Path) -> Result<()> {
    for part in ["placement", "state", "libvirt/nova/instances", "web"] {
        fs::create_dir_all(folder.join(part))?;
    }
    for (name, template) in TEMPLATES {
        let text = fill(template, folder, addresses);
        ensure!(!text.contains('<'), "an unknown placeholder is left in {name}");
        fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
    }
    // Both run as `uwsgi`. Without this, that would be the name of their log.
    for service in [API, METADATA] {
        let text = format!("[DEFAULT]\nlog_file = {service}.log\n");
        fs::write(folder.join(format!("{service}.conf")), text)?;
    }
    let shipped =
        fs::read_to_string(api_paste).with_context(|| format!("cannot read {}", api_paste.display()))?;
    fs::write(folder.join("api-paste.ini"), without_keystone(&shipped)).context("cannot write api-paste.ini")
}

fn fill(template: &str, folder: &Path, addresses: &Addresses) -> String {
    let mut text =
        template.replace("<folder>", &folder.display().to_string()).replace("<password>", PASSWORD);
    for (name, address) in &addresses.0 {
        text = text
            .replace(&format!("<{name}>"), &address.to_string())
            .replace(&format!("<{name} port>"), &address.port().to_string());
    }
    text
}

/// Nova's api-paste.ini without Keystone, so that it trusts the headers, and with oslo.middleware's `/healthcheck`.
fn without_keystone(shipped: &str) -> String {
    let mut text = shipped
        .replace(" authtoken keystonecontext", " keystonecontext")
        .replace("/: oscomputeversions\n", "/: oscomputeversions\n/healthcheck: healthcheck\n");
    text = text.replace("/: meta\n", "/: meta\n/healthcheck: healthcheck\n");
    text + "\n[app:healthcheck]\npaste.app_factory = oslo_middleware:Healthcheck.app_factory\n"
}
