//! What an operator of Nova notices, on real and unpatched daemons.
//!
//! Each test has a stage of its own. `cargo xtask test e2e` sets up what they need and runs them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use healthboard_e2e::{Answer, CONDUCTOR, SCHEDULER, Setup, Signal, Stage, ask, children, send, threads};

/// A stage on which the conductor listens, is OK, and is served by one of its two workers.
fn conductor() -> Result<Stage> {
    let mut stage = Stage::new(&Setup::open()?)?;
    stage.listen()?;
    stage.start(CONDUCTOR, &[])?;
    stage.ready()?;
    Ok(stage)
}

fn serving(stage: &Stage) -> Result<u32> {
    ask(&stage.uri(CONDUCTOR))?.serving().context("the report does not name who serves it")
}

fn standing_by(stage: &Stage) -> Result<u32> {
    let serving = serving(stage)?;
    let workers = stage.daemon(CONDUCTOR)?.workers();
    workers.into_iter().find(|pid| *pid != serving).context("no worker stands by")
}

fn is_ok(answer: &Answer) -> bool {
    answer.status() == "OK" && answer.code == 200
}

/// Whether it is this status, with a message that names `what`.
fn is(answer: &Answer, status: &str, code: u16, what: &str) -> bool {
    answer.status() == status && answer.code == code && answer.message().contains(what)
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn a_database_that_is_away_is_degraded_then_fault_and_ok_when_it_is_back() -> Result<()> {
    let mut stage = conductor()?;
    stage.take_database_away()?;
    stage.until(CONDUCTOR, "DEGRADED", |answer| is(answer, "DEGRADED", 200, "database"))?;
    let fault = stage.until(CONDUCTOR, "FAULT", |answer| is(answer, "FAULT", 503, "database"))?;
    assert_eq!(fault.state("database"), "failing");
    let alive =
        stage.shell("curl -s -w '%{http_code}' --unix-socket nova-conductor.sock http://localhost/livez")?;
    assert!(alive.text.ends_with("200"), "restarting a service mends no database: {}", alive.text);
    stage.bring_database_back()?;
    let well = stage.until(CONDUCTOR, "OK", is_ok)?;
    assert_eq!((well.state("database"), well.message()), ("passing", ""));
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn a_frozen_worker_is_named_until_it_is_thawed() -> Result<()> {
    let mut stage = conductor()?;
    let worker = standing_by(&stage)?;
    send(worker, Signal::STOP)?;
    let answer =
        stage.until(CONDUCTOR, "DEGRADED", |answer| is(answer, "DEGRADED", 200, &worker.to_string()))?;
    assert_eq!(answer.processes("hung"), 1);
    send(worker, Signal::CONT)?;
    stage.until(CONDUCTOR, "OK", is_ok)?;
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn the_endpoint_answers_while_the_process_that_served_it_is_frozen() -> Result<()> {
    let mut stage = conductor()?;
    let frozen = serving(&stage)?;
    send(frozen, Signal::STOP)?;
    let first =
        stage.until(CONDUCTOR, "answered from another process", |answer| answer.serving() != Some(frozen))?;
    assert!(first.serving().is_some(), "{}", first.body);
    stage.until(CONDUCTOR, "named the frozen one", |answer| {
        is(answer, "DEGRADED", 200, &frozen.to_string())
    })?;
    send(frozen, Signal::CONT)?;
    stage.until(CONDUCTOR, "OK", is_ok)?;
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn the_endpoint_answers_within_a_second_of_the_death_of_its_server() -> Result<()> {
    let mut stage = conductor()?;
    let killed = serving(&stage)?;
    let uri = stage.uri(CONDUCTOR);
    send(killed, Signal::KILL)?;
    let answer =
        stage.wait_for(Duration::from_secs(1), || ask(&uri).ok())?.context("no answer for a second")?;
    assert_ne!(answer.serving(), Some(killed));
    assert!(is(&answer, "DEGRADED", 200, &killed.to_string()), "{} {}", answer.code, answer.body);
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn a_service_that_is_stopped_leaves_no_endpoint_behind() -> Result<()> {
    let mut stage = conductor()?;
    let uri = stage.uri(CONDUCTOR);
    stage.stop(CONDUCTOR);
    let after = ask(&uri);
    ensure!(after.is_err(), "still answered: {after:?}");
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn plain_tools_get_200_over_tcp_and_unix_sockets() -> Result<()> {
    let mut stage = Stage::new(&Setup::open()?)?;
    stage.listen()?;
    // The port is free again as soon as the listener has gone.
    let tcp = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let uris = format!("{},tcp://{tcp}", stage.uri(CONDUCTOR));
    stage.start(CONDUCTOR, &[("HEALTHBOARD_URI", &uris)])?;
    stage.start(SCHEDULER, &[])?;
    stage.ready()?;
    let (conductor, scheduler) = (stage.uri(CONDUCTOR), stage.uri(SCHEDULER));
    for line in [
        format!("curl -si http://{tcp}/health"),
        String::from("curl -si --unix-socket nova-conductor.sock http://localhost/health"),
        String::from(r"printf 'GET /health HTTP/1.0\r\n\r\n' | nc -U nova-scheduler.sock"),
        String::from(r"printf 'GET /health HTTP/1.0\r\n\r\n' | socat - UNIX-CONNECT:nova-scheduler.sock"),
    ] {
        let said = stage.shell(&line)?;
        assert!(said.text.contains(" 200 OK\r\n") && said.text.contains(r#""OK""#), "{line}: {}", said.text);
    }
    for uri in [conductor, scheduler] {
        let said = stage.shell(&format!("healthboard check {uri}"))?;
        assert_eq!(said.code, Some(0), "{}", said.text);
    }
    let said = stage.shell("healthboard check unix:///nowhere.sock")?;
    assert_eq!(said.code, Some(3), "{}", said.text);
    Ok(())
}

/// Starts the conductor with `lines` as its section, waits until its log names all of `words`, and sees that Nova is up.
fn starts_and_says(lines: &str, words: &[&str]) -> Result<()> {
    let mut stage = Stage::new(&Setup::open()?)?;
    stage.configure(lines)?;
    stage.start(CONDUCTOR, &[])?;
    started(&mut stage)?;
    let log = stage.log(CONDUCTOR);
    let said = log.lines().any(|line| words.iter().all(|word| line.contains(word)));
    ensure!(said, "no line of the log names all of {words:?}\n{log}");
    Ok(())
}

/// Waits until Nova itself says that both workers have started.
fn started(stage: &mut Stage) -> Result<()> {
    let path = stage.folder().join("nova-conductor.log");
    let up = stage.wait_for(Duration::from_secs(60), || {
        let log = std::fs::read_to_string(&path).ok()?;
        (log.matches("Starting conductor node").count() == 2).then_some(())
    })?;
    up.context("nova-conductor did not start within a minute")
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn nova_starts_with_a_wrong_uri_and_its_log_says_what_would_be_right() -> Result<()> {
    starts_and_says("uri = udp://127.0.0.1:1", &["uri", "udp://127.0.0.1:1", "unix://"])
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn nova_starts_with_a_wrong_ttl_and_its_log_says_what_would_be_right() -> Result<()> {
    starts_and_says("uri = tcp://127.0.0.1:0\nttl = soon", &["ttl", "soon", "expected"])
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn without_a_uri_there_is_no_endpoint_no_board_and_no_thread_more() -> Result<()> {
    let setup = Setup::open()?;
    let (mut ours, mut theirs) = (Stage::new(&setup)?, Stage::new(&setup)?);
    let our_master = ours.start(CONDUCTOR, &[])?.pid();
    let their_master = theirs.start_bare(CONDUCTOR)?.pid();
    started(&mut ours)?;
    started(&mut theirs)?;
    assert!(!is_there(&ours.folder().join("nova-conductor.sock")));
    assert!(!is_there(&ours.folder().join("run")));
    // Both are still starting threads: they end with as many, or never.
    let same = ours.wait_for(Duration::from_secs(30), || {
        (worker_threads(our_master) == worker_threads(their_master)).then_some(())
    })?;
    same.context("our workers do not have as many threads as Nova's own")
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn worker_threads(master: u32) -> Vec<usize> {
    children(master).into_iter().map(threads).collect()
}
