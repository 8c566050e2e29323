//! Services of projects other than Nova, on real servers.
//!
//! They run under `healthboard-run`, each by the command of its project and without a word about its name, and share one runtime
//! directory.

mod commands;
mod page;
mod scenarios;
mod template;

use std::fs;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub use self::commands::{ALL, CINDER_API, CINDER_SCHEDULER, CINDER_VOLUME, GLANCE, KEYSTONE, PLACEMENT};
use self::commands::{LISTENERS, command};
pub use self::page::{inventory, page};
pub use self::scenarios::scenarios;
pub(crate) use self::template::{TEMPLATE_FOLDERS, TEMPLATES, make as make_template};
use crate::addresses::Addresses;
use crate::faults::Site;
use crate::probe::{ask, get};
use crate::servers::{MariaDb, RabbitMq};
use crate::setup::Setup;
use crate::stage::Stage;
use crate::watch::{Ports, Watched};

/// How long the services may take to start. Two cores start six of them in a minute.
const START_TIMEOUT: Duration = Duration::from_secs(240);
/// A project of cinder, which does not ask keystone.
const PROJECT: &str = "0123456789abcdef0123456789abcdef";
/// While this file exists, the driver of cinder-volume cannot be initialized.
const NO_STORAGE: &str = "no-storage";

/// All services, each started under `healthboard-run`, with a private `MariaDB` and `RabbitMQ`.
///
/// They are stopped when it is dropped, even if this process is killed: see [`crate::Daemon`].
pub struct Services {
    // Dropped in this order: services write into the folder until they end.
    stage: Stage,
    rabbitmq: RabbitMq,
    mariadb: MariaDb,
    addresses: Addresses,
}

impl Services {
    /// Starts the servers and all services, and waits until all are OK.
    ///
    /// # Errors
    ///
    /// If something cannot be started or does not become ready; the error names its log.
    pub fn start(setup: &Setup, tick: fn(Duration) -> Result<()>) -> Result<Self> {
        let mut stage = Stage::empty(setup)?;
        stage.on_wait(tick);
        setup.populate_services(stage.folder())?;
        let mut mariadb = MariaDb::new(stage.folder())?;
        mariadb.begin_start()?;
        let mut rabbitmq = RabbitMq::new(stage.folder())?;
        rabbitmq.start()?;
        mariadb.until_it_answers()?;
        let addresses = Addresses::find(mariadb.address(), rabbitmq.address(), &LISTENERS)?;
        template::configure(stage.folder(), &setup.venv(), &addresses)?;
        let mut services = Self { stage, rabbitmq, mariadb, addresses };
        for service in ALL {
            services.spawn(service)?;
        }
        for service in ALL {
            services.until_ready(service)?;
        }
        services.use_broker().inspect_err(|_| services.stage.keep_folder())?;
        Ok(services)
    }

    /// Stops a service and starts it again. [`Services::until_ready`] waits for it.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn restart(&mut self, service: &str) -> Result<()> {
        self.stage.stop(service);
        self.spawn(service)
    }

    /// Whether the driver of cinder-volume can be initialized at its next start.
    ///
    /// # Errors
    ///
    /// If the folder cannot be written.
    pub fn set_storage(&self, available: bool) -> Result<()> {
        let file = self.stage.folder().join(NO_STORAGE);
        if available {
            fs::remove_file(file).context("the storage was available")
        } else {
            fs::write(file, "").context("cannot take the storage away")
        }
    }

    /// The message bus.
    pub fn rabbitmq(&mut self) -> &mut RabbitMq {
        &mut self.rabbitmq
    }

    /// The databases.
    pub fn mariadb(&mut self) -> &mut MariaDb {
        &mut self.mariadb
    }

    fn spawn(&mut self, service: &str) -> Result<()> {
        let command = command(service, &self.stage, &self.addresses);
        self.stage.spawn_command(service, command).map(drop)
    }

    /// Waits until a service answers its users, if it listens, and has reported that it is up, if it reports.
    ///
    /// # Errors
    ///
    /// If it is not ready in time, or ends; the error names its log.
    pub fn until_ready(&mut self, service: &str) -> Result<()> {
        let uri = self.stage.uri(service);
        let listens_at = self.listens_at(service);
        let is_ready = || match &listens_at {
            Some(address) => {
                let limit = Duration::from_secs(2);
                let answers = get(address, "/", limit).is_ok();
                answers && ask(&uri).is_ok()
            }
            None => ask(&uri).is_ok_and(|answer| !answer.state("service_report").is_empty()),
        };
        let ready = self.stage.wait_for(START_TIMEOUT, || is_ready().then_some(()))?;
        if ready.is_none() {
            self.stage.keep_folder();
        }
        let shown = self.stage.folder().display();
        ready.with_context(|| format!("{service} is not ready\nnext: less {shown}/{service}.out"))
    }

    /// Has both services that connect to the broker only on demand do so: somebody creates a project and a volume. Keystone sends
    /// a notification, cinder-api calls the scheduler, and that calls cinder-volume.
    fn use_broker(&self) -> Result<()> {
        let address =
            |service| self.addresses.of(service).with_context(|| format!("{service} does not listen"));
        let (keystone, cinder) = (address(KEYSTONE)?, address(CINDER_API)?);
        let user = r#"{"name": "admin", "domain": {"id": "default"}, "password": "stage"}"#;
        let identity = format!(r#"{{"methods": ["password"], "password": {{"user": {user}}}}}"#);
        let scope = r#"{"project": {"name": "admin", "domain": {"id": "default"}}}"#;
        self.request(
            KEYSTONE,
            &format!(
                r#"token=$(ask http://{keystone}/v3/auth/tokens -d '{{"auth": {{"identity": {identity}, "scope": {scope}}}}}' |
                       sed -n 's/^X-Subject-Token: \(.*\)\r$/\1/p')
                   ask http://{keystone}/v3/projects -H "X-Auth-Token: $token" -d '{{"project": {{"name": "stage"}}}}'"#
            ),
        )?;
        let volume = r#"{"volume": {"size": 1, "name": "stage"}}"#;
        self.request(
            CINDER_API,
            &format!(
                "ask http://{cinder}/v3/{PROJECT}/volumes -H 'X-Auth-Token: admin:{PROJECT}' -d '{volume}'"
            ),
        )
    }

    /// Runs a line with `ask`, which sends JSON and fails if that is refused.
    fn request(&self, service: &str, line: &str) -> Result<()> {
        let ask = r#"ask() { curl -sfi -H 'Content-Type: application/json' "$@"; }"#;
        let output = self.stage.shell(&format!("{ask}\n{line}"))?;
        let log = self.stage.folder().join(format!("{service}.out"));
        let (text, log) = (output.text.trim(), log.display());
        ensure!(output.code == Some(0), "{service} refused a request: {text}\nnext: less {log}");
        Ok(())
    }

    /// The address at which a service listens for its users, as `tcp://…`; `None` if it does not listen.
    fn listens_at(&self, service: &str) -> Option<String> {
        self.addresses.of(service).map(|address| format!("tcp://{address}"))
    }
}

impl Site for Services {
    fn watched(&self) -> Vec<Watched> {
        let of = |service: &&str| {
            let oslo = [CINDER_API, GLANCE, KEYSTONE].contains(service);
            self.stage.watched(service, self.listens_at(service).filter(|_| oslo))
        };
        ALL.iter().map(of).collect()
    }

    fn ports(&self) -> Ports {
        Ports { broker: self.rabbitmq.address().port(), database: self.mariadb.address().port() }
    }

    fn name(&self) -> &'static str {
        "services"
    }
}

impl Deref for Services {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl DerefMut for Services {
    fn deref_mut(&mut self) -> &mut Stage {
        &mut self.stage
    }
}
