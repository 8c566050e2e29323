//! `PostgreSQL`, on a data directory of its own.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::{PASSWORD, Server, free_port};
use crate::processes::{Signal, children, send};
use crate::step::Step;

/// The user that it runs as: it refuses to run as root.
const USER: &str = "postgres";
/// The name of the data directory.
pub(crate) const FOLDER: &str = "postgresql";

/// `PostgreSQL`. Services connect as the user `nova`, whose password is that of `MariaDB`. We use its unix socket.
pub struct PostgreSql {
    server: Server,
    folder: PathBuf,
    port: u16,
}

impl PostgreSql {
    /// Creates `folder/postgresql` with these empty databases and the user `nova`. Returns the running server.
    pub(crate) fn install(folder: &Path, databases: &[&str], step: &mut Step) -> Result<Self> {
        let data = folder.join(FOLDER);
        fs::create_dir(&data)?;
        let mut own = Command::new("chown");
        step.run(own.arg(USER).arg(&data))?;
        let mut new = Self::new(folder)?;
        let mut install = as_user("initdb")?;
        install
            .args(["--no-sync", "--auth-local=trust", "--auth-host=scram-sha-256"])
            .arg("--pgdata")
            .arg(&data);
        step.run(install.current_dir("/"))?;
        new.start()?;
        new.execute("postgres", &format!("CREATE USER nova PASSWORD '{PASSWORD}'"))?;
        for database in databases {
            new.execute("postgres", &format!("CREATE DATABASE {database} OWNER nova"))?;
        }
        Ok(new)
    }

    /// A server on the data directory `folder/postgresql`, not started yet.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        // It runs as another user.
        fs::set_permissions(folder, Permissions::from_mode(0o711))?;
        let port = free_port()?;
        let data = folder.join(FOLDER);
        let mut command = as_user("postgres")?;
        command.current_dir("/").arg("-D").arg(&data).args(["-p", &port.to_string()]);
        let sockets = format!("unix_socket_directories={}", data.display());
        for setting in ["listen_addresses=127.0.0.1", &sockets, "fsync=off", "max_connections=500"] {
            command.args(["-c", setting]);
        }
        let probed = data.clone();
        let answers = move || execute(&probed, port, "postgres", "SELECT 1").is_ok();
        Ok(Self { server: Server::new("postgresql", command, folder, answers)?, folder: data, port })
    }

    /// The address for Nova.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Ends it with all connections, and returns when it has ended.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn stop(&mut self) -> Result<()> {
        let pid = self.server.pid().context("PostgreSQL does not run")?;
        send(pid, Signal::INT)?;
        self.server.stop();
        Ok(())
    }

    /// Freezes it with SIGSTOP, and the process of each connection. Connections stay open.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn freeze(&mut self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Ends [`PostgreSql::freeze`], and returns when it answers.
    ///
    /// # Errors
    ///
    /// If it does not run or does not answer.
    pub fn thaw(&mut self) -> Result<()> {
        self.signal(Signal::CONT)?;
        self.server.until_it_answers()
    }

    /// Refuses or takes the writes of everybody, as a standby does.
    ///
    /// # Errors
    ///
    /// If it does not run.
    pub fn refuse_writes(&mut self, refused: bool) -> Result<()> {
        let value = if refused { "on" } else { "off" };
        self.execute("postgres", &format!("ALTER SYSTEM SET default_transaction_read_only = {value}"))?;
        self.execute("postgres", "SELECT pg_reload_conf()")
    }

    /// Runs a statement as the administrator.
    pub(crate) fn execute(&self, database: &str, statement: &str) -> Result<()> {
        execute(&self.folder, self.port, database, statement)
    }

    /// Each connection has a process, with a group of its own.
    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.server.pid().context("PostgreSQL does not run")?;
        send(pid, signal)?;
        for child in children(pid) {
            // It may have ended meanwhile.
            let _ = send(child, signal);
        }
        Ok(())
    }
}

impl Deref for PostgreSql {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for PostgreSql {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

fn execute(folder: &Path, port: u16, database: &str, statement: &str) -> Result<()> {
    let mut client = Command::new("timeout");
    client
        .args(["10", "psql", "--no-psqlrc", "--username", USER, "--dbname", database])
        .arg("--host")
        .arg(folder);
    client.args(["--port", &port.to_string(), "--command", statement]).stdin(Stdio::null());
    let output = client.output().context("cannot run the client `psql`")?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "PostgreSQL refused `{statement}`: {}", stderr.trim());
    Ok(())
}

/// A program of the server, which Debian does not put into the search path, as the user of the server.
fn as_user(program: &str) -> Result<Command> {
    let mut versions: Vec<PathBuf> =
        fs::read_dir("/usr/lib/postgresql")?.flatten().map(|entry| entry.path()).collect();
    versions.sort();
    let newest = versions.pop().context("PostgreSQL is missing\nnext: apt-get install postgresql")?;
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]).arg(newest.join("bin").join(program));
    Ok(command)
}
