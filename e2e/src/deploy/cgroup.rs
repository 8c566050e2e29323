//! A control group for one container.
//!
//! nspawn puts its container below the group that it runs in itself. Two of them there would share the groups of their units, and
//! each would kill the other's processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};

/// Where the unified hierarchy is: beside others, or alone.
const MOUNTS: [&str; 2] = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];

/// How often its removal is tried, and the time between two attempts.
const ATTEMPTS: u32 = 40;
const PAUSE: Duration = Duration::from_millis(50);

/// A group of its own. It is removed when this is dropped, which must be after the end of its processes.
pub(super) struct ControlGroup(PathBuf);

impl ControlGroup {
    pub(super) fn create(name: &str) -> Result<Self> {
        let mount = MOUNTS.iter().map(Path::new).find(|mount| mount.join("cgroup.procs").exists());
        let group = mount.context("this machine has no unified hierarchy of control groups")?.join(name);
        fs::create_dir(&group).with_context(|| format!("cannot create {}", group.display()))?;
        Ok(Self(group))
    }

    /// The file to which a process writes its pid to join.
    pub(super) fn processes(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // The last processes may not have gone yet.
        for _ in 0..ATTEMPTS {
            remove(&self.0);
            if !self.0.exists() {
                return;
            }
            sleep(PAUSE);
        }
    }
}

/// Removes a group and all below it. They have directories and no files that could be removed.
fn remove(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}
