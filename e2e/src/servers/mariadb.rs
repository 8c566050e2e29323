//! `MariaDB`, on a data directory of its own.

mod locks;

use std::net::{SocketAddr, TcpStream};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{Server, free_port};
use crate::step::Step;

/// The password of that user.
pub(crate) const PASSWORD: &str = "stage";
/// The lowest connection limit that `MariaDB` accepts.
const MIN_CONNECTION_LIMIT: usize = 10;

/// `MariaDB`. Services connect as the user `nova`. We use the administrative port, which the faults do not affect.
pub struct MariaDb {
    server: Server,
    port: u16,
    admin_port: u16,
    held_connections: Vec<TcpStream>,
    sessions: Vec<Child>,
}

impl MariaDb {
    /// Creates `folder/mariadb` with these empty databases and the user `nova`. Returns the running server.
    pub(crate) fn install(folder: &Path, databases: &[&str], step: &mut Step) -> Result<Self> {
        Self::install_at(folder, "mariadb", databases, step)
    }

    /// The same in the data directory `folder/name`.
    pub(crate) fn install_at(
        folder: &Path,
        name: &'static str,
        databases: &[&str],
        step: &mut Step,
    ) -> Result<Self> {
        let mut install = Command::new("mariadb-install-db");
        install
            .env("TMPDIR", folder)
            .args(["--no-defaults", "--user=root", "--skip-test-db"])
            .args(["--auth-root-authentication-method=normal", "--innodb-log-file-size=16M"]);
        step.run(install.arg(format!("--datadir={}", folder.join(name).display())))?;
        let mut new = Self::at(folder, name, &[])?;
        new.start()?;
        let mut lines = format!("CREATE USER nova@'%' IDENTIFIED BY '{PASSWORD}';");
        for database in databases {
            lines += &format!("CREATE DATABASE {database}; GRANT ALL ON {database}.* TO nova@'%';");
        }
        new.execute(&lines)?;
        Ok(new)
    }

    /// A server on the data directory `folder/mariadb`, not started yet.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        Self::at(folder, "mariadb", &[])
    }

    /// A server on the data directory `folder/name`, with more options, not started yet.
    pub(crate) fn at(folder: &Path, name: &'static str, options: &[String]) -> Result<Self> {
        let (port, admin_port) = (free_port()?, free_port()?);
        let mut command = Command::new("mariadbd");
        // Each server has its own: at its start one removes what it finds there of another.
        command
            .env("TMPDIR", folder)
            .args(["--no-defaults", "--user=root", "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .args([
                "--innodb-flush-log-at-trx-commit=2",
                "--innodb-buffer-pool-size=128M",
                "--innodb-log-file-size=16M",
                "--performance-schema=OFF",
                "--extra-max-connections=20",
            ]);
        for (option, suffix) in [("datadir", ""), ("socket", ".sock"), ("pid-file", ".pid")] {
            command.arg(format!("--{option}={}{suffix}", folder.join(name).display()));
        }
        command.args([format!("--port={port}"), format!("--extra-port={admin_port}")]).args(options);
        let server = Server::new(name, command, folder, move || execute(port, "DO 1").is_ok())?;
        Ok(Self { server, port, admin_port, held_connections: Vec::new(), sessions: Vec::new() })
    }

    /// The address for Nova.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The password of the user `nova` in nova.conf.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Ends all of Nova's connections and occupies all that are left, so that each new one is refused with error 1040.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn exhaust_connections(&mut self) -> Result<()> {
        // Unauthenticated connections count, too. Ours never authenticate.
        self.execute(&format!(
            "SET GLOBAL connect_timeout = 3600, GLOBAL max_connections = {MIN_CONNECTION_LIMIT}"
        ))?;
        self.end_connections()?;
        // More than the limit: the killed connections may not be gone yet, and one more is reserved for administrators.
        self.held_connections = (0..3 * MIN_CONNECTION_LIMIT)
            .map(|_| TcpStream::connect(self.address()).context("cannot occupy a connection"))
            .collect::<Result<_>>()?;
        Ok(())
    }

    /// Releases the connections of [`MariaDb::exhaust_connections`].
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn release_connections(&mut self) -> Result<()> {
        self.held_connections.clear();
        self.execute("SET GLOBAL connect_timeout = DEFAULT, GLOBAL max_connections = DEFAULT")?;
        self.server.until_it_answers()
    }

    /// Lets this many clients connect, until [`MariaDb::release_connections`] or a restart.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn allow_connections(&mut self, limit: usize) -> Result<()> {
        self.execute(&format!("SET GLOBAL max_connections = {limit}"))
    }

    /// Ends all of Nova's connections.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn end_connections(&mut self) -> Result<()> {
        self.execute("KILL USER nova")
    }

    /// Gives Nova's user a password other than the one in nova.conf, and ends its connections.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn change_password(&mut self) -> Result<()> {
        self.execute("ALTER USER nova@'%' IDENTIFIED BY 'changed'; KILL USER nova")
    }

    /// Gives Nova's user the password in nova.conf again.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn restore_password(&mut self) -> Result<()> {
        self.execute(&format!("ALTER USER nova@'%' IDENTIFIED BY '{PASSWORD}'"))
    }

    /// Refuses the writes of everybody without a privilege, as a replica does.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn refuse_writes(&mut self) -> Result<()> {
        self.execute("SET GLOBAL read_only = 1")
    }

    /// Takes writes again.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn take_writes(&mut self) -> Result<()> {
        self.execute("SET GLOBAL read_only = 0")
    }

    /// Runs `lines` as root, and returns the rows.
    pub(crate) fn query(&self, lines: &str) -> Result<String> {
        query(self.admin_port, lines)
    }

    /// Runs `lines` as root.
    pub(crate) fn execute(&self, lines: &str) -> Result<()> {
        execute(self.admin_port, lines)
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
fn execute(port: u16, lines: &str) -> Result<()> {
    query(port, lines).map(drop)
}

/// Runs `lines` as root, through `port`, and returns the rows.
fn query(port: u16, lines: &str) -> Result<String> {
    let mut bounded = Command::new("timeout");
    let client = client(port, lines);
    bounded.arg("10").arg(client.get_program()).args(client.get_args()).stdin(Stdio::null());
    let output = bounded.output().context("cannot run the client `mariadb`")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "MariaDB refused `{lines}`: {}", stderr.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn client(port: u16, lines: &str) -> Command {
    let mut client = Command::new("mariadb");
    client
        .args(["--no-defaults", "--protocol=TCP", "--host=127.0.0.1", "--user=root", "--skip-column-names"])
        .args([&format!("--port={port}"), "--batch", "--execute", lines])
        .stdin(Stdio::null());
    client
}
