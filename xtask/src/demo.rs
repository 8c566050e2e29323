//! `cargo xtask demo`: real Nova daemons report their health during faults.

use std::net::TcpListener;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use healthboard_e2e::{Answer, CONDUCTOR, SCHEDULER, Setup, Stage, ask};

use crate::interrupt;
use crate::terminal::{duration, strong};
use crate::transcript::Transcript;

/// Prints the verdict as text, and the HTTP status code.
const ASK: &str = "curl -s -H 'Accept: text/plain' -w '%{http_code}\\n' --unix-socket nova-conductor.sock http://localhost/health";
/// The same request for tools that do not know HTTP.
const REQUEST: &str = r"printf 'GET /health HTTP/1.0\r\nAccept: text/plain\r\n\r\n'";

/// Runs the demo. With `keep`, Nova keeps running afterwards.
pub(crate) fn run(keep: bool) -> Result<()> {
    let setup = Setup::prepare()?;
    interrupt::watch()?;
    let mut transcript = Transcript::new(Stage::new(&setup)?);
    let outcome = play(&mut transcript, &setup);
    transcript.summary();
    if outcome.is_err() && !interrupt::happened() {
        let folder = transcript.stage.folder().display().to_string();
        transcript.stage.keep_folder();
        eprintln!("the logs of Nova have been kept: less {folder}/*.log {folder}/*.out; rm -r {folder}");
    } else if let Ok(agent) = &outcome
        && keep
    {
        leave_running(&mut transcript.stage, agent)?;
    }
    outcome.map(drop)
}

/// Returns where the agent answers.
fn play(transcript: &mut Transcript, setup: &Setup) -> Result<String> {
    let tcp = free_address()?;
    transcript.section("Nova starts with one more line in nova.conf", |transcript| {
        start(transcript, setup, &tcp)
    })?;
    transcript.section("plain tools work as clients", |transcript| plain_tools(transcript, &tcp))?;
    transcript.section("the database is moved away", database_away)?;
    transcript.section("the database is moved back", database_back)?;
    transcript.section("a worker is frozen and thawed", frozen_worker)?;
    transcript.section("the process that serves the endpoint is killed", |transcript| {
        killed_holder(transcript, &tcp)
    })?;
    let agent = free_address()?;
    transcript
        .section("one agent answers for all services, a screen and a page show them", |transcript| {
            at_a_glance(transcript, &agent)
        })?;
    Ok(agent)
}

fn start(transcript: &mut Transcript, setup: &Setup, tcp: &str) -> Result<()> {
    let begin = Instant::now();
    let stage = &mut transcript.stage;
    let folder = stage.folder().display().to_string();
    stage.listen()?;
    println!("$ cd {folder}");
    println!("$ export HEALTHBOARD_RUNTIME_DIR=$PWD/run PATH={}:$PATH", setup.search_path()?.display());
    transcript.run("tail -n 2 nova.conf", &["[healthcheck]"])?;
    let uris = format!("{},tcp://{tcp}", transcript.stage.uri(CONDUCTOR));
    println!("$ HEALTHBOARD_URI={uris} healthboard-run {CONDUCTOR} --config-file nova.conf &");
    transcript.stage.start(CONDUCTOR, &[("HEALTHBOARD_URI", &uris)])?;
    println!("$ healthboard-run {SCHEDULER} --config-file nova.conf &");
    transcript.stage.start(SCHEDULER, &[])?;
    transcript.stage.ready()?;
    transcript.note(format!("both are OK after {}", duration(begin.elapsed())));
    Ok(())
}

fn plain_tools(transcript: &mut Transcript, tcp: &str) -> Result<()> {
    transcript.run(&format!("curl -s -w '%{{http_code}}\\n' http://{tcp}/health"), &["\"OK\"", "\n200"])?;
    transcript.run(ASK, &["OK", "200"])?;
    transcript.run(&format!("{REQUEST} | nc -U nova-scheduler.sock"), &["200 OK"])?;
    transcript.run(&format!("{REQUEST} | socat - UNIX-CONNECT:nova-scheduler.sock"), &["200 OK"])?;
    let (conductor, scheduler) = (transcript.stage.uri(CONDUCTOR), transcript.stage.uri(SCHEDULER));
    transcript.run(&format!("healthboard show {conductor} {scheduler}"), &["OK"])?;
    transcript.note("curl over TCP, curl over the unix socket, nc, socat: OK, 200");
    Ok(())
}

fn database_away(transcript: &mut Transcript) -> Result<()> {
    transcript.run_silent("mv db db.away")?;
    let begin = Instant::now();
    transcript.until(CONDUCTOR, "DEGRADED", begin, |answer| {
        answer.status() == "DEGRADED" && answer.code == 200 && answer.message().contains("database")
    })?;
    transcript.run(ASK, &["DEGRADED", "database", "200"])?;
    transcript.until(CONDUCTOR, "FAULT", begin, |answer| {
        answer.status() == "FAULT" && answer.code == 503 && answer.message().contains("database")
    })?;
    transcript.run(ASK, &["FAULT", "database", "503"])?;
    transcript.run("pgrep -a nova-conductor", &["master", "worker"])?;
    transcript.note("503, although pgrep finds all processes");
    Ok(())
}

fn database_back(transcript: &mut Transcript) -> Result<()> {
    transcript.run_silent("mv db.away db")?;
    transcript.until(CONDUCTOR, "OK", Instant::now(), is_ok)?;
    transcript.run(ASK, &["OK", "200"]).map(drop)
}

fn frozen_worker(transcript: &mut Transcript) -> Result<()> {
    let holder = holder(transcript)?;
    let workers = transcript.stage.daemon(CONDUCTOR)?.workers();
    let worker = workers.into_iter().find(|pid| *pid != holder).context("there is no standby")?.to_string();
    transcript.run_silent(&format!("kill -STOP {worker}"))?;
    transcript.until(CONDUCTOR, "DEGRADED", Instant::now(), |answer| {
        answer.status() == "DEGRADED" && answer.message().contains(&worker)
    })?;
    transcript.run(ASK, &["DEGRADED", &worker, "200"])?;
    transcript.run_silent(&format!("kill -CONT {worker}"))?;
    transcript.until(CONDUCTOR, "OK", Instant::now(), is_ok)?;
    transcript.run(ASK, &["OK", "200"]).map(drop)
}

fn killed_holder(transcript: &mut Transcript, tcp: &str) -> Result<()> {
    let killed = holder(transcript)?;
    let begin = Instant::now();
    transcript.run_silent(&format!("kill -9 {killed}"))?;
    let over_tcp = format!("tcp://{tcp}");
    transcript.until(CONDUCTOR, "both endpoints answered again", begin, |answer| {
        answer.serving().is_some_and(|pid| pid != killed) && ask(&over_tcp).is_ok()
    })?;
    transcript.run(ASK, &[&killed.to_string(), "200"])?;
    transcript
        .run(&format!("curl -s -o /dev/null -w '%{{http_code}}\\n' http://{tcp}/health"), &["200"])
        .map(drop)
}

fn at_a_glance(transcript: &mut Transcript, agent: &str) -> Result<()> {
    println!("$ healthboard agent --listen tcp://{agent} --boards run &");
    transcript.stage.start_agent("healthboard", &format!("tcp://{agent}"))?;
    let ready = format!("for i in $(seq 100); do curl -s http://{agent}/livez && break; sleep 0.1; done");
    transcript.stage.shell(&ready)?;
    transcript.run(&format!("curl -s http://{agent}/services"), &[CONDUCTOR, SCHEDULER, "DEGRADED"])?;
    println!("$ healthboard watch --boards run");
    let screen = format!(
        "tmux -L demo-$$ -f /dev/null new-session -d -x 100 -y 20 'healthboard watch --boards run'; \
         for i in $(seq 50); do tmux -L demo-$$ capture-pane -p > screen; grep -q {SCHEDULER} screen && break; sleep 0.1; done; \
         tmux -L demo-$$ kill-server; cat screen"
    );
    let screen = transcript.stage.shell(&screen)?.text;
    ensure!(screen.contains(CONDUCTOR) && screen.contains("DEGRADED"), "`healthboard watch` shows {screen}");
    println!("{}", screen.trim_end());
    let page = format!("curl -s -H 'Accept: text/html' http://{agent}/");
    let html = transcript.stage.shell(&page)?.text;
    ensure!(html.contains("<!DOCTYPE html>") && html.contains(CONDUCTOR), "the page of the agent is {html}");
    transcript.note(format!("the same as a page for a browser: http://{agent}/"));
    Ok(())
}

fn holder(transcript: &Transcript) -> Result<u32> {
    ask(&transcript.stage.uri(CONDUCTOR))?.serving().context("the report does not name the holder")
}

fn is_ok(answer: &Answer) -> bool {
    answer.status() == "OK" && answer.code == 200
}

/// A free port on loopback.
fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

fn leave_running(stage: &mut Stage, agent: &str) -> Result<()> {
    let masters = [CONDUCTOR, SCHEDULER, "healthboard-agent"]
        .map(|name| stage.daemon(name).map(|daemon| daemon.pid().to_string()));
    let masters = masters.into_iter().collect::<Result<Vec<_>>>()?.join(" ");
    let folder = stage.folder().display().to_string();
    stage.release()?;
    println!("\n{}", strong("Nova is still running."));
    println!("probe it:  cd {folder}; {ASK}");
    println!("look at it:  http://{agent}/, or cd {folder}; healthboard watch --boards run");
    println!("stop it:  kill {masters}; rm -r {folder}");
    Ok(())
}
