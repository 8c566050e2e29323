//! Two real nova-apis behind a balancer, on one database, each with an agent beside it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::addresses::Addresses;
use crate::cluster::{Backends, write_api_paste};
use crate::probe::{ask, get};
use crate::servers::{MariaDb, Relay, free_port};
use crate::setup::Setup;
use crate::stage::Stage;

/// Much longer than both take to start on two busy cores.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// The configuration of each.
const NOVA_CONF: &str = include_str!("../../../deploy/balancers/nova.conf");
/// A server that does not run.
const NOWHERE: ([u8; 4], u16) = ([127, 0, 0, 1], 9);

/// Two nova-apis, each with two workers in uWSGI, an address of its own, and a way of its own to the database.
pub(super) struct Pair {
    // Dropped in this order: they write into the folder until they end.
    stage: Stage,
    mariadb: MariaDb,
    options: Vec<(&'static str, String)>,
    pub(super) first: Api,
    second: Api,
}

/// One of the two.
pub(super) struct Api {
    name: &'static str,
    folder: PathBuf,
    port: u16,
    health: SocketAddr,
    agent: SocketAddr,
    database: Relay,
}

impl Pair {
    /// Starts the database and both, with these additional variables, and returns when both are OK.
    pub(super) fn start(
        setup: &Setup,
        options: &[(&'static str, String)],
        tick: fn(Duration) -> Result<()>,
    ) -> Result<Self> {
        let mut stage = Stage::empty(setup)?;
        stage.on_wait(tick);
        setup.populate_cluster(stage.folder(), Backends::Usual)?;
        let mut mariadb = MariaDb::new(stage.folder())?;
        mariadb.start()?;
        // The second cell's server does not run.
        mariadb.execute("DELETE FROM nova_api.cell_mappings WHERE name = 'cell2'")?;
        // They listen at the same ports of different addresses, as on different hosts.
        let ports = [free_port()?, free_port()?, free_port()?];
        let first = Api::new(setup, &stage, "nova-api-1", 11, ports, mariadb.address())?;
        let second = Api::new(setup, &stage, "nova-api-2", 12, ports, mariadb.address())?;
        let mut pair = Self { stage, mariadb, options: options.to_vec(), first, second };
        for api in [&pair.first, &pair.second] {
            api.spawn(&mut pair.stage, options)?;
            api.spawn_agent(&mut pair.stage, &setup.programs())?;
        }
        pair.until_ready()?;
        Ok(pair)
    }

    /// Waits until both answer their users and are OK.
    pub(super) fn until_ready(&mut self) -> Result<()> {
        self.first.until_ready(&mut self.stage)?;
        self.second.until_ready(&mut self.stage)
    }

    /// Lets time pass, in which both must live.
    pub(super) fn pass(&mut self, time: Duration) -> Result<()> {
        self.stage.wait_for(time, || None::<()>).map(drop)
    }

    /// Its folder, for the files and sockets of a balancer.
    pub(super) fn stage(&mut self) -> &mut Stage {
        &mut self.stage
    }

    /// The database of both.
    pub(super) fn mariadb(&mut self) -> &mut MariaDb {
        &mut self.mariadb
    }

    /// One of both.
    pub(super) fn api(&self, which: Which) -> &Api {
        match which {
            Which::First => &self.first,
            Which::Second => &self.second,
        }
    }

    /// The pids of the workers of one.
    pub(super) fn workers(&self, which: Which) -> Result<Vec<u32>> {
        Ok(self.stage.daemon(self.api(which).name)?.workers())
    }

    /// Stops one as systemd does, by SIGTERM to all its processes and SIGKILL after ten seconds, and starts it again, no longer
    /// disabled.
    pub(super) fn restart(&mut self, which: Which) -> Result<()> {
        let name = self.api(which).name;
        self.stage.stop(name);
        let api = match which {
            Which::First => &self.first,
            Which::Second => &self.second,
        };
        let _ = fs::remove_file(api.disabled());
        api.spawn(&mut self.stage, &self.options)?;
        api.until_ready(&mut self.stage)
    }

    /// Where a balancer listens whose configuration says so.
    pub(super) fn front(&self) -> SocketAddr {
        ([127, 0, 0, 10], self.first.port).into()
    }

    /// A fragment of `deploy` with the addresses of both in place of its examples.
    pub(super) fn address(&self, fragment: &str) -> String {
        fragment
            .replace("192.0.2.1", "127.0.0.1")
            .replace("9774", &self.first.health.port().to_string())
            .replace("9955", &self.first.agent.port().to_string())
            .replace("8774", &self.first.port.to_string())
            .replace("/run/nova", &self.first.folder.display().to_string())
    }
}

/// One of the two.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    First,
    Second,
}

impl Api {
    fn new(
        setup: &Setup,
        stage: &Stage,
        name: &'static str,
        host: u8,
        [port, health, agent]: [u16; 3],
        database: SocketAddr,
    ) -> Result<Self> {
        let folder = stage.folder().join(name);
        fs::create_dir(&folder)?;
        let database = Relay::to(database)?;
        let addresses = Addresses::find(database.address(), NOWHERE.into(), &[])?;
        addresses.write(&folder, &setup.venv(), &[("nova.conf", NOVA_CONF)])?;
        write_api_paste(&folder, &setup.venv())?;
        add_healthchecks(&folder)?;
        let [health, agent] = [health, agent].map(|port| ([127, 0, 0, host], port).into());
        Ok(Self { name, folder, port, health, agent, database })
    }

    /// Its way to the database.
    pub(super) fn database(&mut self) -> &mut Relay {
        &mut self.database
    }

    /// The file that disables it.
    pub(super) fn disabled(&self) -> PathBuf {
        self.folder.join("disabled")
    }

    fn uri(&self) -> String {
        format!("tcp://{}", self.health)
    }

    fn address(&self) -> SocketAddr {
        (self.health.ip(), self.port).into()
    }

    fn spawn(&self, stage: &mut Stage, options: &[(&'static str, String)]) -> Result<()> {
        let mut command = stage.command("healthboard-run");
        command
            .args(["--service", "nova-api", "uwsgi", "--http-socket", &self.address().to_string()])
            .args(["--module", "nova.wsgi.osapi_compute:application", "--master", "--processes", "2"])
            .args(["--threads", "1", "--enable-threads", "--die-on-term", "--need-app"])
            // By default it waits a minute for workers that do not end, as those of Nova.
            .args(["--worker-reload-mercy", "5"])
            .current_dir(&self.folder)
            .env("OS_NOVA_CONFIG_DIR", &self.folder)
            .env("HEALTHBOARD_URI", format!("{},unix://{}/nova-api.sock", self.uri(), self.folder.display()))
            .env("HEALTHBOARD_RUNTIME_DIR", self.folder.join("run"))
            .env("HEALTHBOARD_DISABLE_BY_FILE_PATH", self.disabled())
            .env("HEALTHBOARD_BACKENDS", "healthboard,disable_by_file")
            .env("HEALTHBOARD_DEGRADED_WEIGHT", "1")
            .env("HEALTHBOARD_DEGRADED_STATUS_CODE", "404")
            .env("HEALTHBOARD_ALLOWED_HOSTS", "nova.example.org")
            .envs(options.iter().map(|(name, value)| (name, value)));
        stage.spawn_command(self.name, command).map(drop)
    }

    fn spawn_agent(&self, stage: &mut Stage, programs: &Path) -> Result<()> {
        let mut command = stage.command(&programs.join("healthboard").display().to_string());
        command.args(["agent", "--listen", &format!("tcp://{}", self.agent), "--boards"]);
        command.arg(self.folder.join("run"));
        stage.spawn_command(&format!("{}-agent", self.name), command).map(drop)
    }

    fn until_ready(&self, stage: &mut Stage) -> Result<()> {
        let url = format!("tcp://{}", self.address());
        let ready = stage.wait_for(START_TIMEOUT, || {
            let answers = get(&url, "/", Duration::from_secs(2)).is_ok();
            (answers && ask(&self.uri()).is_ok_and(|answer| answer.status() == "OK")).then_some(())
        })?;
        if ready.is_none() {
            stage.keep_folder();
        }
        let shown = stage.folder().join(format!("{}.out", self.name));
        ready.with_context(|| format!("{} is not OK\nnext: less {}", self.name, shown.display()))
    }
}

/// Adds our backend to `/healthcheck`, and oslo.middleware's healthcheck without it at `/plain`.
fn add_healthchecks(folder: &Path) -> Result<()> {
    let path = folder.join("api-paste.ini");
    let text = fs::read_to_string(&path)?
        .replace("/healthcheck: healthcheck\n", "/healthcheck: healthcheck\n/plain: plain\n");
    let application = "paste.app_factory = oslo_middleware:Healthcheck.app_factory\n";
    let disabled = format!("disable_by_file_path = {}\n", folder.join("disabled").display());
    let text = format!(
        "{text}backends = disable_by_file, healthboard\n{disabled}\n[app:plain]\n{application}\
         backends = disable_by_file\n{disabled}"
    );
    fs::write(&path, text).context("cannot write api-paste.ini")
}
