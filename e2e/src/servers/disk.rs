//! A small disk, which can be filled.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::daemon::Daemon;

/// Mounts a disk of the size `$1` at `$0`, in a mount namespace of its own. The disk disappears with this process.
const SCRIPT: &str =
    r#"mount -t tmpfs -o "size=$1" healthboard "$0" && touch "$0/mounted" && exec sleep infinity"#;
/// Much longer than mounting takes.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A small disk of its own.
pub(crate) struct Disk {
    // It keeps the disk mounted.
    _keeper: Daemon,
    path: PathBuf,
}

impl Disk {
    /// A disk of this size, such as `4m`. `folder/name` is where it is mounted.
    ///
    /// # Errors
    ///
    /// If nothing may be mounted.
    pub(crate) fn new(folder: &Path, name: &str, size: &str) -> Result<Self> {
        let mount_point = folder.join(name);
        fs::create_dir(&mount_point)?;
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", SCRIPT]).arg(&mount_point).arg(size).stdin(Stdio::null());
        let mut keeper = Daemon::spawn("disk", &mut command)?;
        // The disk is reached through the only process that has it mounted.
        let mut path = PathBuf::from(format!("/proc/{}/root", keeper.pid()));
        path.extend(mount_point.components().skip(1));
        let start = Instant::now();
        while !path.join("mounted").exists() {
            ensure!(keeper.try_wait()?.is_none(), "cannot mount a small disk\nnext: run it as root");
            ensure!(start.elapsed() < TIMEOUT, "the small disk was not mounted within ten seconds");
            sleep(Duration::from_millis(5));
        }
        Ok(Self { _keeper: keeper, path })
    }

    /// Where its files are.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves no space on it.
    pub(crate) fn fill(&self) -> Result<()> {
        let mut file = File::create(self.filler())?;
        while file.write_all(&[0; 4096]).is_ok() {}
        Ok(())
    }

    /// Frees the space again.
    pub(crate) fn empty(&self) -> Result<()> {
        fs::remove_file(self.filler()).context("the disk was not filled")
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}
