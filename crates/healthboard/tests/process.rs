//! Real processes: fork, death, signals, descriptors, lost boards. Each test starts this program again in a role, since
//! health starts once in a process.

#![allow(clippy::unwrap_used, reason = "what a test does not expect is a failure")]

use healthboard::{
    Directory, Indicator, Keeper, Life, Policy, Process, Settings, goodbye, now_ns, start, tick,
};
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A child of this program that plays a role: it says a line when it has done something, and waits for one to go on.
struct Player {
    child: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
    runtime: TempDir,
}

impl Player {
    fn start(role: &str) -> Player {
        let runtime = tempfile::tempdir().unwrap();
        Player::start_in(role, runtime)
    }

    fn start_in(role: &str, runtime: TempDir) -> Player {
        Player::of(command(role, runtime.path()), runtime)
    }

    fn of(mut command: Command, runtime: TempDir) -> Player {
        let mut child = command.spawn().unwrap();
        let says = BufReader::new(child.stdout.take().unwrap());
        let hears = child.stdin.take().unwrap();
        Player { child, says, hears, runtime }
    }

    /// The next line it says; the lines of the test harness are passed over.
    fn line(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert!(self.says.read_line(&mut line).unwrap() > 0, "the role ended early");
            if let Some(said) = line.trim_end().rsplit_once("| ") {
                return said.1.to_owned();
            }
        }
    }

    fn go_on(&mut self) {
        writeln!(self.hears).unwrap();
    }

    fn boards(&self) -> Directory {
        Directory::new(self.runtime.path().join("role"))
    }

    fn processes(&self) -> Vec<Process> {
        self.boards().read().unwrap()
    }

    fn board_path(&self) -> PathBuf {
        let mut files =
            std::fs::read_dir(self.runtime.path().join("role")).unwrap().flatten().map(|e| e.path());
        files.find(|path| path.extension().is_some_and(|e| e == "board")).unwrap()
    }

    fn state(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap()
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a child that we have not waited for yet, so the pid is its own.
        assert_eq!(unsafe { libc::kill(self.child.id().cast_signed(), signal) }, 0);
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(role: &str, runtime: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "role", "--nocapture", "--test-threads=1"]);
    command.env("ROLE", role).env("ROLE_RUNTIME", runtime).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begin.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// What a role is made of.
mod act {
    use super::*;

    pub(super) fn begin() -> Indicator {
        let mut settings = Settings::new("role");
        settings.set("runtime_dir", &std::env::var("ROLE_RUNTIME").unwrap()).unwrap();
        settings.set("uri", "unix:///nowhere.sock").unwrap();
        settings.set("error_detail", "message").unwrap();
        start(settings, keep);
        Indicator::register("database", Policy::DEFAULT)
    }

    fn keep(keeper: &'static Keeper) {
        while keeper.is_current() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    #[allow(clippy::print_stdout, reason = "how a role speaks")]
    pub(super) fn say(line: &str) {
        println!("\n| {line}");
    }

    pub(super) fn wait() {
        std::io::stdin().read_line(&mut String::new()).unwrap();
    }

    pub(super) fn descriptors() -> BTreeSet<String> {
        let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let targets = entries.filter_map(|e| Some((e.file_name(), std::fs::read_link(e.path()).ok()?)));
        targets.map(|(fd, to)| format!("{fd:?} {}", to.display())).filter(|l| !l.contains("/proc/")).collect()
    }

    /// A forked child that runs this and ends without any handler.
    pub(super) fn fork(raw: bool, child: impl FnOnce()) -> i32 {
        // SAFETY: the child only calls what the test is about, and leaves by _exit.
        let pid = unsafe {
            match raw {
                true => libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) as i32,
                false => libc::fork(),
            }
        };
        if pid == 0 {
            child();
            // SAFETY: ends the process.
            unsafe { libc::_exit(0) };
        }
        assert!(pid > 0);
        pid
    }

    pub(super) fn wait_for(pid: i32) -> i32 {
        let mut status = 0;
        // SAFETY: a child of ours.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        status
    }
}

#[test]
fn role() {
    let Ok(role) = std::env::var("ROLE") else { return };
    match role.as_str() {
        "records" => {
            act::begin().record_ok();
            act::say("recorded");
            act::wait();
        }
        "leaves" => {
            act::begin().record_ok();
            goodbye();
            act::say("left");
            act::wait();
        }
        "leaves-and-ticks" => {
            let database = act::begin();
            database.record_ok();
            goodbye();
            let notices = tick();
            database.record_ok();
            act::say(&format!("{notices:?}"));
            act::wait();
        }
        "looks" => {
            let mut boards = Directory::new(Path::new(&std::env::var("ROLE_RUNTIME").unwrap()).join("role"));
            let lives: Vec<_> = boards.read().unwrap().into_iter().map(|p| (p.pid, p.life)).collect();
            act::say(&format!("{lives:?} {:?}", boards.refused()));
        }
        "no-thread" => {
            let database = act::begin();
            database.record_ok();
            let child = act::fork(false, || {
                let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
                // SAFETY: plain system calls on this process's own limits and user; root would have no limit.
                unsafe {
                    libc::setrlimit(libc::RLIMIT_NPROC, &none);
                    libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534);
                }
                let begin = Instant::now();
                (0..10).for_each(|_| database.record_ok());
                act::say(&format!("{}", begin.elapsed().as_millis()));
            });
            assert_eq!(act::wait_for(child), 0);
        }
        "forks" => {
            let database = act::begin();
            database.record_ok();
            for raw in [false, true] {
                let child = act::fork(raw, || {
                    let operation = database.begin();
                    operation.fail("ChildError", "", "");
                    act::say(&format!("child {}", std::process::id()));
                    act::wait();
                });
                act::wait_for(child);
            }
        }
        "forks-often" => {
            let database = act::begin();
            let times = std::env::var("ROLE_TIMES").unwrap().parse().unwrap();
            for _ in 0..times {
                let child = act::fork(false, || {
                    database.record_ok();
                    goodbye();
                });
                let status = act::wait_for(child);
                assert_eq!(status, 0);
            }
            act::say("done");
        }
        "signals" => {
            static ELSEWHERE: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
            extern "C" fn handler(_: libc::c_int) {
                // SAFETY: both are async-signal-safe system calls.
                if unsafe { libc::gettid() != libc::getpid() } {
                    ELSEWHERE.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
            }
            // SAFETY: the handler does nothing but system calls and an atomic; the harness's threads block the signal.
            unsafe { libc::signal(libc::SIGTERM, handler as *const () as usize) };
            let database = act::begin();
            database.record_ok();
            let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
            let keeper = tasks
                .map(|task| std::fs::read_to_string(task.path().join("status")).unwrap())
                .find(|status| status.starts_with("Name:\thealthboard\n"))
                .unwrap();
            let blocked = keeper.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
            act::say(blocked);
        }
        "descriptors" => {
            let before = act::descriptors();
            act::begin().record_ok();
            assert_eq!(act::descriptors(), before);
            act::say("same");
        }
        "daemonizes" => {
            let database = act::begin();
            database.record_ok();
            // A daemon of the old school, while its first board is in use.
            let child = act::fork(false, || {
                let grandchild = act::fork(false, || {
                    // SAFETY: this process owns all its descriptors and uses none of them afterwards but the two of the test.
                    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) };
                    let foreign = std::env::var("ROLE_RUNTIME").unwrap() + "/foreign";
                    let file: Vec<_> = (0..20).map(|_| std::fs::File::create(&foreign).unwrap()).collect();
                    database.record_ok();
                    tick();
                    act::say(&format!("grandchild {}", std::process::id()));
                    act::wait();
                    drop(file);
                });
                act::wait_for(grandchild);
            });
            act::wait_for(child);
        }
        "loses" => {
            let database = act::begin();
            database.record_ok();
            act::say("recorded");
            act::wait();
            // Whatever has happened to the board: the service goes on.
            for _ in 0..1000 {
                database.record_ok();
                database.record_fail("Error", "", "text");
            }
            let notices: Vec<String> = tick().into_iter().map(|notice| notice.text).collect();
            database.record_ok();
            act::say(&format!("{notices:?}"));
            act::wait();
        }
        "no-room" => {
            // SAFETY: plain system calls on this process's own limits.
            unsafe {
                let small = libc::rlimit { rlim_cur: 16 << 10, rlim_max: libc::RLIM_INFINITY };
                libc::setrlimit(libc::RLIMIT_FSIZE, &small);
            }
            let database = act::begin();
            database.record_ok();
            database.record_fail("Error", "", "");
            act::say(&tick().iter().map(|n| n.text.as_str()).collect::<Vec<_>>().join("; "));
        }
        "exhausts" => {
            act::begin();
            for i in 0..100 {
                let indicator = Indicator::register(&format!("thing-{i}"), Policy::DEFAULT);
                indicator.record_ok();
                indicator.record_fail("Error", "", "");
                indicator.begin().ok();
            }
            act::say("survived");
            act::wait();
        }
        "fails" => {
            let database = act::begin();
            act::say("begins");
            for i in 0_u64.. {
                let text = if i.is_multiple_of(2) { "odd " } else { "even " };
                database.record_fail("Error", "", text.repeat(30).trim_end());
            }
        }
        "disabled" => {
            let indicator = Indicator::register("database", Policy::DEFAULT);
            indicator.record_ok();
            indicator.record_fail("Error", "", "");
            indicator.begin().ok();
            assert_eq!(tick(), []);
            let mut settings = Settings::new("role");
            settings.set("runtime_dir", &std::env::var("ROLE_RUNTIME").unwrap()).unwrap();
            assert!(!start(settings, |_| unreachable!()));
            act::say(&std::fs::read_dir("/proc/self/task").unwrap().count().to_string());
        }
        other => panic!("no role {other}"),
    }
}

#[test]
fn a_process_is_alive_until_it_is_killed_and_dead_at_once() {
    for signal in [libc::SIGKILL, libc::SIGSEGV] {
        let mut player = Player::start("records");
        player.line();
        let [process] = &player.processes()[..] else { panic!() };
        assert_eq!((process.pid, process.life), (player.child.id(), Life::Alive));
        until("its death", || {
            // Rust's own handler takes the first SIGSEGV for a stack overflow's, if it comes from outside.
            player.signal(signal);
            player.child.try_wait().unwrap()
        });
        assert_eq!(player.processes()[0].life, Life::Dead);
    }
}

#[test]
fn who_says_goodbye_leaves_no_board() {
    let mut player = Player::start("leaves");
    player.line();
    assert_eq!(player.processes(), []);
}

#[test]
fn after_goodbye_no_new_board_is_made() {
    let mut player = Player::start("leaves-and-ticks");
    assert_eq!(player.line(), "[]");
    assert_eq!(player.processes(), []);
}

/// A role in a pid namespace of its own, where this test's pids mean nothing, and its pids nothing here.
fn elsewhere(role: &str, runtime: &Path) -> Command {
    let role = command(role, runtime);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child"]).arg(role.get_program()).args(role.get_args());
    command.envs(role.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

#[test]
fn who_lives_is_known_across_pid_namespaces() {
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    let runtime = tempfile::tempdir().unwrap();
    let mut writer = Player::of(elsewhere("records", runtime.path()), runtime);
    writer.line();
    let lives = |player: &Player| -> Vec<_> { player.processes().iter().map(|p| (p.pid, p.life)).collect() };
    assert_eq!(lives(&writer), [(1, Life::Alive)]);
    writer.child.kill().unwrap();
    until("its death", || (lives(&writer) == [(1, Life::Dead)]).then_some(()));

    let mut writer = Player::start("records");
    writer.line();
    let seen = |writer: &Player| {
        Player::of(elsewhere("looks", writer.runtime.path()), tempfile::tempdir().unwrap()).line()
    };
    let pid = writer.child.id();
    assert_eq!(seen(&writer), format!("[({pid}, Alive)] []"));
    writer.child.kill().unwrap();
    writer.child.wait().unwrap();
    assert_eq!(seen(&writer), format!("[({pid}, Dead)] []"));
}

#[test]
fn where_no_thread_can_be_had_nobody_waits_for_it() {
    let waited: u64 = Player::start("no-thread").line().parse().unwrap();
    assert!(waited < 1000, "{waited} ms");
}

#[test]
fn a_forked_child_has_a_board_of_its_own_with_its_first_recording_however_it_was_forked() {
    let mut player = Player::start("forks");
    for _ in 0..2 {
        let line = player.line();
        let child: u32 = line.strip_prefix("child ").unwrap().parse().unwrap();
        let processes = player.processes();
        let of = |pid| processes.iter().find(|p| p.pid == pid && p.life == Life::Alive).unwrap();
        let database =
            |pid| of(pid).indicators.iter().find(|i| i.name == "database").unwrap().evidence.clone();
        assert_eq!((database(child).failures, database(child).in_flight), (1, 0));
        assert_eq!((database(player.child.id()).failures, database(player.child.id()).in_flight), (0, 0));
        player.go_on();
    }
}

#[test]
fn ten_thousand_children_record_at_once_and_none_hangs() {
    let runtime = tempfile::tempdir().unwrap();
    let mut child = command("forks-often", runtime.path()).env("ROLE_TIMES", "10000").spawn().unwrap();
    let status = until_ended(&mut child);
    assert!(status.success());
    assert_eq!(Directory::new(runtime.path().join("role")).read().unwrap().len(), 1);
}

fn until_ended(child: &mut Child) -> std::process::ExitStatus {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(begin.elapsed() < Duration::from_secs(300), "it hangs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn every_signal_that_can_be_blocked_is_blocked_in_the_keeper() {
    let blocked = u64::from_str_radix(&Player::start("signals").line(), 16).unwrap();
    let not_blockable =
        [libc::SIGKILL, libc::SIGSTOP, 32, 33].map(|signal| 1 << (signal - 1)).iter().sum::<u64>();
    assert_eq!(blocked | not_blockable, u64::MAX);
}

#[test]
fn the_host_has_no_descriptor_of_ours() {
    assert_eq!(Player::start("descriptors").line(), "same");
}

#[test]
fn a_daemon_that_closes_every_descriptor_writes_to_no_foreign_file_and_keeps_its_board() {
    let mut player = Player::start("daemonizes");
    let line = player.line();
    let grandchild: u32 = line.strip_prefix("grandchild ").unwrap().parse().unwrap();
    assert!(player.processes().iter().any(|p| p.pid == grandchild && p.life == Life::Alive));
    assert_eq!(std::fs::metadata(player.runtime.path().join("foreign")).unwrap().len(), 0);
    player.go_on();
}

#[test]
fn the_host_lives_when_its_board_is_cut_short_removed_or_replaced() {
    let cut = |path: &Path| OpenOptions::new().write(true).open(path).unwrap().set_len(0).unwrap();
    let replace = |path: &Path| {
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, vec![0; 33792]).unwrap();
    };
    let noise = |path: &Path| {
        OpenOptions::new().write(true).open(path).unwrap().write_all_at(&[0xff; 33792], 0).unwrap();
    };
    let remove = |path: &Path| std::fs::remove_file(path).unwrap();
    for (harm, noticed) in
        [(&cut as &dyn Fn(&Path), true), (&remove, true), (&replace, true), (&noise, false)]
    {
        let mut player = Player::start("loses");
        player.line();
        harm(&player.board_path());
        player.go_on();
        assert_eq!(player.line().contains("was removed or replaced; making a new one"), noticed);
        let alive = player.processes().iter().filter(|p| p.life == Life::Alive).count();
        assert_eq!(alive, usize::from(noticed), "the new board is found");
        player.go_on();
        assert!(player.child.wait().unwrap().success());
    }
}

#[test]
fn without_room_for_the_board_the_service_runs_and_its_log_says_why() {
    let mut player = Player::start("no-room");
    let line = player.line();
    assert!(
        line.contains("cannot allocate board") && line.contains("this process alone is served"),
        "{line}"
    );
    assert!(player.child.wait().unwrap().success());
    assert_eq!(player.processes(), []);
}

#[test]
fn indicators_without_room_are_counted_and_harm_nobody() {
    let mut player = Player::start("exhausts");
    let mut boards = player.boards();
    until("all slots", || {
        // While slots come into use, a reader sees the board with those that are whole.
        let processes = boards.read().unwrap();
        assert_eq!(boards.refused(), [""; 0]);
        processes.first().is_some_and(|p| p.indicators.len() == 32).then_some(())
    });
    player.line();
    let process = &player.processes()[0];
    assert_eq!(process.indicators.len(), 32);
    assert_eq!(process.exhausted, 100 - 30);
}

#[test]
fn sixty_four_processes_start_at_once() {
    let runtime = tempfile::tempdir().unwrap();
    let mut children: Vec<Child> =
        (0..64).map(|_| command("records", runtime.path()).spawn().unwrap()).collect();
    let mut boards = Directory::new(runtime.path().join("role"));
    until("64 boards", || (boards.read().ok()?.len() == 64).then_some(()));
    assert_eq!(boards.refused(), [""; 0]);
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn creators_killed_at_any_step_leave_nothing_that_stays() {
    let runtime = tempfile::tempdir().unwrap();
    let mut boards = Directory::new(runtime.path().join("role"));
    for i in 0..60 {
        let mut child = command("records", runtime.path()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(i * 150));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(boards.read().unwrap().iter().all(|p| p.life == Life::Dead));
        assert_eq!(boards.refused(), [""; 0], "no half-made board is ever seen");
    }
    boards.sweep(now_ns() + 301_000_000_000);
    let left = std::fs::read_dir(runtime.path().join("role")).map_or(0, Iterator::count);
    assert_eq!(left, 0);
}

#[test]
fn a_writer_stopped_or_killed_in_mid_write_leaves_a_whole_text() {
    let mut player = Player::start("fails");
    player.line();
    let mut boards = player.boards();
    let mut read = || {
        let process = boards.read().unwrap().remove(0);
        process.indicators.into_iter().find(|i| i.name == "database").unwrap().evidence
    };
    until("a failure", || (read().failures > 0).then_some(()));
    let whole = |text: &str| ["odd ", "even "].iter().any(|word| text == word.repeat(30).trim_end());
    for _ in 0..300 {
        player.signal(libc::SIGSTOP);
        until("its stop", || player.state().contains(") T ").then_some(()));
        let (first, again) = (read(), read());
        assert!(whole(&first.error.text), "{:?}", first.error);
        assert_eq!(first.error, again.error);
        player.signal(libc::SIGCONT);
    }
    // A hot writer does not keep a reader waiting: each read is one copy, torn or not.
    for _ in 0..10_000 {
        let error = read().error;
        assert!(error.is_empty() || whole(&error.text), "{error:?}");
    }
    player.signal(libc::SIGKILL);
    player.child.wait().unwrap();
    assert!(whole(&read().error.text));
}

#[test]
fn nothing_is_made_and_nothing_recorded_while_health_is_off() {
    let mut player = Player::start("disabled");
    // The test harness's own two threads.
    assert_eq!(player.line(), "2");
    assert_eq!(std::fs::read_dir(player.runtime.path()).unwrap().count(), 0);
}
