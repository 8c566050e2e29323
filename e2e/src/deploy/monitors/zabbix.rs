//! Zabbix of Debian with its frontend's API and MariaDB, with `deploy/zabbix`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::Noticed;
use super::hosts::Hosts;
use crate::deploy::until;
use crate::probe::{get, post};
use crate::servers::{Server, free_port};
use crate::setup::Setup;

/// How long a value, a problem or its end may take.
const LIMIT: Duration = Duration::from_secs(120);

/// Plays a broken database of a host that Zabbix watches by the shipped template, and a broken service that is removed.
///
/// # Errors
///
/// If Zabbix does not start, refuses the template, or does not notice; the error names a log.
pub fn play(setup: &Setup, tick: fn(Duration) -> Result<()>) -> Result<Noticed> {
    let folder = tempfile::tempdir()?;
    let mut hosts = Hosts::start(setup, folder.path(), 1)?;
    let zabbix = Zabbix::start(setup, folder.path())?;
    let template = fs::read_to_string(setup.workspace().join("deploy/zabbix/healthboard.yaml"))?;
    zabbix.import(&template)?;
    zabbix.watch(hosts.agents()[0])?;
    let status = || zabbix.last("healthboard.service.status[\"sqlite-service\"]");
    until("Zabbix: a status", LIMIT, tick, || Ok(status()?.filter(|value| value == "OK")))?;
    until("Zabbix: the indicator", LIMIT, tick, || {
        Ok(zabbix
            .last("healthboard.indicator.state[\"sqlite-service\",\"database\"]")?
            .filter(|value| value == "passing"))
    })?;
    let fault = Instant::now();
    hosts.break_databases()?;
    let is_fault = |problems: &Vec<String>| problems.iter().any(|name| name == "sqlite-service is FAULT");
    let problems = || Ok(Some(zabbix.problems()?).filter(is_fault));
    let is_over = || Ok(zabbix.problems()?.is_empty().then_some(()));
    let (said, _) = until("Zabbix: a problem", LIMIT, tick, problems)?;
    let alarm = fault.elapsed();
    let mend = Instant::now();
    hosts.mend_databases()?;
    until("Zabbix: the end of the problems", LIMIT, tick, is_over)?;
    let recovery = mend.elapsed();

    hosts.break_databases()?;
    until("Zabbix: a problem again", LIMIT, tick, problems)?;
    hosts.remove_service()?;
    until("Zabbix: the end of the problems of what is gone", LIMIT, tick, is_over)?;
    Ok(Noticed { monitor: "Zabbix", alarm, recovery, said: said.join("; ") })
}

/// A running Zabbix. What it consists of ends in this order.
struct Zabbix {
    web: SocketAddr,
    token: String,
    _frontend: Server,
    _server: Server,
    _database: Server,
}

impl Zabbix {
    fn start(_: &Setup, folder: &Path) -> Result<Self> {
        let path = folder.display().to_string();
        let database = database(folder)?;
        let trap = free_port()?;
        fs::write(
            folder.join("server.conf"),
            format!(
                "DBName=zabbix\nDBUser=root\nDBSocket={path}/db.sock\nListenIP=127.0.0.1\nListenPort={trap}\nSocketDir={path}\n\
                 PidFile={path}/server.pid\nLogFile={path}/server.log\nAllowRoot=1\nCacheUpdateFrequency=2\nStartPingers=0\n\
                 StartPollers=1\nStartPollersUnreachable=1\nStartTrappers=1\nStartDiscoverers=1\nStartHTTPPollers=1\n\
                 StartPreprocessors=1\nStartDBSyncers=1\nAllowUnsupportedDBVersions=1\n"
            ),
        )?;
        let mut command = Command::new("zabbix_server");
        command.args(["-f", "-c"]).arg(folder.join("server.conf"));
        let started = move || std::net::TcpStream::connect(("127.0.0.1", trap)).is_ok();
        let mut server = Server::new("zabbix_server", command, folder, started)?;
        server.start()?;

        let web: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
        frontend_files(folder, trap)?;
        let mut command = Command::new("php");
        command
            .args([
                "-d",
                "max_execution_time=300",
                "-d",
                "post_max_size=16M",
                "-d",
                "memory_limit=256M",
                "-S",
            ])
            .arg(web.to_string())
            .arg("-t")
            .arg(folder.join("web"));
        let uri = format!("tcp://{web}");
        let answers = move || get(&uri, "/api_jsonrpc.php", Duration::from_secs(2)).is_ok();
        let mut frontend = Server::new("zabbix_frontend", command, folder, answers)?;
        frontend.start()?;
        let mut zabbix =
            Self { web, token: String::new(), _frontend: frontend, _server: server, _database: database };
        let login = zabbix.call("user.login", &json!({"username": "Admin", "password": "zabbix"}))?;
        zabbix.token = login.as_str().context("no token")?.to_owned();
        Ok(zabbix)
    }

    fn import(&self, template: &str) -> Result<()> {
        let all = json!({"createMissing": true, "updateExisting": true});
        let rules =
            ["templates", "items", "discoveryRules", "triggers"].map(|kind| (kind.to_owned(), all.clone()));
        let rules: serde_json::Map<String, Value> =
            rules.into_iter().chain([("groups".to_owned(), all)]).collect();
        self.call("configuration.import", &json!({"format": "yaml", "rules": rules, "source": template}))?;
        Ok(())
    }

    /// Makes a host whose agent answers there, with the template.
    fn watch(&self, agent: SocketAddr) -> Result<()> {
        let found = self.call("template.get", &json!({"filter": {"host": "healthboard agent"}}))?;
        let template = found[0]["templateid"].clone();
        let group =
            self.call("hostgroup.get", &json!({"filter": {"name": "Linux servers"}}))?[0]["groupid"].clone();
        let macros = json!([
            {"macro": "{$HEALTHBOARD.PORT}", "value": agent.port().to_string()},
            {"macro": "{$HEALTHBOARD.INTERVAL}", "value": "1s"},
        ]);
        self.call(
            "host.create",
            &json!({
                "host": "host",
                "groups": [{"groupid": group}],
                "interfaces": [{"type": 1, "main": 1, "useip": 1, "ip": agent.ip().to_string(), "dns": "", "port": "10050"}],
                "templates": [{"templateid": template}],
                "macros": macros,
            }),
        )?;
        Ok(())
    }

    /// The last value of an item.
    fn last(&self, key: &str) -> Result<Option<String>> {
        let items =
            self.call("item.get", &json!({"filter": {"key_": key}, "output": ["lastvalue", "lastclock"]}))?;
        let item = &items[0];
        let has_value = item["lastclock"].as_str().is_some_and(|clock| clock != "0");
        Ok(item["lastvalue"].as_str().filter(|_| has_value).map(str::to_owned))
    }

    /// The names of all problems.
    fn problems(&self) -> Result<Vec<String>> {
        let problems = self.call("problem.get", &json!({"output": ["name"]}))?;
        let names = problems.as_array().into_iter().flatten();
        Ok(names.filter_map(|problem| problem["name"].as_str()).map(str::to_owned).collect())
    }

    fn call(&self, method: &str, parameters: &Value) -> Result<Value> {
        let mut body = json!({"jsonrpc": "2.0", "method": method, "params": parameters, "id": 1});
        if !self.token.is_empty() {
            body["auth"] = self.token.clone().into();
        }
        let (_, answer) =
            post(&format!("tcp://{}", self.web), "/api_jsonrpc.php", "", &body, Duration::from_secs(60))?;
        let answer: Value = serde_json::from_str(&answer).with_context(|| format!("{method}: {answer}"))?;
        match answer.get("result") {
            Some(result) => Ok(result.clone()),
            None => bail!("{method}: {}", answer["error"]),
        }
    }
}

/// MariaDB with Zabbix's tables.
fn database(folder: &Path) -> Result<Server> {
    let (data, socket) = (folder.join("db"), folder.join("db.sock"));
    let installed = Command::new("mariadb-install-db")
        .args(["--no-defaults", "--user=root", "--auth-root-authentication-method=normal", "--skip-test-db"])
        .arg(format!("--datadir={}", data.display()))
        .output()
        .context("cannot start mariadb-install-db")?;
    ensure!(installed.status.success(), "mariadb-install-db: {}", String::from_utf8_lossy(&installed.stderr));
    let mut command = Command::new("mariadbd");
    command
        .args([
            "--no-defaults",
            "--user=root",
            "--skip-networking",
            "--innodb-flush-log-at-trx-commit=0",
            "--log-bin-trust-function-creators=1",
        ])
        .arg(format!("--datadir={}", data.display()))
        .arg(format!("--socket={}", socket.display()))
        .arg(format!("--pid-file={}", folder.join("db.pid").display()));
    let ping = socket.clone();
    let answers = move || {
        let asked = Command::new("mariadb-admin")
            .arg("--no-defaults")
            .arg(format!("--socket={}", ping.display()))
            .arg("ping")
            .output();
        asked.is_ok_and(|output| output.status.success())
    };
    let mut server = Server::new("zabbix_database", command, folder, answers)?;
    server.start()?;
    let load = format!(
        "m() {{ mariadb --no-defaults --socket={0} \"$@\"; }}\n\
         m -e 'CREATE DATABASE zabbix CHARACTER SET utf8mb4 COLLATE utf8mb4_bin' || exit\n\
         {{ echo 'SET autocommit=0;'; cd /usr/share/zabbix-server-mysql && zcat schema.sql.gz images.sql.gz data.sql.gz; echo 'COMMIT;'; }} | m zabbix",
        socket.display()
    );
    let loaded = Command::new("bash").args(["-o", "pipefail", "-c", &load]).output()?;
    ensure!(loaded.status.success(), "Zabbix's tables: {}", String::from_utf8_lossy(&loaded.stderr));
    Ok(server)
}

/// A copy of the frontend whose configuration is in the same folder.
fn frontend_files(folder: &Path, trap: u16) -> Result<()> {
    let web = folder.join("web");
    let copied = Command::new("cp").args(["-aL", "/usr/share/zabbix"]).arg(&web).status()?;
    ensure!(copied.success(), "cannot copy /usr/share/zabbix");
    let class = web.join("include/classes/core/CConfigFile.php");
    let text = fs::read_to_string(&class)?;
    let start = text.find("CONFIG_FILE_PATH = '").context("Zabbix's frontend has no CONFIG_FILE_PATH")?;
    let from = start + "CONFIG_FILE_PATH = '".len();
    let to = from + text[from..].find('\'').context("a path without an end")?;
    fs::write(
        &class,
        format!("{}{}{}", &text[..from], folder.join("zabbix.conf.php").display(), &text[to..]),
    )?;
    fs::write(
        folder.join("zabbix.conf.php"),
        format!(
            "<?php\n$DB['TYPE'] = 'MYSQL'; $DB['SERVER'] = 'localhost'; $DB['PORT'] = '0'; $DB['DATABASE'] = 'zabbix'; $DB['USER'] = 'root'; \
             $DB['PASSWORD'] = ''; $DB['SCHEMA'] = ''; $DB['ENCRYPTION'] = false; $DB['DOUBLE_IEEE754'] = true;\n\
             ini_set('mysqli.default_socket', '{0}');\n$ZBX_SERVER = '127.0.0.1'; $ZBX_SERVER_PORT = '{trap}'; $ZBX_SERVER_NAME = 'test';\n",
            folder.join("db.sock").display()
        ),
    )?;
    Ok(())
}
