//! The packages, installed in a minimal Debian of their own.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use healthboard_e2e::{Setup, Step};

use crate::source::Source;

/// Has procfs and devices in the root, for as long as the command runs.
const MOUNTED: &str = r#"mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && exec "$@""#;

/// What is left of the packages.
const LEFT: &str = "find / -xdev '(' -path /proc -o -path /dev -o -path /tmp ')' -prune -o -iname '*healthboard*' -print; \
                    getent passwd healthboard; getent group healthboard; true";

/// A root with nothing but the essential packages of Debian 12.
pub(super) struct Root(PathBuf);

impl Root {
    pub(super) fn new(setup: &Setup, source: &Source) -> Result<Root> {
        let root = Root(source.parent().join("root"));
        let mut step = Step::begin("deb root", &setup.logs())?;
        step.run(Command::new("mmdebstrap").args(["--variant=minbase", "bookworm"]).arg(&root.0))?;
        step.run(&mut root.inside(&["apt-get", "update", "-q"]))?;
        step.end();
        Ok(root)
    }

    /// Installs the packages beside Debian's Nova, and runs their own tests.
    pub(super) fn test(&self, setup: &Setup, source: &Source) -> Result<()> {
        let mut step = Step::begin("deb test", &setup.logs())?;
        let mut command = self.mounted();
        command.arg("autopkgtest").args(source.packages()?).arg(source.folder());
        // The root is for this test alone.
        command.args(["--ignore-restrictions", "breaks-testbed", "--", "chroot"]);
        step.run(command.arg(&self.0))?;
        step.end();
        Ok(())
    }

    /// Removes the packages. Nothing of them may stay.
    pub(super) fn purge(&self, setup: &Setup) -> Result<()> {
        let mut step = Step::begin("deb purge", &setup.logs())?;
        let packages = ["healthboard", "healthboard-nova", "python3-healthboard"];
        step.run(self.inside(&["apt-get", "purge", "-y", "-q"]).args(packages))?;
        let left = self.inside(&["sh", "-c", LEFT]).output()?;
        let left = String::from_utf8_lossy(&left.stdout);
        ensure!(left.trim().is_empty(), "left behind by the packages:\n{left}");
        step.end();
        Ok(())
    }

    fn inside(&self, line: &[&str]) -> Command {
        let mut command = self.mounted();
        command.arg("chroot").arg(&self.0).args(line).env("DEBIAN_FRONTEND", "noninteractive");
        command
    }

    fn mounted(&self) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", MOUNTED]).arg(&self.0);
        command
    }
}
