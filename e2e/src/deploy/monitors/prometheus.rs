//! Prometheus and Alertmanager of Debian, with `deploy/prometheus`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Noticed;
use super::dashboard;
use super::hosts::Hosts;
use super::webhook::Webhook;
use crate::deploy::until;
use crate::probe::get;
use crate::servers::{Server, free_port};
use crate::setup::Setup;

/// How long an alert may take, with the shortened times below.
const LIMIT: Duration = Duration::from_secs(60);

/// Of the scrapes and the rules.
const INTERVAL: Duration = Duration::from_secs(1);

/// Checks the rules, their unit tests, and the configurations, with the programs that read them.
///
/// # Errors
///
/// If a program refuses its file; the error has what it said.
pub fn check_files(setup: &Setup) -> Result<()> {
    let folder = deploy(setup);
    let run = |program: &str, arguments: &[&str]| -> Result<()> {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(&folder)
            .output()
            .with_context(|| format!("cannot start {program}"))?;
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{program} {}: {said}", arguments.join(" "));
        Ok(())
    };
    run("promtool", &["check", "rules", "rules.yml"])?;
    run("promtool", &["test", "rules", "rules.test.yml"])?;
    run("promtool", &["check", "web-config", "../agent/web.yml"]).or_else(|error| {
        // The certificates of the example are not there.
        if error.to_string().contains("agent.crt") { Ok(()) } else { Err(error) }
    })?;
    run("promtool", &["check", "config", "federation.yml"])?;
    run("amtool", &["check-config", "alertmanager.yml"])
}

/// Plays a broken database on two hosts: one notification that names the database, and one when it is mended. Draws the dashboard
/// of it into `picture`.
///
/// # Errors
///
/// If a program does not start, or what was expected does not happen; the error names the log.
pub fn play(setup: &Setup, picture: Option<&Path>, tick: fn(Duration) -> Result<()>) -> Result<Noticed> {
    let folder = tempfile::tempdir()?;
    let hosts = Hosts::start(setup, folder.path(), 2)?;
    check_metrics(&hosts)?;
    let webhook = Webhook::start()?;
    let monitor = Prometheus::start(setup, folder.path(), &hosts.agents(), &webhook.url(), INTERVAL)?;
    let up = || monitor.query("count(up{job=\"healthboard\"} == 1)");
    until("both hosts scraped", LIMIT, tick, || Ok((up()? == [2.0]).then_some(())))?;

    let fault = Instant::now();
    hosts.break_databases()?;
    let (firing, _) = until("a notification", LIMIT, tick, || Ok(webhook.received("firing").pop()))?;
    let alarm = fault.elapsed();
    ensure!(
        firing["groupLabels"]["dependency"] == "database",
        "the notification does not name the database: {firing}"
    );
    let both = || {
        let found = webhook
            .received("firing")
            .into_iter()
            .any(|found| found["alerts"].as_array().is_some_and(|alerts| alerts.len() == 2));
        Ok(found.then_some(()))
    };
    until("both hosts in one notification", LIMIT, tick, both)?;
    // The second host may have been scraped after the first notification.
    let firing_posts = webhook.received("firing");
    ensure!(
        firing_posts.len() <= 2,
        "one broken database became {} pages: {firing_posts:?}",
        firing_posts.len()
    );
    dashboard::check(setup, &monitor)?;
    if let Some(picture) = picture {
        dashboard::draw(setup, monitor.address, picture)?;
    }

    let mend = Instant::now();
    hosts.mend_databases()?;
    until("the end of the alert", LIMIT, tick, || Ok(webhook.received("resolved").pop()))?;
    let recovery = mend.elapsed();
    let said = firing["alerts"][0]["annotations"]["summary"].as_str().unwrap_or_default().to_owned();
    Ok(Noticed { monitor: "Prometheus with Alertmanager", alarm, recovery, said })
}

/// Kills the agent of one of two hosts whose databases are broken. Nobody is told that its database is mended before the agent is
/// back and says so.
///
/// # Errors
///
/// If a program does not start, or what was expected does not happen; the error names the log.
pub fn lose_an_agent(setup: &Setup, tick: fn(Duration) -> Result<()>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut hosts = Hosts::start(setup, folder.path(), 2)?;
    let agents = hosts.agents();
    let (lost, other) = (agents[0], agents[1]);
    let webhook = Webhook::start()?;
    let monitor = Prometheus::start(setup, folder.path(), &agents, &webhook.url(), INTERVAL)?;
    let up = || monitor.query("count(up{job=\"healthboard\"} == 1)");
    until("both hosts scraped", LIMIT, tick, || Ok((up()? == [2.0]).then_some(())))?;
    let (fault, away) = ("HealthboardIndicatorFault", "HealthboardAgentAway");
    let says = |alert, instance, is_firing| {
        let webhook = &webhook;
        move || Ok((webhook.said_of(alert, instance).last() == Some(&is_firing)).then_some(()))
    };
    hosts.break_databases()?;
    until("a notification of the first host", LIMIT, tick, says(fault, lost, true))?;
    until("a notification of the second host", LIMIT, tick, says(fault, other, true))?;

    hosts.kill_agent()?;
    until("a notification of the agent", LIMIT, tick, says(away, lost, true))?;
    until("the alert of the host without an agent is silenced", LIMIT, tick, || {
        Ok(monitor.is_inhibited(fault, lost)?.then_some(()))
    })?;
    let is_well = webhook.said_of(fault, lost).contains(&false);
    ensure!(!is_well, "the database of a host was said to be mended when its agent was killed");

    hosts.mend_database()?;
    hosts.start_agent()?;
    until("the end of the alert of the agent", LIMIT, tick, says(away, lost, false))?;
    until("the end of the alert of the first host", LIMIT, tick, says(fault, lost, false))?;
    Ok(())
}

/// What `promtool` says of the metrics of an agent.
fn check_metrics(hosts: &Hosts) -> Result<()> {
    for path in ["/metrics", "/metrics?verbose"] {
        let (_, text) = get(&format!("tcp://{}", hosts.agents()[0]), path, Duration::from_secs(5))?;
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .context("cannot start promtool")?;
        std::io::Write::write_all(&mut promtool.stdin.take().context("no input")?, text.as_bytes())?;
        let output = promtool.wait_with_output()?;
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success() && said.trim().is_empty(), "promtool check metrics, {path}: {said}");
    }
    Ok(())
}

/// A Prometheus with an Alertmanager.
pub(crate) struct Prometheus {
    address: SocketAddr,
    alerts: SocketAddr,
    prometheus: Server,
    _alertmanager: Server,
}

impl Prometheus {
    /// Scrapes `targets` every `interval`, which is also that of the rules and of Alertmanager's groups. What has to last for 30 s has
    /// to last for 2 s, and for 2 min four intervals. Alerts go to `webhook`.
    pub(crate) fn start(
        setup: &Setup,
        folder: &Path,
        targets: &[SocketAddr],
        webhook: &str,
        interval: Duration,
    ) -> Result<Self> {
        let (interval, away) =
            (format!("{}s", interval.as_secs()), format!("for: {}s", 4 * interval.as_secs()));
        let alerts: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
        let address: SocketAddr = ([127, 0, 0, 1], free_port()?).into();
        let shipped = |name: &str| {
            fs::read_to_string(deploy(setup).join(name)).with_context(|| format!("cannot read {name}"))
        };

        let config = shipped("alertmanager.yml")?.replace("http://127.0.0.1:9/replace-by-yours", webhook);
        let config = replaced(&config, "group_wait: 30s", &format!("group_wait: {interval}"))?;
        let config = replaced(&config, "group_interval: 5m", &format!("group_interval: {interval}"))?;
        fs::write(folder.join("alertmanager.yml"), config)?;
        let mut alertmanager = Command::new("prometheus-alertmanager");
        alertmanager
            .args(["--cluster.listen-address=", &format!("--web.listen-address={alerts}")])
            .arg(format!("--config.file={}", folder.join("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", folder.join("alerts").display()));
        let ready = move || {
            get(&format!("tcp://{alerts}"), "/-/ready", Duration::from_secs(1))
                .is_ok_and(|(code, _)| code == 200)
        };
        let mut alertmanager = Server::new("alertmanager", alertmanager, folder, ready)?;
        alertmanager.start()?;

        let rules = replaced(&shipped("rules.yml")?, "interval: 15s", &format!("interval: {interval}"))?;
        let rules = replaced(&rules, "for: 30s", "for: 2s")?;
        fs::write(folder.join("rules.yml"), replaced(&rules, "for: 2m", &away)?)?;
        let addresses: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
        fs::write(folder.join("hosts.yml"), format!("- targets: [{}]\n", addresses.join(", ")))?;
        let scrape = replaced(
            &shipped("scrape.yml")?,
            "scrape_interval: 15s",
            &format!("scrape_interval: {interval}"),
        )?;
        let scrape = replaced(
            &scrape,
            "/etc/prometheus/healthboard/*.yml",
            &folder.join("hosts.yml").display().to_string(),
        )?;
        let indented: String = scrape.lines().map(|line| format!("  {line}\n")).collect();
        fs::write(
            folder.join("prometheus.yml"),
            format!(
                "global: {{scrape_interval: {interval}, evaluation_interval: {interval}}}\nrule_files: [rules.yml]\n\
                 alerting: {{alertmanagers: [{{static_configs: [{{targets: ['{alerts}']}}]}}]}}\nscrape_configs:\n{indented}"
            ),
        )?;
        let mut prometheus = Command::new("prometheus");
        prometheus
            .arg(format!("--config.file={}", folder.join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("series").display()))
            .arg(format!("--web.listen-address={address}"));
        let ready = move || {
            get(&format!("tcp://{address}"), "/-/ready", Duration::from_secs(1))
                .is_ok_and(|(code, _)| code == 200)
        };
        let mut prometheus = Server::new("prometheus", prometheus, folder, ready)?;
        prometheus.start()?;
        Ok(Self { address, alerts, prometheus, _alertmanager: alertmanager })
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.prometheus.pid()
    }

    /// Whether Alertmanager has this alert of a host and keeps it back.
    fn is_inhibited(&self, alert: &str, instance: SocketAddr) -> Result<bool> {
        let path = "/api/v2/alerts?active=false&silenced=false&inhibited=true";
        let (_, body) = get(&format!("tcp://{}", self.alerts), path, Duration::from_secs(10))?;
        let alerts: Vec<Value> = serde_json::from_str(&body).context(body)?;
        let is_it = |found: &Value| {
            found["labels"]["alertname"] == alert && found["labels"]["instance"] == instance.to_string()
        };
        Ok(alerts.iter().any(is_it))
    }

    /// The values of an instant query.
    pub(crate) fn query(&self, expression: &str) -> Result<Vec<f64>> {
        let path = format!("/api/v1/query?query={}", percent_encoded(expression));
        let (code, body) = get(&format!("tcp://{}", self.address), &path, Duration::from_secs(10))?;
        ensure!(code == 200, "{expression}: {body}");
        let body: Value = serde_json::from_str(&body)?;
        let Some(results) = body["data"]["result"].as_array() else { bail!("{expression}: {body}") };
        let value = |result: &Value| result["value"][1].as_str().and_then(|value| value.parse().ok());
        Ok(results.iter().filter_map(value).collect())
    }
}

/// `text` with something replaced that must be in it.
fn replaced(text: &str, from: &str, to: &str) -> Result<String> {
    ensure!(text.contains(from), "expected `{from}` in a file of deploy/prometheus");
    Ok(text.replace(from, to))
}

fn deploy(setup: &Setup) -> PathBuf {
    setup.workspace().join("deploy/prometheus")
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}
