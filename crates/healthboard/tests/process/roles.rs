//! The roles of children.

use crate::act;
use healthboard::{Directory, Failure, Indicator, Keeper, LazyIndicator, Policy, Service, goodbye, tick};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

static FIRST: LazyIndicator = LazyIndicator::new("first", Policy::DEFAULT);
static SECOND: LazyIndicator = LazyIndicator::new("second", Policy::DEFAULT);

const SOON: Policy = Policy { refresh_interval: Duration::from_secs(4), ..Policy::DEFAULT };

pub(crate) fn play(role: &str) {
    match role {
        "records" => {
            act::begin().record_ok();
            act::say("recorded");
            act::wait();
        }
        "statics" => {
            // Not started: it takes its place on the board, and records nothing.
            FIRST.record_fail(&Failure::new("Early"));
            act::start().unwrap();
            for _ in 0..2 {
                FIRST.record_ok();
                SECOND.record_fail(&Failure::new("Error"));
            }
            tick();
            act::say("recorded");
            act::wait();
        }
        "due" | "works" => {
            let shared = act::start().unwrap().indicator("shared", SOON);
            shared.record_ok();
            act::say("recorded");
            loop {
                if role == "works" {
                    std::thread::sleep(Duration::from_millis(50));
                    shared.record_ok();
                } else {
                    act::wait();
                    act::say(&shared.refresh_due().unwrap().as_nanos().to_string());
                }
            }
        }
        "starts" => {
            let started = act::start();
            act::say(&started.map_or_else(|error| error.to_string(), |_| "started".to_owned()));
            let notices: Vec<String> = tick().into_iter().map(|notice| notice.text).collect();
            act::say(&notices.join("; "));
            act::wait();
        }
        "finds" => {
            let started = Service::builder("role").uri("unix:///nowhere.sock".parse().unwrap());
            let health = started.start_with(act::keep).unwrap();
            let place = std::fs::read_dir("/proc/self/task").unwrap().flatten().find_map(|task| {
                let fds = std::fs::read_dir(task.path().join("fd")).ok()?.flatten();
                let mut targets = fds.filter_map(|fd| std::fs::read_link(fd.path()).ok());
                targets.find(|target| target.ends_with("role"))
            });
            act::say(&place.unwrap().display().to_string());
            act::say(&act::notices());
            health.goodbye();
        }
        "escapes" => {
            let names = ["../../escape", "..", "", "a/a b"];
            let names = names.map(|name| healthboard::Settings::new(name).service().to_owned());
            act::say(&names.join(" "));
            let started = Service::builder("..").runtime_dir(std::env::var("ROLE_RUNTIME").unwrap());
            started.uri("unix:///nowhere.sock".parse().unwrap()).start_with(act::keep).unwrap();
            act::say(&act::notices());
        }
        "leaves" => {
            let database = act::begin();
            database.record_ok();
            goodbye();
            act::say("left");
            act::wait();
            database.record_ok();
            tick();
            act::say("went on");
            act::wait();
        }
        "looks" => {
            let mut boards = Directory::new(Path::new(&std::env::var("ROLE_RUNTIME").unwrap()).join("role"));
            let lives: Vec<_> = boards.read().unwrap().into_iter().map(|p| (p.pid, p.life)).collect();
            act::say(&format!("{lives:?} {:?}", boards.refused()));
        }
        "no-thread" => no_thread(),
        "no-table" => no_table(),
        "forks" => {
            let database = act::begin();
            database.record_ok();
            for raw in [false, true] {
                let child = act::fork(raw, || {
                    database.begin().fail(&Failure::new("ChildError"));
                    act::say(&format!("child {}", std::process::id()));
                    act::wait();
                });
                act::wait_for(child);
            }
        }
        "forks-in-flight" => {
            let database = act::begin();
            let mut operation = Some(database.begin());
            let child = act::fork(false, || {
                drop(operation.take());
                act::say("dropped");
                act::wait();
                (0..10).for_each(|_| database.record_fail(&Failure::new("ChildError")));
                act::say(&format!("child {}", std::process::id()));
                act::wait();
            });
            act::wait_for(child);
        }
        "forks-often" => {
            let database = act::begin();
            let times = std::env::var("ROLE_TIMES").unwrap().parse().unwrap();
            for _ in 0..times {
                let child = act::fork(false, || {
                    database.record_ok();
                    goodbye();
                });
                assert_eq!(act::wait_for(child), 0);
            }
            act::say("done");
        }
        "signals" => signals(),
        "descriptors" => {
            let before = act::descriptors();
            act::begin().record_ok();
            assert_eq!(act::descriptors(), before);
            act::say("same");
        }
        "daemonizes" => daemonizes(),
        "loses" => {
            let database = act::begin();
            let hanging = database.begin();
            database.record_fail(&Failure::new("Error"));
            act::say("recorded");
            act::wait();
            // Whatever has happened to the board, the service continues.
            let notices = act::notices();
            for _ in 0..1000 {
                database.record_fail(&Failure::new("Error").text("text"));
            }
            act::say(&notices);
            act::wait();
            hanging.ok();
            act::say("done");
            act::wait();
        }
        "is-cut-all-the-time" => {
            let database = act::begin();
            act::say("begins");
            let begin = Instant::now();
            while begin.elapsed() < Duration::from_secs(3) {
                database.begin().ok();
                database.record_fail(&Failure::new("Error").text("text"));
                tick();
            }
            act::say("lives");
            act::wait();
        }
        "no-room" => {
            // SAFETY: plain system calls on this process's own limits.
            unsafe {
                let small = libc::rlimit { rlim_cur: 16 << 10, rlim_max: libc::RLIM_INFINITY };
                libc::setrlimit(libc::RLIMIT_FSIZE, &small);
            }
            let error = act::start().expect_err("a board has room");
            let database = error.handle().indicator("database", healthboard::Policy::DEFAULT);
            database.record_ok();
            database.record_fail(&Failure::new("Error"));
            act::say(&error.to_string());
        }
        "no-room-later" => {
            act::begin().record_ok();
            // SAFETY: plain system calls on this process's own limits.
            unsafe {
                let small = libc::rlimit { rlim_cur: 16 << 10, rlim_max: libc::RLIM_INFINITY };
                libc::setrlimit(libc::RLIMIT_FSIZE, &small);
            }
            act::say("no room");
            act::wait();
            act::say(&act::notices_of_a_second());
        }
        "changes-user" => {
            act::begin().record_ok();
            // SAFETY: plain system calls on this process's own user and groups, in all its threads.
            unsafe {
                assert_eq!(libc::setgroups(0, std::ptr::null()), 0);
                assert_eq!(libc::setresgid(65534, 65534, 65534), 0);
                assert_eq!(libc::setresuid(65534, 65534, 65534), 0);
            }
            act::say(&act::notices_of_a_second());
        }
        "no-descriptors" => {
            let health = act::start().unwrap();
            health.indicator("database", Policy::DEFAULT).record_fail(&Failure::new("Gone"));
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: a plain system call on this process's own limits.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &none) }, 0);
            act::say(&health.report().message);
        }
        "exhausts" => {
            act::begin();
            for i in 0..100 {
                let indicator = Indicator::register(&format!("thing-{i}"), Policy::DEFAULT);
                indicator.record_ok();
                indicator.record_fail(&Failure::new("Error"));
                indicator.begin().ok();
            }
            act::say(&act::notices());
            act::wait();
        }
        "names" => {
            Indicator::register("before start", Policy::DEFAULT);
            act::begin();
            let hex = ["0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210"];
            for name in [
                "",
                "two words",
                "a\u{7}b",
                &"x".repeat(100),
                hex[0],
                hex[1],
                "Http2ConnectionTerminatedError",
            ] {
                Indicator::register(name, Policy::DEFAULT)
                    .record_fail(&Failure::new("Http2ConnectionTerminatedError").code(hex[0]));
            }
            act::say(&act::notices());
            act::wait();
        }
        "fails" => {
            let database = act::begin();
            act::say("begins");
            for i in 0_u64.. {
                let text = if i.is_multiple_of(2) { "odd " } else { "even " };
                database.record_fail(&Failure::new("Error").text(text.repeat(30).trim_end()));
            }
        }
        "ends-in-a-thread" => {
            let database = act::begin();
            let pid = act::fork(false, || {
                database.record_ok();
                act::say(&format!("child {}", std::process::id()));
                // SAFETY: ends only this thread, the only one that the child has besides the keeper.
                unsafe { libc::syscall(libc::SYS_exit, 0) };
            });
            act::say(&format!("ended with {}", act::wait_for(pid)));
        }
        "ends-with-two-services" => ends_with_two_services(),
        "keeper-panics" => keeper_panics(),
        "refresh-hangs" => {
            let database = act::begin();
            database.record_ok();
            let refresh = database.begin_refresh();
            act::say("asked");
            act::wait();
            refresh.ok();
            act::say("answered");
            act::wait();
        }
        "several" => several(),
        "disabled" => {
            let indicator = Indicator::register("database", Policy::DEFAULT);
            indicator.record_ok();
            indicator.record_fail(&Failure::new("Error"));
            indicator.begin().ok();
            assert_eq!(tick(), []);
            let started = Service::builder("role")
                .runtime_dir(std::env::var("ROLE_RUNTIME").unwrap())
                .start_with(|_| unreachable!());
            let error = started.unwrap_err();
            error.handle().indicator("database", Policy::DEFAULT).record_ok();
            act::say(&format!("{error}, {}", std::fs::read_dir("/proc/self/task").unwrap().count()));
        }
        other => panic!("no role {other}"),
    }
}

fn no_thread() {
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
        act::say(&act::notices());
    });
    assert_eq!(act::wait_for(child), 0);
}

/// Like Linux before 5.9, or a seccomp filter that does not know the call.
fn no_table() {
    act::refuse(libc::SYS_close_range);
    let before = act::descriptors();
    let error = act::start().unwrap_err();
    assert_eq!(act::descriptors(), before);
    error.handle().indicator("database", Policy::DEFAULT).record_ok();
    let again = act::start().unwrap_err();
    act::say(&format!("{error}; {again}"));
}

fn signals() {
    static ELSEWHERE: AtomicU32 = AtomicU32::new(0);
    extern "C" fn handler(_: libc::c_int) {
        // SAFETY: both are async-signal-safe system calls.
        if unsafe { libc::gettid() != libc::getpid() } {
            ELSEWHERE.fetch_add(1, Relaxed);
        }
    }
    // SAFETY: the handler does nothing but system calls and an atomic; the harness's threads block the signal.
    unsafe { libc::signal(libc::SIGTERM, handler as *const () as usize) };
    act::begin().record_ok();
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let keeper = tasks
        .map(|task| std::fs::read_to_string(task.path().join("status")).unwrap())
        .find(|status| status.starts_with("Name:\thealthboard\n"))
        .unwrap();
    let blocked = keeper.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
    act::say(blocked);
}

/// Becomes a daemon by a double fork, and closes all descriptors, while its first board is in use.
fn daemonizes() {
    let database = act::begin();
    database.record_ok();
    let child = act::fork(false, || {
        let grandchild = act::fork(false, || {
            // SAFETY: this process owns all its descriptors and afterwards uses only the standard streams.
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

/// The first thread of a child ends by itself and leaves buffered text that is written at exit.
fn ends_with_two_services() {
    let database = act::begin();
    let other = Service::builder("other").runtime_dir(std::env::var("ROLE_RUNTIME").unwrap());
    let other = other.uri("unix:///nowhere.sock".parse().unwrap()).start_with(act::keep).unwrap();
    let pid = act::fork(false, || {
        database.record_ok();
        assert!(other.attach());
        for _ in 0..16 {
            // SAFETY: valid texts; the streams stay open until the exit of the process, which writes what they hold.
            unsafe { libc::fputs(c"the host's".as_ptr(), libc::fopen(c"/dev/null".as_ptr(), c"w".as_ptr())) };
        }
        // SAFETY: ends this thread alone, which leaves the two keepers.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    });
    act::say(&format!("ended with {}", act::wait_for(pid)));
    act::wait();
}

/// The server panics twice, as a bug might.
fn keeper_panics() {
    static SERVED: AtomicU32 = AtomicU32::new(0);
    std::panic::set_hook(Box::new(|_| ()));
    let health = Service::builder("role")
        .runtime_dir(std::env::var("ROLE_RUNTIME").unwrap())
        .uri("unix:///nowhere.sock".parse().unwrap())
        .start_with(|keeper: &Keeper| {
            keeper.listening(Ok(Vec::new()));
            if SERVED.fetch_add(1, Relaxed) < 2 {
                panic!("a bug");
            }
            act::keep(keeper);
        })
        .unwrap();
    let database = health.indicator("database", Policy::DEFAULT);
    database.record_ok();
    while SERVED.load(Relaxed) < 3 {
        std::thread::sleep(Duration::from_millis(20));
    }
    database.record_fail(&Failure::new("Later"));
    act::say(&act::notices());
    act::wait();
}

/// Two services in one process, each with its own board.
fn several() {
    let runtime = std::env::var("ROLE_RUNTIME").unwrap();
    let start = |name: &str| {
        let builder =
            Service::builder(name).runtime_dir(&runtime).uri("unix:///nowhere.sock".parse().unwrap());
        builder.start_with(act::keep)
    };
    let (role, other) = (start("role").unwrap(), start("other").unwrap());
    let twice = start("other").unwrap_err();
    assert_eq!(twice.handle().name(), "other");
    Indicator::register("database", Policy::DEFAULT).record_ok();
    other.indicator("queue", Policy::DEFAULT).record_fail(&Failure::new("Full"));
    tick();
    other.tick();
    act::say(&format!("{twice}; {}; {}", role.report().status.name(), other.report().status.name()));
    act::wait();
}
