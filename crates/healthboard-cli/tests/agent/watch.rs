//! `healthboard watch`, by its screen under tmux.

use healthboard::Failure;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::support::{Agent, Crowd, HANG, critical, run, start_service};

/// A terminal of its own.
struct Screen(String);

impl Screen {
    fn of(width: u16, height: u16, runtime: &Path, environment: &str) -> Screen {
        Screen::watching(width, height, environment, &format!("--boards {}", runtime.display()))
    }

    fn watching(width: u16, height: u16, environment: &str, sources: &str) -> Screen {
        let command =
            format!("{environment} {} watch --interval 0.2 {sources}", env!("CARGO_BIN_EXE_healthboard"));
        Screen::running(width, height, &command)
    }

    fn running(width: u16, height: u16, command: &str) -> Screen {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let screen = Screen(format!("healthboard-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed)));
        let (width, height) = (width.to_string(), height.to_string());
        screen.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, command]);
        screen
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.0]).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", key]);
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + HANG;
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if wanted(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "waited in vain: {what}\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn the_worst_is_first_and_changes_are_seen() {
    let runtime = tempfile::tempdir().unwrap();
    let (api, compute) = (start_service("first", runtime.path()), start_service("second", runtime.path()));
    api.indicator("database", critical()).record_ok();
    let libvirt = compute.indicator("libvirt", critical());
    libvirt.record_ok();
    let screen = Screen::of(80, 24, runtime.path(), "");
    screen.until("both", |screen| {
        screen.contains("2 OK") && screen.contains("first") && screen.contains("second")
    });
    libvirt.record_fail(&Failure::new("Gone"));
    let seen = screen.until("the failure", |screen| screen.contains("! DEGRADED"));
    let line = |name: &str| seen.lines().position(|line| line.contains(name)).unwrap();
    assert!(line("second") < line("first"), "{seen}");
    assert!(seen.contains("libvirt: Gone, 1 failure"), "{seen}");
    let colours = screen.tmux(&["capture-pane", "-p", "-e"]);
    assert!(colours.contains("38;5;3m") || colours.contains("[33m"), "not yellow: {colours}");
    screen.press("g");
    screen.until("when it changed", |screen| screen.contains("DEGRADED after OK"));
    libvirt.record_ok();
    screen.until("the mend", |screen| screen.contains("2 OK"));
    screen.press("q");
    screen.until("the end", |screen| !screen.contains("SERVICE"));
}

#[test]
fn keys_help_filter_and_any_size() {
    let runtime = tempfile::tempdir().unwrap();
    let _services = Crowd::start("watched", 12, runtime.path());
    let screen = Screen::of(100, 30, runtime.path(), "NO_COLOR=1");
    screen.until("all", |screen| screen.contains("12 OK"));
    let colours = screen.tmux(&["capture-pane", "-p", "-e"]);
    assert!(!colours.contains("38;5;2m") && !colours.contains("[32m"), "{colours}");
    screen.press("?");
    screen.until("help", |screen| screen.contains("choose a service"));
    screen.press("?");
    screen.until("no help", |screen| !screen.contains("choose a service"));
    for key in ["/", "d", "-", "1", "1", "Enter"] {
        screen.press(key);
    }
    screen.until("the filter", |screen| screen.contains("watched-11") && !screen.contains("watched-2 "));
    screen.press("Escape");
    screen.until("all again", |screen| screen.contains("watched-2"));
    for (width, height) in [("20", "5"), ("1", "1"), ("200", "60"), ("80", "24")] {
        screen.tmux(&["resize-window", "-x", width, "-y", height]);
        std::thread::sleep(Duration::from_millis(100));
    }
    screen.until("the usual size", |screen| screen.contains("12 OK") && screen.contains("SERVICE"));
    screen.press("C-c");
    screen.until("the end", |screen| !screen.contains("SERVICE"));
}

#[test]
fn a_source_that_does_not_answer_keeps_no_key_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("silent.sock");
    let _silent = UnixListener::bind(&path).unwrap();
    let screen = Screen::watching(90, 20, "", &format!("unix://{}", path.display()));
    screen.until("the screen", |screen| screen.contains("SERVICE"));
    screen.press("?");
    screen.until("help", |screen| screen.contains("choose a service"));
    screen.press("q");
    screen.until("the end", |screen| !screen.contains("choose a service") && !screen.contains("SERVICE"));
}

/// Wherever it is ended, the shell finds its terminal as it was.
#[test]
fn a_signal_ends_it_and_the_terminal_is_as_it_was() {
    let runtime = tempfile::tempdir().unwrap();
    let _services = Crowd::start("watched", 1, runtime.path());
    for signal in ["TERM", "INT"] {
        let (program, boards) = (env!("CARGO_BIN_EXE_healthboard"), runtime.path().display());
        let screen =
            Screen::running(80, 24, &format!("{program} watch --boards {boards}; echo ended; read end"));
        screen.until("the screen", |screen| screen.contains("1 OK"));
        assert_eq!(screen.tmux(&["display", "-p", "#{alternate_on}"]).trim(), "1");
        screen.tmux(&["run-shell", &format!("pkill -{signal} -P #{{pane_pid}} -x healthboard")]);
        screen.until("the end", |screen| screen.contains("ended"));
        assert_eq!(screen.tmux(&["display", "-p", "#{alternate_on} #{cursor_flag}"]).trim(), "0 1");
    }
}

#[test]
fn it_ends_with_its_terminal() {
    let runtime = tempfile::tempdir().unwrap();
    let screen = Screen::of(80, 24, runtime.path(), "");
    screen.until("the screen", |screen| screen.contains("SERVICE"));
    let pid = screen.tmux(&["display", "-p", "#{pane_pid}"]);
    // Empty for one that has ended and that nobody has waited for.
    let command_line = Path::new("/proc").join(pid.trim()).join("cmdline");
    let is_there = || std::fs::read(&command_line).is_ok_and(|words| !words.is_empty());
    assert!(is_there());
    drop(screen);
    let deadline = Instant::now() + HANG;
    while is_there() {
        assert!(Instant::now() < deadline, "waited in vain for process {pid}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A service that hangs keeps no other one from the screen, nor a host that is not there.
#[test]
fn endpoints_boards_and_agents_are_watched_at_once_and_none_waits_for_another() {
    let (runtime, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (local, remote) = (start_service("local", runtime.path()), start_service("remote", other.path()));
    local.tick();
    remote.tick();
    let agent = Agent::start(other.path(), &["--host", "elsewhere"]);
    let path = runtime.path().join("silent.sock");
    let _silent = UnixListener::bind(&path).unwrap();
    let sources = format!(
        "unix://{} unix://{} --boards {}",
        path.display(),
        agent.socket.display(),
        runtime.path().display()
    );
    let screen = Screen::watching(80, 24, "", &sources);
    let seen = screen.until("both", |screen| screen.contains("local") && screen.contains("remote"));
    assert!(seen.contains("2 OK  asking 1 more"), "{seen}");
}

#[test]
fn without_a_terminal_it_says_what_to_use() {
    let output = run(&["watch"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8(output.stderr).unwrap().contains("healthboard show"));
}
