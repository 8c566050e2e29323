//! `cargo xtask demo`: real Nova daemons tell their health while faults are put on them.

use std::net::TcpListener;
use std::time::Instant;

use anyhow::{Context, Result};
use healthboard_e2e::{Answer, CONDUCTOR, SCHEDULER, Setup, Stage, ask};

use crate::interrupt;
use crate::story::Story;
use crate::terminal::{duration, strong};

/// A few words for people, and the HTTP status code.
const ASK: &str = "curl -s -H 'Accept: text/plain' -w '%{http_code}\\n' --unix-socket nova-conductor.sock http://localhost/health";
/// The same question without any HTTP program.
const REQUEST: &str = r"printf 'GET /health HTTP/1.0\r\nAccept: text/plain\r\n\r\n'";

/// Plays the story; with `keep`, Nova runs on after it.
pub(crate) fn run(keep: bool) -> Result<()> {
    let setup = Setup::prepare()?;
    interrupt::watch()?;
    let mut story = Story::new(Stage::new(&setup)?);
    let told = tell(&mut story, &setup);
    story.summary();
    if told.is_err() && !interrupt::happened() {
        let folder = story.stage.folder().display().to_string();
        story.stage.keep_folder();
        eprintln!("the logs of Nova are kept: less {folder}/*.log {folder}/*.out; rm -r {folder}");
    } else if keep && told.is_ok() {
        leave_running(&mut story.stage)?;
    }
    told
}

fn tell(story: &mut Story, setup: &Setup) -> Result<()> {
    let tcp = free_address()?;
    story.act("Nova starts, with one line more in nova.conf", |story| start(story, setup, &tcp))?;
    story.act("plain tools are clients", |story| plain_tools(story, &tcp))?;
    story.act("the database is taken away", database_away)?;
    story.act("the database comes back", database_back)?;
    story.act("a worker is frozen, and thawed", frozen_worker)?;
    story.act("the process that serves the endpoint is killed", |story| killed_holder(story, &tcp))
}

fn start(story: &mut Story, setup: &Setup, tcp: &str) -> Result<()> {
    let begin = Instant::now();
    let stage = &mut story.stage;
    let folder = stage.folder().display().to_string();
    stage.listen()?;
    println!("$ cd {folder}");
    println!("$ export HEALTHBOARD_RUNTIME_DIR=$PWD/run PATH={}:$PATH", setup.search_path()?.display());
    story.run("tail -n 2 nova.conf", &["[healthcheck]"])?;
    let uris = format!("{},tcp://{tcp}", story.stage.uri(CONDUCTOR));
    println!("$ HEALTHBOARD_URI={uris} healthboard-run {CONDUCTOR} --config-file nova.conf &");
    story.stage.start(CONDUCTOR, &[("HEALTHBOARD_URI", &uris)])?;
    println!("$ healthboard-run {SCHEDULER} --config-file nova.conf &");
    story.stage.start(SCHEDULER, &[])?;
    story.stage.ready()?;
    story.note(format!("both are OK after {}", duration(begin.elapsed())));
    Ok(())
}

fn plain_tools(story: &mut Story, tcp: &str) -> Result<()> {
    story.run(&format!("curl -s -w '%{{http_code}}\\n' http://{tcp}/health"), &["\"OK\"", "\n200"])?;
    story.run(ASK, &["OK", "200"])?;
    story.run(&format!("{REQUEST} | nc -U nova-scheduler.sock"), &["200 OK"])?;
    story.run(&format!("{REQUEST} | socat - UNIX-CONNECT:nova-scheduler.sock"), &["200 OK"])?;
    let (conductor, scheduler) = (story.stage.uri(CONDUCTOR), story.stage.uri(SCHEDULER));
    story.run(&format!("healthboard show {conductor} {scheduler}"), &["OK"])?;
    story.note("curl over TCP, curl over the unix socket, nc, socat: OK, 200");
    Ok(())
}

fn database_away(story: &mut Story) -> Result<()> {
    story.quietly("mv db db.away")?;
    let begin = Instant::now();
    story.until(CONDUCTOR, "DEGRADED", begin, |answer| {
        answer.status() == "DEGRADED" && answer.code == 200 && answer.message().contains("database")
    })?;
    story.run(ASK, &["DEGRADED", "database", "200"])?;
    story.until(CONDUCTOR, "FAULT", begin, |answer| {
        answer.status() == "FAULT" && answer.code == 503 && answer.message().contains("database")
    })?;
    story.run(ASK, &["FAULT", "database", "503"])?;
    story.run("pgrep -a nova-conductor", &["master", "worker"])?;
    story.note("503, while pgrep finds all processes there");
    Ok(())
}

fn database_back(story: &mut Story) -> Result<()> {
    story.quietly("mv db.away db")?;
    story.until(CONDUCTOR, "OK", Instant::now(), is_ok)?;
    story.run(ASK, &["OK", "200"]).map(drop)
}

fn frozen_worker(story: &mut Story) -> Result<()> {
    let serving = serving(story)?;
    let workers = story.stage.daemon(CONDUCTOR)?.workers();
    let worker = workers.into_iter().find(|pid| *pid != serving).context("no worker stands by")?.to_string();
    story.quietly(&format!("kill -STOP {worker}"))?;
    story.until(CONDUCTOR, "DEGRADED", Instant::now(), |answer| {
        answer.status() == "DEGRADED" && answer.message().contains(&worker)
    })?;
    story.run(ASK, &["DEGRADED", &worker, "200"])?;
    story.quietly(&format!("kill -CONT {worker}"))?;
    story.until(CONDUCTOR, "OK", Instant::now(), is_ok)?;
    story.run(ASK, &["OK", "200"]).map(drop)
}

fn killed_holder(story: &mut Story, tcp: &str) -> Result<()> {
    let killed = serving(story)?;
    let begin = Instant::now();
    story.quietly(&format!("kill -9 {killed}"))?;
    let over_tcp = format!("tcp://{tcp}");
    story.until(CONDUCTOR, "both endpoints answered again", begin, |answer| {
        answer.serving().is_some_and(|pid| pid != killed) && ask(&over_tcp).is_ok()
    })?;
    story.run(ASK, &[&killed.to_string(), "200"])?;
    story.run(&format!("curl -s -o /dev/null -w '%{{http_code}}\\n' http://{tcp}/health"), &["200"]).map(drop)
}

fn serving(story: &Story) -> Result<u32> {
    ask(&story.stage.uri(CONDUCTOR))?.serving().context("the report does not say which process serves it")
}

fn is_ok(answer: &Answer) -> bool {
    answer.status() == "OK" && answer.code == 200
}

/// A port of the loopback address that nobody uses.
fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn leave_running(stage: &mut Stage) -> Result<()> {
    let masters = [stage.daemon(CONDUCTOR)?.pid(), stage.daemon(SCHEDULER)?.pid()];
    let folder = stage.folder().display().to_string();
    stage.release()?;
    println!("\n{}", strong("Nova is still running."));
    println!("ask it:   cd {folder}; {ASK}");
    println!("stop it:  kill {} {}; rm -r {folder}", masters[0], masters[1]);
    Ok(())
}
