//! `MariaDB`, on a data directory of its own.

use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{Server, free_port};
use crate::step::Step;

/// The databases that Nova and placement use.
const DATABASES: [&str; 4] = ["nova_api", "nova_cell0", "nova", "placement"];
/// The password in nova.conf.
pub(crate) const PASSWORD: &str = "stage";
/// The fewest connections that `MariaDB` can be limited to.
const FEWEST: usize = 10;

/// `MariaDB`. Nova is its user `nova`; we come in through a port of our own, whatever is done to the other.
pub struct MariaDb {
    server: Server,
    port: u16,
    door: u16,
    hogs: Vec<TcpStream>,
}

impl MariaDb {
    /// Fills `folder/mariadb` with empty databases and the user `nova`. It runs then.
    pub(crate) fn install(folder: &Path, step: &mut Step) -> Result<Self> {
        let mut install = Command::new("mariadb-install-db");
        install
            .args(["--no-defaults", "--user=root", "--skip-test-db"])
            .args(["--auth-root-authentication-method=normal", "--innodb-log-file-size=16M"]);
        step.run(install.arg(format!("--datadir={}", folder.join("mariadb").display())))?;
        let mut new = Self::new(folder)?;
        new.start()?;
        let mut lines = format!("CREATE USER nova@'%' IDENTIFIED BY '{PASSWORD}';");
        for database in DATABASES {
            lines += &format!("CREATE DATABASE {database}; GRANT ALL ON {database}.* TO nova@'%';");
        }
        new.say(&lines)?;
        Ok(new)
    }

    /// A server on the data directory `folder/mariadb`, not started yet.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let (port, door) = (free_port()?, free_port()?);
        let mut command = Command::new("mariadbd");
        command
            .args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .args([
                "--innodb-flush-log-at-trx-commit=2",
                "--innodb-buffer-pool-size=128M",
                "--innodb-log-file-size=16M",
                "--performance-schema=OFF",
            ]);
        for (option, name) in
            [("datadir", "mariadb"), ("socket", "mariadb.sock"), ("pid-file", "mariadb.pid")]
        {
            command.arg(format!("--{option}={}", folder.join(name).display()));
        }
        command.args([format!("--port={port}"), format!("--extra-port={door}")]);
        let server = Server::new("mariadb", command, folder, move || say(port, "DO 1").is_ok())?;
        Ok(Self { server, port, door, hogs: Vec::new() })
    }

    /// Where Nova finds it.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The password of the user `nova` in nova.conf.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Ends all of Nova's connections and takes all that can be had, so that each new one is refused with error 1040.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn exhaust_connections(&mut self) -> Result<()> {
        // A connection that has not said who it is counts, too; ours never will.
        self.say(&format!("SET GLOBAL connect_timeout = 3600, GLOBAL max_connections = {FEWEST}"))?;
        self.say("KILL USER nova")?;
        // One more than are free, for what has just been killed may not have gone yet; and the last one of all is
        // for those who may administer.
        self.hogs = (0..3 * FEWEST)
            .map(|_| TcpStream::connect(self.address()).context("cannot take a connection"))
            .collect::<Result<_>>()?;
        Ok(())
    }

    /// Gives back what [`MariaDb::exhaust_connections`] took.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn release_connections(&mut self) -> Result<()> {
        self.hogs.clear();
        self.say("SET GLOBAL connect_timeout = DEFAULT, GLOBAL max_connections = DEFAULT")?;
        self.server.until_it_answers()
    }

    /// Gives Nova's user another password than the one in nova.conf, and ends its connections.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn change_password(&mut self) -> Result<()> {
        self.say("ALTER USER nova@'%' IDENTIFIED BY 'changed'; KILL USER nova")
    }

    /// Gives Nova's user the password in nova.conf again.
    ///
    /// # Errors
    ///
    /// When it does not run.
    pub fn restore_password(&mut self) -> Result<()> {
        self.say(&format!("ALTER USER nova@'%' IDENTIFIED BY '{PASSWORD}'"))
    }

    fn say(&self, lines: &str) -> Result<()> {
        say(self.door, lines)
    }
}

impl Deref for MariaDb {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for MariaDb {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

/// Runs `lines` as root, through `port`.
fn say(port: u16, lines: &str) -> Result<()> {
    let output = Command::new("timeout")
        .args(["10", "mariadb", "--no-defaults", "--protocol=TCP", "--host=127.0.0.1", "--user=root"])
        .args([&format!("--port={port}"), "--execute", lines])
        .stdin(Stdio::null())
        .output()
        .context("cannot run the client of MariaDB")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "MariaDB refused `{lines}`: {}", said.trim());
    Ok(())
}
