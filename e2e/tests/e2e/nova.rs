//! Real, unpatched Nova daemons, as an operator sees them.
//!
//! Each test has a stage of its own.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use healthboard_e2e::{Answer, CONDUCTOR, SCHEDULER, Setup, Signal, Stage, ask, children, send, threads};

/// A stage with a conductor that is OK. One of its two workers is the holder.
fn conductor() -> Result<Stage> {
    let mut stage = Stage::new(&Setup::open()?)?;
    stage.listen()?;
    stage.start(CONDUCTOR, &[])?;
    stage.ready()?;
    Ok(stage)
}

fn holder(stage: &Stage) -> Result<u32> {
    ask(&stage.uri(CONDUCTOR))?.serving().context("the report does not name the holder")
}

fn standby(stage: &Stage) -> Result<u32> {
    let holder = holder(stage)?;
    let workers = stage.daemon(CONDUCTOR)?.workers();
    workers.into_iter().find(|pid| *pid != holder).context("there is no standby")
}

fn is_ok(answer: &Answer) -> bool {
    answer.status() == "OK" && answer.code == 200
}

/// Whether the answer has this status and code, and its message names `what`.
fn is(answer: &Answer, status: &str, code: u16, what: &str) -> bool {
    answer.status() == status && answer.code == code && answer.message().contains(what)
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn a_lost_database_is_degraded_then_fault_and_ok_when_it_returns() -> Result<()> {
    let mut stage = conductor()?;
    stage.take_database_away()?;
    stage.until(CONDUCTOR, "DEGRADED", |answer| is(answer, "DEGRADED", 200, "database"))?;
    let fault = stage.until(CONDUCTOR, "FAULT", |answer| is(answer, "FAULT", 503, "database"))?;
    assert_eq!(fault.state("database"), "failing");
    let alive =
        stage.shell("curl -s -w '%{http_code}' --unix-socket nova-conductor.sock http://localhost/livez")?;
    assert!(alive.text.ends_with("200"), "expected /livez to ignore the database: {}", alive.text);
    stage.bring_database_back()?;
    let ok = stage.until(CONDUCTOR, "OK", is_ok)?;
    assert_eq!((ok.state("database"), ok.message()), ("passing", ""));
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn a_frozen_worker_is_named_until_it_is_thawed() -> Result<()> {
    let mut stage = conductor()?;
    let worker = standby(&stage)?;
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
fn the_endpoint_answers_while_its_holder_is_frozen() -> Result<()> {
    let mut stage = conductor()?;
    let frozen = holder(&stage)?;
    send(frozen, Signal::STOP)?;
    let first = stage
        .until(CONDUCTOR, "an answer from another process", |answer| answer.serving() != Some(frozen))?;
    assert!(first.serving().is_some(), "{}", first.body);
    stage.until(CONDUCTOR, "DEGRADED, naming the frozen process", |answer| {
        is(answer, "DEGRADED", 200, &frozen.to_string())
    })?;
    send(frozen, Signal::CONT)?;
    stage.until(CONDUCTOR, "OK", is_ok)?;
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn the_endpoint_answers_within_a_second_of_the_death_of_its_holder() -> Result<()> {
    let mut stage = conductor()?;
    let killed = holder(&stage)?;
    let uri = stage.uri(CONDUCTOR);
    send(killed, Signal::KILL)?;
    let answer =
        stage.wait_for(Duration::from_secs(1), || ask(&uri).ok())?.context("no answer within a second")?;
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
    // The port is free again as soon as the listener is dropped.
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
        let output = stage.shell(&line)?;
        assert!(
            output.text.contains(" 200 OK\r\n") && output.text.contains(r#""OK""#),
            "{line}: {}",
            output.text
        );
    }
    for uri in [conductor, scheduler] {
        let output = stage.shell(&format!("healthboard check {uri}"))?;
        assert_eq!(output.code, Some(0), "{}", output.text);
    }
    let output = stage.shell("healthboard check unix:///nowhere.sock")?;
    assert_eq!(output.code, Some(3), "{}", output.text);
    Ok(())
}

/// Starts the conductor with `lines` in its section `[healthcheck]`. Asserts that Nova starts, and that one line of its log has
/// all `words`.
fn nova_starts_and_logs(lines: &str, words: &[&str]) -> Result<()> {
    let mut stage = Stage::new(&Setup::open()?)?;
    stage.configure(lines)?;
    stage.start(CONDUCTOR, &[])?;
    started(&mut stage)?;
    let log = stage.log(CONDUCTOR);
    let found = log.lines().any(|line| words.iter().all(|word| line.contains(word)));
    ensure!(found, "no line of the log has all of {words:?}\n{log}");
    Ok(())
}

/// Waits until Nova logs that both workers have started.
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
fn nova_starts_with_a_bad_uri_and_its_log_says_what_was_expected() -> Result<()> {
    nova_starts_and_logs("uri = udp://127.0.0.1:1", &["uri", "udp://127.0.0.1:1", "unix://"])
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn nova_starts_with_a_bad_ttl_and_its_log_says_what_was_expected() -> Result<()> {
    nova_starts_and_logs("uri = tcp://127.0.0.1:0\nttl = soon", &["ttl", "soon", "expected"])
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn without_a_uri_there_is_no_endpoint_no_board_and_no_additional_thread() -> Result<()> {
    let setup = Setup::open()?;
    let (mut ours, mut theirs) = (Stage::new(&setup)?, Stage::new(&setup)?);
    let our_master = ours.start(CONDUCTOR, &[])?.pid();
    let their_master = theirs.start_bare(CONDUCTOR)?.pid();
    started(&mut ours)?;
    started(&mut theirs)?;
    assert!(!exists(&ours.folder().join("nova-conductor.sock")));
    assert!(!exists(&ours.folder().join("run")));
    // Both are still starting threads.
    let same = ours.wait_for(Duration::from_secs(30), || {
        (worker_threads(our_master) == worker_threads(their_master)).then_some(())
    })?;
    same.context("our workers do not have as many threads as Nova's own")
}

fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn worker_threads(master: u32) -> Vec<usize> {
    children(master).into_iter().map(threads).collect()
}
