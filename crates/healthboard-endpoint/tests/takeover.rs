//! Several real processes of one service: one serves, and the endpoints answer whatever happens to it.

#![allow(clippy::unwrap_used, reason = "what a test does not expect is a failure")]

use healthboard::{Failure, Policy};
use healthboard_endpoint::Start;
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

/// A service with an endpoint of each kind, in its own directory.
struct Service {
    place: TempDir,
    port: u16,
    processes: Vec<Child>,
}

impl Service {
    fn new() -> Service {
        // A free port; no other test uses it.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Service { place: tempfile::tempdir().unwrap(), port, processes: Vec::new() }
    }

    fn socket(&self) -> PathBuf {
        self.place.path().join("health.sock")
    }

    fn uris(&self) -> String {
        format!("unix://{},tcp://127.0.0.1:{}", self.socket().display(), self.port)
    }

    fn command(&self, role: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "role", "--nocapture", "--test-threads=1"]);
        command.env("ROLE", role).env("ROLE_URI", self.uris()).env("ROLE_SERVICE", "service");
        command.env("ROLE_RUNTIME", self.place.path().join("run"));
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        command
    }

    fn start(&mut self, role: &str) -> u32 {
        let log = OpenOptions::new().create(true).append(true).open(self.place.path().join("log")).unwrap();
        let child = self.command(role).stdout(log).spawn().unwrap();
        let pid = child.id();
        self.processes.push(child);
        pid
    }

    /// The lines that all processes have logged.
    fn log(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.place.path().join("log")).unwrap();
        log.lines().filter_map(|line| line.strip_prefix("| ")).map(str::to_owned).collect()
    }

    /// The changes of the status that were logged, from and to which status.
    fn logged_changes(&self) -> Vec<(String, String)> {
        let change = |line: &String| {
            let (from, to) = line.rsplit_once(" [")?.1.strip_suffix(']')?.split_once(" to ")?;
            Some((from.to_owned(), to.to_owned()))
        };
        self.log().iter().filter_map(change).collect()
    }

    fn kill(&mut self, pid: u32) {
        let i = self.processes.iter().position(|child| child.id() == pid).unwrap();
        let mut child = self.processes.swap_remove(i);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The pid of the process that answers on the unix socket, if any.
    fn serving(&self) -> Option<u32> {
        serving(UnixStream::connect(self.socket()).ok()?)
    }

    fn serving_tcp(&self) -> Option<u32> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        serving(TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?)
    }

    fn until_served(&self) -> u32 {
        until("an answer", || self.serving())
    }

    /// Listening sockets of the port, as the kernel lists them.
    fn listeners(&self) -> usize {
        let ours = format!("0100007F:{:04X}", self.port);
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let listening = |line: &&str| line.split_whitespace().nth(1) == Some(&*ours) && line.contains(" 0A ");
        table.lines().filter(listening).count()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        for child in &mut self.processes {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

trait Bounded: Read + Write {
    fn bound(&self);
}

impl Bounded for UnixStream {
    fn bound(&self) {
        self.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    }
}

impl Bounded for TcpStream {
    fn bound(&self) {
        self.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    }
}

fn answer(mut stream: impl Bounded) -> Option<serde_json::Value> {
    stream.bound();
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

fn serving(stream: impl Bounded) -> Option<u32> {
    u32::try_from(answer(stream)?["processes"]["serving"].as_u64()?).ok()
}

fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The keeper's thread of a process.
fn keeper(pid: u32) -> Option<PathBuf> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten();
    tasks
        .map(|t| t.path())
        .find(|t| std::fs::read_to_string(t.join("comm")).is_ok_and(|c| c == "healthboard\n"))
}

/// How many sockets a process's keeper has.
fn sockets(pid: u32) -> usize {
    which_sockets(pid).len()
}

/// The keeper's sockets, by the kernel's names for them.
fn which_sockets(pid: u32) -> BTreeSet<PathBuf> {
    let fds = keeper(pid).and_then(|task| std::fs::read_dir(task.join("fd")).ok());
    let targets = fds.into_iter().flatten().flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
    targets.filter(|to| to.to_string_lossy().starts_with("socket:")).collect()
}

fn signal(pid: u32, signal: i32) {
    // SAFETY: a child that has not been waited for.
    assert_eq!(unsafe { libc::kill(pid.cast_signed(), signal) }, 0);
}

#[test]
fn role() {
    let Ok(role) = std::env::var("ROLE") else { return };
    let builder = healthboard::Service::builder(&std::env::var("ROLE_SERVICE").unwrap());
    let builder = builder.runtime_dir(std::env::var("ROLE_RUNTIME").unwrap());
    let builder = builder.option("uri", &std::env::var("ROLE_URI").unwrap());
    let builder = match &*role {
        "fails" => {
            // A death counts for one ttl.
            let builder = builder.option("failure_threshold", "1").option("failure_window", "0");
            // The path has no effect without a backend.
            builder.option("ttl", "5").option("disable_by_file_path", "/nowhere")
        }
        _ => builder,
    };
    let started = builder.start();
    let health = started.unwrap_or_else(|error| {
        println!("\n| {error}");
        error.handle()
    });
    let database = health.indicator("database", Policy::DEFAULT);
    database.record_ok();
    if role == "forks-raw" {
        // Only open sockets could be inherited.
        let uri = std::env::var("ROLE_URI").unwrap();
        let socket = uri.strip_prefix("unix://").unwrap().split(',').next().unwrap();
        until("its own answer", || serving(UnixStream::connect(socket).ok()?));
    }
    if role == "forks-again" {
        loop {
            // SAFETY: the child does what the test is about and ends; the parent waits for it.
            unsafe {
                let pid = libc::fork();
                if pid == 0 {
                    database.record_ok();
                    std::thread::sleep(Duration::from_millis(30));
                    healthboard::goodbye();
                    libc::_exit(0);
                }
                libc::waitpid(pid, std::ptr::null_mut(), 0);
            }
        }
    }
    if role == "forks" || role == "forks-raw" {
        // SAFETY: the child does what the test is about and never returns.
        let pid = unsafe {
            match role.as_str() {
                "forks" => libc::fork(),
                _ => libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as i32,
            }
        };
        if pid == 0 && role == "forks-raw" {
            // Never runs code of ours: it keeps everything it has inherited until it ends.
            let mut end = [0];
            // SAFETY: plain system calls.
            unsafe {
                libc::read(0, end.as_mut_ptr().cast(), 1);
                libc::_exit(0);
            }
        }
        database.record_ok();
    }
    std::thread::spawn(|| {
        let mut end = String::new();
        std::io::stdin().read_line(&mut end).unwrap();
        std::process::exit(0);
    });
    loop {
        for notice in healthboard::tick() {
            let change = notice.transition.map(|t| format!(" [{} to {}]", t.from.name(), t.to.name()));
            println!("\n| {}{}", notice.text, change.unwrap_or_default());
        }
        if role == "fails" {
            let runtime_dir = PathBuf::from(std::env::var("ROLE_RUNTIME").unwrap());
            match runtime_dir.with_file_name("recovered").exists() {
                true => database.record_ok(),
                false => database.record_fail(&Failure { class: "Broken".to_owned(), ..Failure::default() }),
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_killed_holder_is_followed_by_another_a_thousand_times_with_one_listener_each() {
    let mut service = Service::new();
    for _ in 0..3 {
        service.start("serves");
    }
    let mut holder = service.until_served();
    let mut took = Vec::new();
    for _ in 0..1000 {
        let killed = Instant::now();
        service.kill(holder);
        let next = until("the next holder", || service.serving().filter(|pid| *pid != holder));
        took.push(killed.elapsed());
        assert_eq!(service.listeners(), 1);
        service.start("serves");
        // Boards of dead processes are swept one ttl later, which this test does not wait for.
        let boards = std::fs::read_dir(service.place.path().join("run/service")).unwrap().flatten();
        for board in boards.filter(|e| e.file_name().to_string_lossy().starts_with(&format!("{holder}-"))) {
            std::fs::remove_file(board.path()).unwrap();
        }
        holder = next;
    }
    assert_eq!(service.serving_tcp(), Some(holder));
    took.sort();
    println!("takeover after kill -9: median {:?}, p99 {:?}, longest {:?}", took[500], took[990], took[999]);
}

#[test]
fn the_next_holder_knows_since_when_the_service_has_its_status() {
    let mut service = Service::new();
    let all = [(); 3].map(|()| service.start("serves"));
    let since = |service: &Service, holder: u32| {
        let answer = answer(UnixStream::connect(service.socket()).ok()?)?;
        (answer["processes"]["serving"] != holder && answer["status"] == "DEGRADED")
            .then(|| answer["since"].as_str().map(str::to_owned))?
    };
    let holder = service.until_served();
    service.kill(*all.iter().find(|pid| **pid != holder).unwrap());
    let before = until("since when", || since(&service, 0));
    let now = SystemTime::now();
    until("another second", || (now.elapsed().ok()? > Duration::from_secs(1)).then_some(()));
    service.kill(holder);
    assert_eq!(until("the next holder", || since(&service, holder)), before);
}

/// The history beside the boards.
fn history(service: &Service) -> Option<serde_json::Value> {
    let history = std::fs::read(service.place.path().join("run/service/history.json")).ok()?;
    serde_json::from_slice(&history).ok()
}

fn all_logged(service: &Service) -> Option<()> {
    let history = history(service)?;
    (history["logged"] == history["count"]).then_some(())
}

#[test]
fn each_change_is_logged_once_whoever_serves() {
    let mut service = Service::new();
    service.start("fails");
    service.start("fails");
    let status = |service: &Service| {
        let answer = answer(UnixStream::connect(service.socket()).ok()?)?;
        Some((answer["processes"]["serving"].as_u64()?, answer["status"].as_str()?.to_owned()))
    };
    let last_is = |service: &Service, status| {
        service.logged_changes().last().is_some_and(|(_, to)| to == status).then_some(())
    };
    until("the fault in the log", || last_is(&service, "FAULT"));
    until("both", || service.processes.iter().all(|child| sockets(child.id()) >= 3).then_some(()));
    until("that the history knows what is logged", || all_logged(&service));
    let problems = |service: &Service| {
        let problem = |line: &&String| line.contains("`disable_by_file_path` has no effect");
        service.log().iter().filter(problem).count()
    };
    assert_eq!(problems(&service), 2, "each process has started the service");
    let holder = service.until_served();
    service.kill(holder);
    until("the next holder", || {
        status(&service).filter(|(pid, status)| *pid != u64::from(holder) && status == "FAULT")
    });
    let recovered = service.place.path().join("recovered");
    std::fs::write(&recovered, "").unwrap();
    until("the recovery in the log", || last_is(&service, "OK"));
    std::fs::remove_file(&recovered).unwrap();
    until("another fault in the log", || last_is(&service, "FAULT"));
    until("that the history knows what is logged", || all_logged(&service));
    assert_eq!(problems(&service), 2, "not again by the next holder");
    // The next life of the service begins with what the history of this one ends with.
    let holder = service.until_served();
    service.kill(holder);
    std::fs::write(&recovered, "").unwrap();
    service.start("fails");
    until("the recovery after a new start in the log", || last_is(&service, "OK"));

    let logged = service.logged_changes();
    let ends: Vec<&str> = logged.iter().map(|(_, to)| &**to).collect();
    let begins: Vec<&str> = logged.iter().map(|(from, _)| &**from).collect();
    assert_eq!(begins, [&["OK"], &ends[..ends.len() - 1]].concat(), "{:?}", service.log());
    let history = history(&service).unwrap();
    let kept = history["service"].as_array().unwrap();
    assert_eq!(kept.iter().map(|change| change["status"].as_str().unwrap()).collect::<Vec<_>>(), ends);
}

#[test]
fn a_raw_clone_of_a_killed_holder_keeps_none_of_its_sockets() {
    let mut service = Service::new();
    let holder = service.start("forks-raw");
    // Its child lives until its input is closed.
    let _child = service.processes[0].stdin.take().unwrap();
    until("the child", || has_child(holder).then_some(()));
    service.kill(holder);
    until("no listening socket", || (service.listeners() == 0).then_some(()));
    let next = service.start("serves");
    assert_eq!(until("the next holder", || service.serving_tcp()), next);
}

fn has_child(pid: u32) -> bool {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    tasks.map(|task| task.path().join("children")).any(|c| std::fs::read(c).is_ok_and(|c| !c.is_empty()))
}

#[test]
fn a_master_yields_to_its_worker_and_serves_again_when_that_dies() {
    let mut service = Service::new();
    let master = service.start("forks");
    let worker = until("a worker", || service.serving().filter(|pid| *pid != master));
    signal(worker, libc::SIGKILL);
    assert_eq!(until("the master", || service.serving().filter(|pid| *pid != worker)), master);
}

#[test]
fn children_that_end_soon_do_not_take_over() {
    let mut service = Service::new();
    let master = service.start("forks-again");
    service.until_served();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(5) {
        assert_eq!(service.serving(), Some(master));
        assert_eq!(service.serving_tcp(), Some(master));
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_holder_stays_the_holder_without_its_lock_file() {
    let mut service = Service::new();
    let holder = service.start("serves");
    assert_eq!(service.until_served(), holder);
    let lock = service.place.path().join("run/service/endpoint.lock");
    std::fs::remove_file(&lock).unwrap();
    let other = service.start("serves");
    // It has got the sockets of the endpoints, and keeps a connection to the holder.
    until("the other process", || (sockets(other) >= 3).then_some(()));
    until("the lock file", || lock.exists().then_some(()));
    assert_eq!(service.serving(), Some(holder));
    service.kill(holder);
    assert_eq!(until("the other one", || service.serving().filter(|pid| *pid != holder)), other);
}

#[test]
fn a_frozen_holder_is_replaced_and_stops_serving_when_it_runs_again() {
    let mut service = Service::new();
    service.start("serves");
    service.start("serves");
    let frozen = service.until_served();
    // A frozen holder cannot send its sockets: the other process must have them already, and its connection to the
    // holder.
    until("both", || service.processes.iter().all(|child| sockets(child.id()) >= 3).then_some(()));
    signal(frozen, libc::SIGSTOP);
    let next = until("the other one", || service.serving().filter(|pid| *pid != frozen));
    assert_eq!(until("over TCP", || service.serving_tcp()), next);
    assert_eq!(service.listeners(), 1);
    signal(frozen, libc::SIGCONT);
    // Both may answer for a moment; then the old holder has noticed.
    until("one holder", || (0..30).all(|_| service.serving() == Some(next)).then_some(()));
    service.kill(next);
    assert_eq!(until("the old holder", || service.serving().filter(|pid| *pid != next)), frozen);
}

#[test]
fn a_standby_costs_almost_nothing() {
    let mut service = Service::new();
    let holder = service.start("serves");
    assert_eq!(service.until_served(), holder);
    let other = service.start("serves");
    let task = until("its keeper", || keeper(other));
    let status = |key: &str| -> u64 {
        let status = std::fs::read_to_string(task.join("status")).unwrap();
        status.lines().find_map(|l| l.strip_prefix(key)).unwrap().trim().parse().unwrap()
    };
    let cpu_ns = || -> u64 {
        std::fs::read_to_string(task.join("schedstat")).unwrap().split(' ').next().unwrap().parse().unwrap()
    };
    let checks = || status("voluntary_ctxt_switches:");
    // It is a standby after its first check.
    let begin = checks();
    until("a check", || (checks() > begin).then_some(()));
    let (before, checked) = (cpu_ns(), checks());
    until("three more", || (checks() >= checked + 3).then_some(()));
    let each = (cpu_ns() - before) / (checks() - checked);
    assert!(each < 1_000_000, "{each} ns of CPU a second");
}

#[test]
fn a_removed_socket_is_made_again() {
    let mut service = Service::new();
    let holder = service.start("serves");
    service.until_served();
    std::fs::remove_file(service.socket()).unwrap();
    assert_eq!(until("the socket", || service.serving()), holder);
}

#[test]
fn a_socket_that_was_made_again_is_sent_to_the_standbys() {
    let mut service = Service::new();
    let holder = service.start("serves");
    assert_eq!(service.until_served(), holder);
    let other = service.start("serves");
    until("the sockets", || (sockets(other) >= 3).then_some(()));
    let before = which_sockets(other);
    std::fs::remove_file(service.socket()).unwrap();
    // The new socket, and a new connection to the holder.
    until("the new socket", || (which_sockets(other).difference(&before).count() == 2).then_some(()));
    assert_eq!(until("the socket", || service.serving()), holder);
    // A frozen holder keeps its socket, and no other process could listen at its path.
    signal(holder, libc::SIGSTOP);
    // It may have answered once more before the signal reached it.
    assert_eq!(until("the other one", || service.serving().filter(|pid| *pid != holder)), other);
}

#[test]
fn a_new_process_becomes_a_standby_even_if_the_holders_socket_was_removed() {
    let mut service = Service::new();
    let holder = service.start("serves");
    assert_eq!(service.until_served(), holder);
    std::fs::remove_file(service.place.path().join("run/service/endpoint.sock")).unwrap();
    let other = service.start("serves");
    // The two sockets of the endpoints and the connection to the holder.
    until("the sockets", || (sockets(other) >= 3).then_some(()));
    assert_eq!(service.serving(), Some(holder));
}

#[test]
fn a_client_of_the_holders_socket_that_sends_data_is_closed() {
    let mut service = Service::new();
    let holder = service.start("serves");
    assert_eq!(service.until_served(), holder);
    let standby_socket = service.place.path().join("run/service/endpoint.sock");
    until("the socket for standbys", || standby_socket.exists().then_some(()));
    let before = sockets(holder);
    let mut client = UnixStream::connect(&standby_socket).unwrap();
    client.write_all(&[0; 1000]).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    // The handover, then the end, or an error since not all data was read.
    let end = client.read_to_end(&mut Vec::new());
    assert!(end.map_or_else(|e| e.kind() == std::io::ErrorKind::ConnectionReset, |_| true));
    until("its end", || (sockets(holder) <= before).then_some(()));
}

/// The lines that a process logs.
fn said(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines.filter_map(|line| line.strip_prefix("| ").map(str::to_owned))
}

#[test]
fn a_process_whose_endpoint_the_holder_does_not_serve_says_so() {
    let mut service = Service::new();
    service.start("serves");
    service.until_served();
    let mut other = service
        .command("serves")
        .env("ROLE_URI", "unix:///nowhere/else.sock")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = said(&mut other).next().unwrap();
    service.processes.push(other);
    assert!(
        line.starts_with("unix:///nowhere/else.sock is not listened on: the process that serves `service`"),
        "{line}"
    );
}

#[test]
fn two_services_with_the_same_endpoints_do_not_take_them_from_each_other() {
    let mut service = Service::new();
    let first = service.start("serves");
    assert_eq!(service.until_served(), first);
    let mut second =
        service.command("serves").env("ROLE_SERVICE", "other").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = said(&mut second);
    let both = lines.next().unwrap();
    service.processes.push(second);
    assert!(both.contains(&format!("process {first} (")) && both.contains("health.sock"), "{both}");
    assert!(both.contains("is in use"), "{both}");
    assert_eq!((service.serving(), service.serving_tcp()), (Some(first), Some(first)));
    // When the first one ends, the second one listens.
    let second = service.processes.last().unwrap().id();
    service.kill(first);
    assert_eq!(until("the second", || service.serving_tcp()), second);
    assert!(lines.any(|line| line.contains("listening on") && line.contains("now")));
}

#[test]
fn a_holder_killed_while_its_queue_is_full_is_followed_by_another() {
    let mut service = Service::new();
    let holder = service.start("serves");
    assert_eq!(service.until_served(), holder);
    let other = service.start("serves");
    until("the sockets", || (sockets(other) >= 3).then_some(()));
    signal(holder, libc::SIGSTOP);
    // Both are stopped, so that the queue stays full until the holder is dead.
    signal(other, libc::SIGSTOP);
    // The queue is longer than the usual limit of descriptors.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
    let address = rustix::net::SocketAddrUnix::new(service.socket()).unwrap();
    let queue: Vec<_> = std::iter::repeat_with(|| {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let client = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        connect(&client, &address).map(|()| client)
    })
    .map_while(Result::ok)
    .collect();
    assert!(!queue.is_empty());
    service.kill(holder);
    signal(other, libc::SIGCONT);
    assert_eq!(until("the other one", || service.serving()), other);
}

#[test]
fn without_lock_file_and_socket_there_is_still_one_listener_and_an_answer() {
    let mut service = Service::new();
    let holder = service.start("serves");
    assert_eq!(service.until_served(), holder);
    std::fs::remove_file(service.place.path().join("run/service/endpoint.lock")).unwrap();
    std::fs::remove_file(service.place.path().join("run/service/endpoint.sock")).unwrap();
    let other = service.start("serves");
    // Either process may serve: the other one has its sockets in the end.
    until("both to have the sockets", || {
        assert!(service.listeners() <= 1, "two listeners");
        let both = sockets(holder) >= 3 && sockets(other) >= 3;
        (both && service.serving().is_some() && service.serving_tcp().is_some()).then_some(())
    });
    let serving = service.until_served();
    assert!([holder, other].contains(&serving));
    service.kill(serving);
    until("the other one", || service.serving().filter(|pid| *pid != serving));
}
