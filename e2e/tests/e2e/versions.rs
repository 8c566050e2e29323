//! Versions of healthboard side by side, as during an upgrade, and a package that goes away under a running service.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use healthboard_e2e::{Answer, CONDUCTOR, Setup, Signal, Stage, ask, children, is_alive, send};

/// Much longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// How often a service is probed.
const INTERVAL: Duration = Duration::from_millis(10);

/// The longest time without an answer while a process is alive.
const LONGEST_SILENCE: Duration = Duration::from_millis(200);

/// Probes a service until it is told to end.
struct Prober {
    end: Arc<AtomicBool>,
    thread: JoinHandle<Probes>,
}

#[derive(Default)]
struct Probes {
    /// The longest time from one answer to the next.
    silence: Duration,
    /// The longest time for which the machine had no time for this thread, and so may have had none for the service.
    pause: Duration,
    /// The inodes that were found at the path of the socket. A second listener would have replaced the file.
    sockets: BTreeSet<u64>,
}

impl Probes {
    /// Whether there was an answer all the time, from the same socket.
    fn assert_no_gap(&self) {
        let Self { silence, pause, .. } = self;
        assert!(*silence <= LONGEST_SILENCE + *pause, "no answer for {silence:?}, with pauses of {pause:?}");
        assert_eq!(self.sockets.len(), 1);
    }
}

impl Prober {
    fn begin(uri: String) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let is_told = Arc::clone(&end);
        let thread = thread::spawn(move || {
            let mut probes = Probes::default();
            let mut since = Duration::ZERO;
            while !is_told.load(Relaxed) {
                let begin = Instant::now();
                let answer = ask(&uri);
                since += begin.elapsed();
                probes.silence = probes.silence.max(since);
                if answer.is_ok() {
                    since = Duration::ZERO;
                }
                let path = uri.trim_start_matches("unix://");
                probes.sockets.extend(fs::metadata(path).map(|socket| socket.ino()).ok());
                let asleep = Instant::now();
                sleep(INTERVAL);
                probes.pause = probes.pause.max(asleep.elapsed().saturating_sub(INTERVAL));
                since += INTERVAL;
            }
            probes
        });
        Self { end, thread }
    }

    fn end(self) -> Probes {
        self.end.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !is_so()? {
        ensure!(start.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// Starts a conductor with the package in `packages`, besides others that run. Returns its pid.
fn start(stage: &mut Stage, packages: &Path) -> Result<u32> {
    let before = boards(stage)?.len();
    let pid = stage.start(CONDUCTOR, &[("PYTHONPATH", &packages.display().to_string())])?.pid();
    // A master and two workers.
    until("three more boards", || Ok(boards(stage)?.len() >= before + 3))
        .with_context(|| format!("{:?}\n{}", boards(stage), stage.log(CONDUCTOR)))?;
    Ok(pid)
}

fn boards(stage: &Stage) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(stage.folder().join("run").join(CONDUCTOR)) else { return Ok(Vec::new()) };
    let mut boards: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    boards.retain(|path| path.extension().is_some_and(|extension| extension == "board"));
    Ok(boards)
}

fn answer_when(stage: &Stage, what: &str, mut is_so: impl FnMut(&Answer) -> bool) -> Result<Answer> {
    let mut last = None;
    until(what, || {
        last = Some(ask(&stage.uri(CONDUCTOR)));
        Ok(last.as_ref().is_some_and(|answer| answer.as_ref().is_ok_and(&mut is_so)))
    })
    .with_context(|| format!("{last:?}\n{}", stage.log(CONDUCTOR)))?;
    last.context("no answer")?
}

/// A stage with a conductor that works, and its pid.
fn stage_with(setup: &Setup, packages: &Path) -> Result<(Stage, u32)> {
    let mut stage = Stage::new(setup)?;
    stage.listen()?;
    let pid = start(&mut stage, packages)?;
    answer_when(&stage, "OK, with workers that report", is_working)?;
    Ok((stage, pid))
}

/// A master is OK before its workers have started. The first report comes from a worker.
fn is_working(answer: &Answer) -> bool {
    answer.status() == "OK" && answer.state("service_report") == "passing"
}

/// Our own lines in the log.
fn our_lines(stage: &Stage) -> Vec<String> {
    let log = stage.log(CONDUCTOR);
    // The other version is beside that of the environment, which is named as well.
    let is_ours = |line: &&str| line.contains(" healthboard ") && !line.contains("installed twice");
    log.lines().filter(is_ours).map(str::to_owned).collect()
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn processes_of_two_versions_share_an_endpoint_without_a_gap() -> Result<()> {
    let setup = Setup::open()?;
    let (this, other) = (setup.this_package(), setup.other_package());
    for (first, second) in [(&this, &other), (&other, &this)] {
        let (mut stage, old) = stage_with(&setup, first)?;
        let prober = Prober::begin(stage.uri(CONDUCTOR));
        let new = start(&mut stage, second)?;
        until("the other's boards are named", || {
            Ok(our_lines(&stage).iter().any(|line| line.contains("found layout version")))
        })
        .with_context(|| format!("{:?}\n{:#?}", boards(&stage), our_lines(&stage)))?;
        answer_when(&stage, "OK, with the processes that can be read", |answer| {
            answer.status() == "OK" && answer.processes("alive") == 3
        })?;
        send(old, Signal::TERM)?;
        until("the old version ends", || Ok(!is_alive(old)))?;
        let after = answer_when(&stage, "OK by the new version", |answer| {
            answer.status() == "OK"
                && answer.serving().is_some_and(|pid| pid == new || children(new).contains(&pid))
        })?;
        assert_eq!((after.processes("alive"), after.processes("dead")), (3, 0), "{}", after.body);
        let probes = prober.end();
        probes.assert_no_gap();
        until("the old version's boards are removed", || Ok(boards(&stage)?.len() == 3))?;
        // SQLite may refuse one of two reports at the same moment, which is a transition.
        let is_expected = |line: &String| {
            ["layout version", "service_report: OperationalError", " INFO "]
                .iter()
                .any(|part| line.contains(part))
        };
        let lines = our_lines(&stage);
        assert!(lines.iter().all(is_expected), "{lines:#?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn a_command_and_an_agent_of_another_version_name_what_they_cannot_read() -> Result<()> {
    let setup = Setup::open()?;
    let other = setup.other_command().display().to_string();
    for (package, command, found) in [
        (setup.this_package(), &*other, "found layout version 2, this build reads 99"),
        (setup.other_package(), "healthboard", "found layout version 99, this build reads 2"),
    ] {
        let mut stage = Stage::new(&setup)?;
        stage.listen()?;
        start(&mut stage, &package)?;
        let shown = stage.shell(&format!("{command} check --boards run {CONDUCTOR}"))?;
        assert!(shown.text.contains("DEGRADED") && shown.text.contains(found), "{}", shown.text);
        assert_eq!(shown.code, Some(1));
        // Over HTTP all versions understand each other.
        let asked = stage.shell(&format!("{command} check {}", stage.uri(CONDUCTOR)))?;
        assert_eq!(asked.code, Some(0), "{}", asked.text);
        let agent = format!("unix://{}/agent.sock", stage.folder().display());
        stage.start_agent(command, &agent)?;
        let health = format!("{command} check {agent}");
        until("the agent names it", || Ok(stage.shell(&health)?.text.contains(found)))?;
    }
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn a_version_with_another_handover_waits_until_the_old_one_has_ended() -> Result<()> {
    let setup = Setup::open()?;
    let (this, other) = (setup.this_package(), setup.package_with_other_handover());
    for (first, second) in [(&this, &other), (&other, &this)] {
        let (mut stage, old) = stage_with(&setup, first)?;
        let new = start(&mut stage, second)?;
        let is_of = |answer: &Answer, master: u32| {
            answer.serving().is_some_and(|pid| pid == master || children(master).contains(&pid))
        };
        let both = answer_when(&stage, "six processes", |answer| answer.processes("alive") == 6)?;
        assert!(is_of(&both, old), "{}", both.body);
        until("what it waits for is named", || {
            Ok(our_lines(&stage).iter().any(|line| line.contains("stop the")))
        })?;
        send(old, Signal::TERM)?;
        until("the old version ends", || Ok(!is_alive(old)))?;
        answer_when(&stage, "OK by the new version", |answer| {
            answer.status() == "OK" && answer.processes("alive") == 3 && is_of(answer, new)
        })?;
        // Each of its three processes says so once.
        let lines = our_lines(&stage);
        assert_eq!(lines.iter().filter(|line| line.contains("stop the")).count(), 3, "{lines:#?}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn a_service_goes_on_when_its_package_is_removed_or_replaced() -> Result<()> {
    let setup = Setup::open()?;
    for replacement in [None, Some(setup.other_package())] {
        let mut stage = Stage::new(&setup)?;
        stage.listen()?;
        let packages = stage.folder().join("packages");
        let copy = |from: &Path| stage.shell(&format!("cp -r {} packages", from.display()));
        assert_eq!(copy(&setup.this_package())?.code, Some(0));
        let pid = start(&mut stage, &packages)?;
        answer_when(&stage, "OK, with workers that report", is_working)?;
        let prober = Prober::begin(stage.uri(CONDUCTOR));
        fs::remove_dir_all(&packages)?;
        if let Some(other) = &replacement {
            let copied = stage.shell(&format!("cp -r {} packages", other.display()))?;
            assert_eq!(copied.code, Some(0), "{}", copied.text);
        }
        // A fault, a new worker, a stop: whatever else a process would import for them is gone.
        stage.take_database_away()?;
        answer_when(&stage, "FAULT", |answer| answer.status() == "FAULT")?;
        stage.bring_database_back()?;
        answer_when(&stage, "its database again", |answer| answer.state("database") == "passing")?;
        let Some(worker) = children(pid).into_iter().next() else { bail!("no worker") };
        send(worker, Signal::KILL)?;
        until("another worker", || Ok(children(pid).len() == 2 && !children(pid).contains(&worker)))?;
        answer_when(&stage, "three processes", |answer| answer.processes("alive") == 3)?;
        let probes = prober.end();
        probes.assert_no_gap();
        send(pid, Signal::TERM)?;
        until("it ends", || Ok(!is_alive(pid)))?;
        let lines = our_lines(&stage);
        let log = stage.log(CONDUCTOR);
        assert!(!log.contains("ImportError") && !log.contains("ModuleNotFoundError"), "{log}");
        assert!(lines.iter().all(|line| !line.contains("Traceback")), "{lines:#?}");
        if replacement.is_some() {
            stage.start(CONDUCTOR, &[("PYTHONPATH", &packages.display().to_string())])?;
            answer_when(&stage, "OK by the version that was installed meanwhile", |answer| {
                is_working(answer) && answer.processes("alive") == 3
            })?;
            until("the boards of the version before are removed", || Ok(boards(&stage)?.len() == 3))?;
        }
    }
    Ok(())
}
