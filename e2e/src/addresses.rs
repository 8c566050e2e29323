//! The addresses of one run, and the configuration files that contain them.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::servers::{PASSWORD, free_port};

/// The addresses of one run, by name.
pub(crate) struct Addresses(BTreeMap<&'static str, SocketAddr>);

impl Addresses {
    /// Finds a free port on loopback for each of `listeners`. The servers have chosen their own.
    pub(crate) fn find(
        mariadb: SocketAddr,
        rabbitmq: SocketAddr,
        listeners: &[&'static str],
    ) -> Result<Self> {
        let mut addresses = BTreeMap::from([("mariadb", mariadb), ("rabbitmq", rabbitmq)]);
        for name in listeners {
            addresses.insert(*name, ([127, 0, 0, 1], free_port()?).into());
        }
        Ok(Self(addresses))
    }

    /// Adds the address of one more server.
    pub(crate) fn add(&mut self, name: &'static str, address: SocketAddr) {
        self.0.insert(name, address);
    }

    /// The address of `name`; `None` if it has none.
    pub(crate) fn of(&self, name: &str) -> Option<SocketAddr> {
        self.0.get(name).copied()
    }

    /// Writes each template to the file of its name in `folder`, with addresses, the folder, the password and the programs'
    /// `environment` in place of `<PLACEHOLDER>`.
    pub(crate) fn write(&self, folder: &Path, environment: &Path, templates: &[(&str, &str)]) -> Result<()> {
        for (name, template) in templates {
            let text =
                self.fill(template, folder).replace("<environment>", &environment.display().to_string());
            ensure!(!text.contains('<'), "an unknown placeholder is left in {name}");
            fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))?;
        }
        Ok(())
    }

    fn fill(&self, template: &str, folder: &Path) -> String {
        let mut text =
            template.replace("<folder>", &folder.display().to_string()).replace("<password>", PASSWORD);
        for (name, address) in &self.0 {
            text = text
                .replace(&format!("<{name}>"), &address.to_string())
                .replace(&format!("<{name} port>"), &address.port().to_string());
        }
        text
    }
}
