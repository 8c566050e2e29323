//! What a probe costs whoever is asked.

use crate::cores::Cores;
use crate::load::Target;
use crate::measure::{Rounds, Spread, Subject, interleave_times};
use crate::process::{Running, boards, service, until};
use crate::table::{Part, Unit};
use crate::{output, place, python};
use anyhow::{Context, Result};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const ROUNDS: usize = 15;
const PROBES: u32 = 1000;
const PROCESSES: usize = 3;

pub fn run() -> Result<Part> {
    let mut part = Part::new(
        "A probe",
        "CPU time of the process that answers (`schedstat` of all its threads, user and system), for each of 1000 probes in \
         turn, one after the other: the median of 15 turns, in parentheses the quartiles; compared with nginx, turn by turn. \
         All are on one core, so that no answer has to wake another. \
         Our endpoint reads three boards of eight indicators each, once in each tick of the coarse clock (4 ms here), and \
         answers in JSON; nginx is one process that returns a constant of the same length, without a log. What is compared below those is with \
         nginx over new TCP connections.",
    );
    // Otherwise the answer now and then wakes another core, which in a virtual machine costs whoever answers more than the
    // answer, at the whim of the scheduler.
    let _one_core = Cores::last()?;
    let place = place()?;
    let at = |name: &str| place.path().join(name);
    let (tcp, nginx_tcp) = (free()?, free()?);
    let ours = service(place.path(), Some(&format!("tcp://{tcp},unix://{}", at("ours.sock").display())))?;
    until("the endpoint answers", || Target::Tcp(tcp).probe(1, true).is_ok())?;
    let _others: Vec<Running> = (1..PROCESSES).map(|_| service(place.path(), None)).collect::<Result<_>>()?;
    until("all boards are there", || boards(place.path()) == PROCESSES)?;
    let nginx = nginx(place.path(), nginx_tcp, Target::Tcp(tcp).probe(1, true)?)?;
    until("nginx answers", || Target::Tcp(nginx_tcp).probe(1, true).is_ok())?;

    let ways = [
        ("TCP, keep-alive", true, true, 1.0),
        ("TCP, a new connection each", true, false, 1.0),
        ("unix, keep-alive", false, true, 1.0),
        ("unix, a new connection each", false, false, 1.2),
    ];
    let mut nginx_ns = f64::NAN;
    for (way, is_tcp, keep, limit) in ways {
        let target = |tcp, unix| if is_tcp { Target::Tcp(tcp) } else { Target::Unix(at(unix)) };
        let rounds =
            compare((&ours, target(tcp, "ours.sock")), (&nginx, target(nginx_tcp, "nginx.sock")), keep);
        if is_tcp && !keep {
            nginx_ns = rounds.time("nginx").median;
        }
        for name in ["healthboard", "nginx"] {
            let ratio = rounds.ratio(name, "nginx").median;
            let time = rounds.time(name).map(|ns| ns / 1e3);
            part.row(format!("{way}, {name}"), time, Unit::Microseconds, format!("{ratio:.2}"));
        }
        part.goal(
            format!("probe over {way} / nginx"),
            limit,
            Unit::Times,
            rounds.ratio("healthboard", "nginx"),
        );
    }
    others(&mut part, place.path(), nginx_ns)?;
    let unix = Target::Unix(at("ours.sock"));
    let http = free()?;
    let http_server =
        Running::start(python().args(["anchors.py", "http.server"]).arg(http.port().to_string()))?;
    until("Python's http.server answers", || Target::Tcp(http).probe(1, false).is_ok())?;
    let servers = [
        ("healthboard", &ours, unix),
        ("nginx", &nginx, Target::Unix(at("nginx.sock"))),
        ("Python's http.server, TCP", &http_server, Target::Tcp(http)),
    ];
    let pace = |pause| {
        let mut subjects: Vec<Subject<'_>> = Vec::new();
        for (name, server, target) in servers.clone() {
            subjects.push((name, Box::new(move |times| paced(server, &target, times, pause))));
        }
        interleave_times(ROUNDS, 100, subjects)
    };
    let whole = pace(Duration::from_millis(12)).time("healthboard").map(|ns| ns / 1e3);
    part.row("unix, a probe now and then, each with a report of its own", whole, Unit::Microseconds, "");
    let busy = pace(Duration::from_millis(1));
    let percent = |name: &str| busy.time(name).map(|ns| ns / 1e6 * 100.0);
    for (name, ..) in &servers {
        let what = format!("1000 probes in a second, unix, each its own connection, {name}");
        part.row(what, percent(name), Unit::Percent, "of one core");
    }
    let percent = percent("healthboard");
    part.goal("1000 probes in a second, of one core", 2.0, Unit::Percent, percent);
    Ok(part)
}

/// What other ways to ask a service cost.
fn others(part: &mut Part, place: &Path, nginx_ns: f64) -> Result<()> {
    let mut row = |what: &str, spread: Spread| {
        let ratio = format!("{:.0}", spread.median / nginx_ns);
        part.row(what, spread.map(|ns| ns / 1e3), Unit::Microseconds, ratio);
    };
    let address = free()?;
    let target = Target::Tcp(address);
    let mut uwsgi = Command::new(Path::new(python().get_program()).with_file_name("uwsgi"));
    uwsgi.current_dir(env!("CARGO_MANIFEST_DIR")).args(["--need-app", "--disable-logging"]);
    uwsgi.args(["--die-on-term", "--wsgi-file", "anchors.py", "--http-socket", &address.to_string()]);
    let uwsgi = Running::start(uwsgi.arg("--logto").arg(place.join("uwsgi.log")))?;
    until("uWSGI answers", || target.probe(1, false).is_ok())?;
    let subjects: Vec<Subject<'_>> = vec![
        ("default", Box::new(|times| spent(&uwsgi, || target.probe(times, false)))),
        ("JSON", Box::new(|times| spent(&uwsgi, || target.probe_for_json(times)))),
    ];
    let rounds = interleave_times(5, 100, subjects);
    row("TCP, a new connection each, oslo.middleware under uWSGI", rounds.time("default"));
    row("TCP, a new connection each, oslo.middleware under uWSGI, JSON", rounds.time("JSON"));
    let fresh: Subject<'_> = (
        "fresh",
        Box::new(|times| {
            let before = cpu_of_children();
            for _ in 0..times {
                let urlopen = format!("import urllib.request as u; u.urlopen('http://{address}/').read()");
                output(python().args(["-c", &urlopen])).expect("an answer");
            }
            cpu_of_children() - before
        }),
    );
    row("a fresh Python process for each probe", interleave_times(5, 2, vec![fresh]).time("fresh"));
    Ok(())
}

/// CPU time of all processes that this one has started and seen the end of.
fn cpu_of_children() -> Duration {
    // SAFETY: plain memory for which zeroes are valid, and a valid address to write to.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}

fn compare(ours: (&Running, Target), nginx: (&Running, Target), keep: bool) -> Rounds {
    let subjects =
        [("healthboard", ours), ("nginx", nginx)].map(|(name, (process, target))| -> Subject<'_> {
            (name, Box::new(move |times| spent(process, || target.probe(times, keep))))
        });
    interleave_times(ROUNDS, PROBES, subjects.into())
}

/// CPU time that a process spends meanwhile.
pub fn spent(process: &Running, work: impl FnOnce() -> Result<usize>) -> Duration {
    let before = process.cpu().expect("the process runs");
    work().expect("an answer");
    process.cpu().expect("the process runs") - before
}

/// A probe, a pause, and so on.
pub fn paced(process: &Running, target: &Target, times: u32, pause: Duration) -> Duration {
    let start = Instant::now();
    spent(process, || {
        for time in 0..times {
            let due = start + pause * time;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            target.probe(1, false)?;
        }
        Ok(0)
    })
}

/// nginx, which answers with a constant of this length.
pub fn nginx(place: &Path, tcp: std::net::SocketAddr, length: usize) -> Result<Running> {
    let place = place.display();
    let constant = "x".repeat(length);
    let config = format!(
        "daemon off; master_process off; pid {place}/nginx.pid; error_log stderr;\n\
         worker_rlimit_nofile 20000;\n\
         events {{ worker_connections 16384; }}\n\
         http {{\n\
             access_log off; keepalive_requests 1000000000;\n\
             client_body_temp_path {place}/b; proxy_temp_path {place}/p; fastcgi_temp_path {place}/f;\n\
             uwsgi_temp_path {place}/u; scgi_temp_path {place}/s;\n\
             server {{ listen {tcp}; listen unix:{place}/nginx.sock; location / {{ return 200 '{constant}'; }} }}\n\
         }}\n"
    );
    let path = format!("{place}/nginx.conf");
    fs::write(&path, config).context("cannot write nginx.conf")?;
    Running::start(Command::new("nginx").args(["-e", "stderr", "-c", &path]))
}

/// An address that nobody listens on.
pub fn free() -> Result<std::net::SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
