//! The actions of roles.

use healthboard::{ErrorDetail, Handle, Indicator, Keeper, Policy, Service, StartError};
use std::collections::BTreeSet;
use std::time::Duration;

/// Starts health as the environment says.
pub(crate) fn start() -> Result<Handle, StartError> {
    Service::builder("role")
        .runtime_dir(std::env::var("ROLE_RUNTIME").unwrap())
        .uri("unix:///nowhere.sock".parse().unwrap())
        .error_detail(ErrorDetail::Message)
        .start_with(keep)
}

/// Starts health and gets the indicator that roles record for.
pub(crate) fn begin() -> Indicator {
    let health = start().unwrap_or_else(|error| error.handle());
    health.indicator("database", Policy::DEFAULT)
}

pub(crate) fn keep(keeper: &Keeper) {
    keeper.listening(Ok(Vec::new()));
    while keeper.look_after() {
        std::thread::sleep(Duration::from_millis(20));
    }
    // A server may call it once more before it returns.
    assert!(!keeper.look_after());
}

/// The notices, once there are some; empty after 30 s without any.
pub(crate) fn notices() -> String {
    for _ in 0..1500 {
        let notices: Vec<String> = healthboard::tick().into_iter().map(|notice| notice.text).collect();
        if !notices.is_empty() {
            return notices.join("; ");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    String::new()
}

/// The notices of one second, and their number.
pub(crate) fn notices_of_a_second() -> String {
    std::thread::sleep(Duration::from_secs(1));
    let notices: Vec<String> = healthboard::tick().into_iter().map(|notice| notice.text).collect();
    format!("{} {}", notices.join("; "), notices.len())
}

/// Makes this system call fail from now on, as if the kernel did not know it.
pub(crate) fn refuse(call: libc::c_long) {
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let refused = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    let mut filter = [
        step((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0, 0, 0),
        step((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, 0, 1, call as u32),
        step((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, refused),
        step((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: a valid program, which the kernel copies. Threads of the test harness do not need the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program), 0);
    }
}

/// A line for the test; an empty one is a dash.
#[allow(clippy::print_stdout, reason = "how a role speaks")]
pub(crate) fn say(line: &str) {
    println!("\n| {}", if line.is_empty() { "-" } else { line });
}

pub(crate) fn wait() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

pub(crate) fn descriptors() -> BTreeSet<String> {
    let entries = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let targets = entries.filter_map(|e| Some((e.file_name(), std::fs::read_link(e.path()).ok()?)));
    targets.map(|(fd, to)| format!("{fd:?} {}", to.display())).filter(|l| !l.contains("/proc/")).collect()
}

/// A forked child that runs this and ends without any handler.
pub(crate) fn fork(raw: bool, child: impl FnOnce()) -> i32 {
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

pub(crate) fn wait_for(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: a child of ours.
    assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
    status
}
