//! The few packages of the distribution that the stage needs, installed only where they are missing.

use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};

/// What to try, and the Debian package that makes it succeed.
const NEEDS: [(&str, &str); 6] = [
    ("command -v cc", "gcc libc6-dev"),
    ("command -v curl", "curl"),
    ("nc -h 2>&1 | grep -q -- -U", "netcat-openbsd"),
    ("command -v pgrep", "procps"),
    ("python3 -c 'import ensurepip, venv'", "python3-venv"),
    ("command -v socat", "socat"),
];

/// Installs the missing packages, or says what to type.
pub(crate) fn install_missing() -> Result<()> {
    ensure!(
        succeeds("python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'"),
        "python3 is missing or older than 3.11, which Nova 34 needs\nnext: install Python 3.11 or later as `python3`"
    );
    let missing: Vec<&str> =
        NEEDS.iter().filter(|(trial, _)| !succeeds(trial)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !rustix::process::geteuid().is_root() || !succeeds("command -v apt-get") {
        bail!("packages are missing: {}\nnext: sudo {line}", missing.join(" "));
    }
    let line = format!("apt-get update -q && {line}");
    eprintln!("$ {line}");
    let status = Command::new("sh").args(["-c", &line]).env("DEBIAN_FRONTEND", "noninteractive").status()?;
    ensure!(status.success(), "`{line}` failed ({status})");
    Ok(())
}

fn succeeds(line: &str) -> bool {
    Command::new("sh")
        .args(["-c", line])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
