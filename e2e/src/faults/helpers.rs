//! Whether short-lived programs that a service starts inherit anything from us.

use std::collections::BTreeSet;
use std::fs;

use crate::daemon::Daemon;
use crate::processes::children;

/// The helpers of a service that run now: the command line of each, and whether it inherited anything from us.
pub(super) fn look(daemon: &Daemon) -> BTreeSet<(String, bool)> {
    let own = executable(daemon.pid());
    let mut found = BTreeSet::new();
    let mut parents = vec![daemon.pid()];
    while let Some(parent) = parents.pop() {
        for pid in children(parent) {
            parents.push(pid);
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            // Workers are no helpers: they run the same program and have its name.
            let named = [daemon.binary(), "nova-compute", "uwsgi"].iter().any(|name| line.contains(name));
            let worker = executable(pid) == own && named && !line.contains("privsep");
            if !worker && !line.is_empty() {
                found.insert((line, has_ours(pid)));
            }
        }
    }
    found
}

fn executable(pid: u32) -> Option<std::path::PathBuf> {
    fs::read_link(format!("/proc/{pid}/exe")).ok()
}

/// Whether a process has our variables, our module, or our thread.
fn has_ours(pid: u32) -> bool {
    let has = |file: &str, words: &[&str]| {
        let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        words.iter().any(|word| String::from_utf8_lossy(&text).contains(word))
    };
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    has("environ", &["HEALTHBOARD_", "healthboard/site"])
        || has("maps", &["/healthboard/_native"])
        || tasks
            .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
            .any(|name| name.starts_with("healthboard"))
}
