//! Services under a real systemd: it learns how they are, and restarts those that hang and no others.

mod agent;
mod dropins;
mod sandboxes;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::machine::{Machine, shared};
use super::{seconds, until};
use crate::probe::{Answer, ask};
use crate::setup::Setup;

const UNITS: [(&str, &str); 3] = [
    ("rust.service", include_str!("../../deploy/systemd/rust.service")),
    ("plain.service", include_str!("../../deploy/systemd/plain.service")),
    ("slow.service", include_str!("../../deploy/systemd/slow.service")),
];
const SERVICE: &str = include_str!("../../deploy/systemd/service.py");
/// The folder in the container for [`SERVICE`].
const FOLDER: &str = "/opt/healthboard";
/// A service is ready, or killed and ready again, within this time. It takes twelve seconds to start and five to be killed.
const SOON: Duration = Duration::from_secs(120);

/// Something that was proven.
#[derive(Clone, Debug)]
pub struct Check {
    name: String,
    found: String,
}

impl Check {
    fn new(name: &str, found: impl Into<String>) -> Self {
        Self { name: name.to_owned(), found: found.into() }
    }
}

/// A table of what was proven.
pub fn page(checks: &[Check]) -> String {
    let rows = checks.iter().map(|check| format!("| {} | {} |\n", check.name, check.found));
    format!("| what | found |\n| --- | --- |\n{}\n", rows.collect::<String>())
}

/// Proves everything; a service under load is watched for as long as `load`.
///
/// # Errors
///
/// If something does not hold. The error says what was expected, and where the container's journal is.
pub fn prove(setup: &Setup, load: Duration, tick: fn(Duration) -> Result<()>) -> Result<Vec<Check>> {
    let machine = Machine::boot(setup, &shared(setup)?, |root| install(setup, root), tick)?;
    let proof = Proof { machine, tick };
    let mut checks = Vec::new();
    match proof.all(setup, load, &mut checks) {
        Ok(()) => Ok(checks),
        Err(error) => {
            let journal = proof.machine.keep_journal(setup, "systemd-journal.log")?;
            let root = proof.machine.keep();
            let done: Vec<String> = checks.into_iter().map(|check| check.name).collect();
            bail!(
                "{error:#}\nproven before: {}\nits files: {}\nnext: less {}",
                done.join("; "),
                root.display(),
                journal.display()
            )
        }
    }
}

struct Proof {
    machine: Machine,
    tick: fn(Duration) -> Result<()>,
}

impl Proof {
    fn all(&self, setup: &Setup, load: Duration, checks: &mut Vec<Check>) -> Result<()> {
        checks.push(dropins::check(setup, &self.machine)?);
        checks.push(self.is_ready_when_it_answers()?);
        checks.push(self.a_rust_service_is_ready()?);
        checks.push(agent::check(&self.machine)?);
        checks.push(sandboxes::check(&self.machine, self.tick)?);
        checks.push(self.the_status_is_the_message()?);
        checks.push(self.a_plain_unit_is_left_alone()?);
        checks.push(self.a_loaded_service_is_not_killed(load)?);
        for unit in ["rust", "slow"] {
            checks.push(self.is_killed(unit, "is frozen", &format!("systemctl kill -s STOP {unit}"))?);
        }
        checks.push(self.is_killed("slow", "no longer progresses", "touch /run/slow/hang")?);
        checks.push(self.a_reload_is_seen()?);
        checks.push(self.the_end_is_seen()?);
        Ok(())
    }

    fn is_ready_when_it_answers(&self) -> Result<Check> {
        self.machine.shell("systemctl start --no-block slow")?;
        let begin = Instant::now();
        self.until("the slow service answers", || Ok(self.ask("slow").ok()))?;
        ensure!(
            self.property("slow", "ActiveState")? == "activating",
            "the slow service was ready before it said so"
        );
        let answered = begin.elapsed();
        self.until("it is ready, after its TimeoutStartSec", || self.is("slow", "ActiveState", "active"))?;
        let ready = begin.elapsed();
        ensure!(self.machine.path("/run/slow/says").exists(), "it was ready before it said so");
        let answer = self.ask("slow")?;
        ensure!(answer.code == 200 && self.property("slow", "NRestarts")? == "0", "{}", answer.body);
        let found = format!("answers after {}, ready after {}", seconds(answered), seconds(ready));
        Ok(Check::new(
            "a slow start is extended; READY comes when the program says so, and the board answers",
            found,
        ))
    }

    fn a_rust_service_is_ready(&self) -> Result<Check> {
        let begin = Instant::now();
        // Without --no-block it returns when the service is ready.
        self.machine.shell("systemctl start rust")?;
        let ready = begin.elapsed();
        let answer = self.ask("rust")?;
        ensure!(answer.code == 200, "{}", answer.body);
        Ok(Check::new("a Rust service of Type=notify is ready when it answers", seconds(ready)))
    }

    fn the_status_is_the_message(&self) -> Result<Check> {
        let status = |wanted: &'static str| {
            self.until(wanted, || {
                let text = self.property("rust", "StatusText")?;
                Ok(text.starts_with(wanted).then_some(text))
            })
        };
        status("OK")?;
        self.machine.shell("mv /var/lib/rust/visits.db /var/lib/rust/away.db")?;
        let (text, after) = status("FAULT: database: ")?;
        let message = self.ask("rust")?.message().to_owned();
        let error = message.split(',').next().context("there is no message")?;
        ensure!(text.contains(error), "StatusText is `{text}`, and the message of a probe `{message}`");
        self.machine.shell("mv /var/lib/rust/away.db /var/lib/rust/visits.db")?;
        status("OK")?;
        Ok(Check::new(
            "`systemctl show -p StatusText` has the message",
            format!("`{text}` after {}", seconds(after)),
        ))
    }

    fn a_plain_unit_is_left_alone(&self) -> Result<Check> {
        self.machine.shell("systemctl start plain")?;
        self.until("the plain service answers", || Ok(self.ask("plain").ok()))?;
        let told = self
            .machine
            .shell("journalctl -u plain --grep 'notification|reception' --no-pager -q || true")?;
        ensure!(
            self.property("plain", "StatusText")?.is_empty() && told.is_empty(),
            "systemd was told of a service that it does not listen to: {told}"
        );
        Ok(Check::new("a unit of Type=simple without NotifyAccess is left alone", "nothing sent"))
    }

    fn a_loaded_service_is_not_killed(&self, load: Duration) -> Result<Check> {
        self.machine.shell("touch /run/slow/busy")?;
        let (stop, probes) = (AtomicBool::new(false), AtomicU64::new(0));
        let watched = std::thread::scope(|scope| {
            let (stop, probes) = (&stop, &probes);
            for unit in ["slow", "rust"] {
                scope.spawn(move || {
                    // Relaxed: nothing else depends on either.
                    while !stop.load(Ordering::Relaxed) {
                        probes.fetch_add(u64::from(self.ask(unit).is_ok()), Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(1));
                    }
                });
            }
            let watched = self.watch(load);
            stop.store(true, Ordering::Relaxed);
            watched
        });
        watched?;
        self.machine.shell("rm /run/slow/busy")?;
        for unit in ["slow", "rust"] {
            let restarts = self.property(unit, "NRestarts")?;
            ensure!(restarts == "0", "{unit} was restarted {restarts} times under load");
        }
        let found = format!("{} min, {} probes, no restart", load.as_secs() / 60, probes.into_inner());
        Ok(Check::new("a working service under load is not killed", found))
    }

    fn watch(&self, load: Duration) -> Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < load {
            (self.tick)(begin.elapsed())?;
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn is_killed(&self, unit: &str, what: &str, fault: &str) -> Result<Check> {
        let restarts: u32 = self.property(unit, "NRestarts")?.parse()?;
        let search = format!("journalctl -u {unit} --grep 'Watchdog timeout' --no-pager -q || true");
        let timeouts = || Ok::<_, anyhow::Error>(self.machine.shell(&search)?.lines().count());
        let before = timeouts()?;
        self.machine.shell(fault)?;
        let wanted = (restarts + 1).to_string();
        let (_, killed) = self.until("systemd restarts it", || self.is(unit, "NRestarts", &wanted))?;
        let (_, ready) = self.until("it is active again", || self.is(unit, "ActiveState", "active"))?;
        let answer = self.ask(unit)?;
        ensure!(answer.code == 200, "{unit} answers {} after its restart: {}", answer.code, answer.body);
        ensure!(timeouts()? > before, "{unit} was restarted, and not by its watchdog");
        let found = format!("restarted after {}, ready {} later", seconds(killed), seconds(ready));
        Ok(Check::new(
            &format!("a service ({unit}) that {what} is killed by the watchdog and comes back"),
            found,
        ))
    }

    fn a_reload_is_seen(&self) -> Result<Check> {
        let main = self.property("slow", "MainPID")?;
        // The messages of services are in the journal only then.
        self.machine.shell(&format!("systemctl log-level debug && kill -HUP {main}"))?;
        let search = "journalctl -u slow --grep 'RELOADING=1, MONOTONIC_USEC=' --no-pager -q || true";
        let (_, after) =
            self.until("RELOADING=1", || Ok((!self.machine.shell(search)?.is_empty()).then_some(())))?;
        self.machine.shell("systemctl log-level info")?;
        self.until("it is active again", || self.is("slow", "ActiveState", "active"))?;
        ensure!(self.property("slow", "MainPID")? == main, "the slow service has not survived its reload");
        Ok(Check::new("a reload is seen, and does not count as a stop", format!("after {}", seconds(after))))
    }

    fn the_end_is_seen(&self) -> Result<Check> {
        let main = self.property("slow", "MainPID")?;
        self.machine.shell(&format!("kill -TERM {main}"))?;
        // Nobody has asked systemd to stop it, and its main process has not ended: only the service can have said so.
        let (_, after) = self.until("STOPPING=1", || {
            let stops = self.is("slow", "ActiveState", "deactivating")?.is_some();
            Ok((stops && self.property("slow", "MainPID")? == main).then_some(()))
        })?;
        self.until("it has ended", || self.is("slow", "ActiveState", "inactive"))?;
        ensure!(self.property("slow", "Result")? == "success", "the end of the slow service was no success");
        Ok(Check::new("STOPPING is seen while a service drains", format!("after {}", seconds(after))))
    }

    fn ask(&self, unit: &str) -> Result<Answer> {
        ask(&format!("unix://{}", self.machine.path(&format!("/run/{unit}/health.sock")).display()))
    }

    fn property(&self, unit: &str, name: &str) -> Result<String> {
        self.machine.property(unit, name)
    }

    fn is(&self, unit: &str, name: &str, wanted: &str) -> Result<Option<()>> {
        Ok((self.property(unit, name)? == wanted).then_some(()))
    }

    fn until<T>(&self, wanted: &str, look: impl FnMut() -> Result<Option<T>>) -> Result<(T, Duration)> {
        until(wanted, SOON, self.tick, look)
    }
}

fn install(setup: &Setup, root: &Path) -> Result<()> {
    dropins::install(setup, root)?;
    agent::install(setup, root)?;
    sandboxes::install(setup, root)?;
    for (name, template) in UNITS {
        let text = template
            .replace("<programs>", &setup.programs().display().to_string())
            .replace("<environment>", &setup.venv().display().to_string())
            .replace("<folder>", FOLDER);
        fs::write(root.join("etc/systemd/system").join(name), text)?;
    }
    let folder = root.join(FOLDER.trim_start_matches('/'));
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("visits.py"), sandboxes::VISITS)?;
    fs::write(folder.join("service.py"), SERVICE).context("cannot write the service")
}
