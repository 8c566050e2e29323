//! `healthboard agent`: serves the health of this host's services from their boards.

use crate::arguments;
use crate::output::{UNKNOWN, say};
use healthboard_endpoint::AllowedHosts;
use healthboard_endpoint::agent::{Agent, host_name};
use std::os::unix::fs::MetadataExt;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

/// The most log lines that wait to be written. Further lines are lost.
const MAX_UNWRITTEN: usize = 2048;

/// For how long the command waits at its end until the last log lines are written.
const WRITTEN_WITHIN: Duration = Duration::from_millis(500);

/// From how many bytes on memory is returned to the kernel when it is freed.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 128 << 10;

/// Serves until a signal ends it. Returns the exit code.
pub(crate) fn run(asked: arguments::Agent) -> u8 {
    let allowed_hosts = match AllowedHosts::parse(&asked.allowed_hosts) {
        Ok(allowed) => allowed,
        Err(expected) => {
            say(&format!(
                "error: invalid value '{}' for '--allowed-hosts': expected {expected}",
                asked.allowed_hosts
            ));
            return UNKNOWN;
        }
    };
    let agent = Agent {
        listen: asked.listen,
        boards: asked.boards.roots(),
        expect: asked.expect.services(),
        host: asked.host.unwrap_or_else(host_name),
        allowed_hosts,
        web_config: asked.web_config,
        insecure: asked.insecure,
        socket_mode: asked.socket_mode,
    };
    return_large_memory();
    // The reader of the log may stop reading. Then only the writer's thread waits, and probes are still answered.
    let (lines, written) = sync_channel::<String>(MAX_UNWRITTEN);
    let writer = thread::spawn(move || written.iter().for_each(|line| say(&line)));
    // systemd reads the priority of a line from its beginning: 3 is an error, 4 a warning, 5 a notice.
    let is_journal = is_journal();
    let prefix = |priority: u8| if is_journal { format!("<{priority}>") } else { String::new() };
    let mut log = |warning, line: String| {
        let _ = lines.try_send(prefix(if warning { 4 } else { 5 }) + &line);
    };
    let code = match agent.run(&mut log) {
        Ok(()) => 0,
        Err(why) => {
            let _ = lines.try_send(format!("{}error: {why}", prefix(3)));
            UNKNOWN
        }
    };
    drop(lines);
    let deadline = Instant::now() + WRITTEN_WITHIN;
    while !writer.is_finished() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    code
}

/// Whether the log goes to systemd's journal: `JOURNAL_STREAM` has the device and the inode of the stream, and may be inherited by a
/// process whose log goes elsewhere. <https://www.freedesktop.org/software/systemd/man/latest/systemd.exec.html#%24JOURNAL_STREAM>
fn is_journal() -> bool {
    let Ok(journal) = std::env::var("JOURNAL_STREAM") else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|log| journal == format!("{}:{}", log.dev(), log.ino()))
}

/// Makes glibc return large memory, such as that of an answer of some hundred kilobytes, whenever it is freed. By default it
/// keeps such memory for later once some was freed.
#[cfg(target_env = "gnu")]
fn return_large_memory() {
    // SAFETY: it only changes a number in the allocator, and no other thread runs yet.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
}

#[cfg(not(target_env = "gnu"))]
fn return_large_memory() {}
