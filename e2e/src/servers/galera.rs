//! A Galera cluster of one `MariaDB` and an arbitrator, without which it has no quorum.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::{MariaDb, Server, free_port};

const LIBRARY: &str = "/usr/lib/galera/libgalera_smm.so";
/// As short as they can be, so that a lost member is noticed within two seconds.
const TIMEOUTS: &str = "evs.keepalive_period=PT0.2S;evs.inactive_check_period=PT0.1S;evs.suspect_timeout=PT0.8S;\
                        evs.inactive_timeout=PT1.5S;evs.install_timeout=PT1.5S;gmcast.peer_timeout=PT1S";
/// Much longer than members take to find or to miss each other.
const PATIENCE: Duration = Duration::from_secs(30);

/// The arbitrator of a node.
pub(crate) struct Arbitrator(Server);

impl Arbitrator {
    /// The node on the data directory `folder/mariadb`, and its arbitrator. Neither is started.
    pub(crate) fn with_node(folder: &Path) -> Result<(MariaDb, Self)> {
        let (member, arbitrator) = (free_port()?, free_port()?);
        let provider = format!(
            "--wsrep-provider-options=gcache.size=4M;pc.recovery=FALSE;gmcast.listen_addr=tcp://127.0.0.1:{member};{TIMEOUTS}"
        );
        let options = [
            "--wsrep-on=ON",
            &format!("--wsrep-provider={LIBRARY}"),
            "--wsrep-cluster-name=stage",
            "--wsrep-cluster-address=gcomm://",
            "--wsrep-new-cluster",
            "--wsrep-node-address=127.0.0.1",
            "--wsrep-sst-method=rsync",
            "--binlog-format=ROW",
            "--innodb-autoinc-lock-mode=2",
            &provider,
        ];
        let node = MariaDb::at(folder, "mariadb", &options.map(str::to_owned))?;
        let mut command = Command::new("garbd");
        command
            .args(["--group=stage", &format!("--address=gcomm://127.0.0.1:{member}")])
            .arg(format!("--options=gmcast.listen_addr=tcp://127.0.0.1:{arbitrator};{TIMEOUTS}"))
            .current_dir(folder);
        Ok((node, Self(Server::new("garbd", command, folder, || true)?)))
    }

    /// Starts it, and returns when the cluster has both members.
    pub(crate) fn join(&mut self, node: &MariaDb) -> Result<()> {
        self.0.start()?;
        until(node, "wsrep_cluster_size", "2")
    }

    /// Kills it, and returns when the node is without quorum.
    pub(crate) fn kill(&mut self, node: &MariaDb) -> Result<()> {
        self.0.kill()?;
        until(node, "wsrep_cluster_status", "non-Primary")
    }

    /// Makes the node a cluster again, as an operator does, and starts the arbitrator.
    pub(crate) fn restore(&mut self, node: &MariaDb) -> Result<()> {
        node.execute("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'")?;
        until(node, "wsrep_ready", "ON")?;
        self.join(node)
    }
}

fn until(node: &MariaDb, name: &str, value: &str) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let found = node.query(&format!("SHOW STATUS LIKE '{name}'"))?;
        if found.split_whitespace().nth(1) == Some(value) {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{} is not {value}", found.trim());
        sleep(Duration::from_millis(50));
    }
}
