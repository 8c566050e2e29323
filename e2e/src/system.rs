//! The packages of the distribution that the stage needs, installed only if they are missing.

use std::process::{Command, Stdio};

use anyhow::{Result, bail, ensure};

/// A shell command, and the Debian packages that make it succeed.
pub(crate) type Need = (&'static str, &'static str);

/// What every stage needs.
pub(crate) const NEEDS: [Need; 9] = [
    ("command -v cc", "gcc libc6-dev"),
    ("command -v c++", "g++"),
    ("command -v curl", "curl"),
    ("nc -h 2>&1 | grep -q -- -U", "netcat-openbsd"),
    ("command -v pgrep", "procps"),
    ("python3 -c 'import ensurepip, venv'", "python3-venv"),
    ("command -v socat", "socat"),
    ("command -v tmux", "tmux"),
    // For what the command's packages bring: completions and man pages.
    ("command -v zsh && command -v fish && command -v groff", "zsh fish groff-base"),
];

/// What a cluster and the tests of the Python package need in addition.
pub(crate) const SERVERS: [Need; 14] = [
    ("command -v mariadbd && command -v mariadb-install-db && command -v mariadb", "mariadb-server"),
    ("test -f /usr/lib/galera/libgalera_smm.so && command -v garbd", "galera-4 galera-arbitrator-4"),
    ("ls /usr/lib/postgresql/*/bin/initdb", "postgresql"),
    ("pkg-config --exists libmariadb", "libmariadb-dev pkg-config"),
    ("test -x /usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"),
    (
        "command -v libvirtd && ls /usr/lib/*/libvirt/connection-driver/*_qemu.so",
        "libvirt-daemon libvirt-daemon-driver-qemu",
    ),
    ("command -v qemu-system-x86_64", "qemu-system-x86"),
    ("command -v virsh", "libvirt-clients"),
    ("pkg-config --exists libvirt && python3-config --includes", "libvirt-dev pkg-config python3-dev"),
    ("command -v ip && command -v iptables", "iproute2 iptables"),
    ("command -v redis-server", "redis-server"),
    ("command -v haproxy && command -v nginx && command -v keepalived", "haproxy nginx-light keepalived"),
    ("command -v rsyslogd", "rsyslog"),
    ("test -f /usr/lib/apache2/modules/mod_wsgi.so", "apache2 libapache2-mod-wsgi-py3"),
];

/// Installs the missing packages, or fails with the command to type.
pub(crate) fn install_missing(needs: &[Need]) -> Result<()> {
    ensure!(
        succeeds("python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'"),
        "python3 is missing or older than 3.11, which Nova 34 needs\nnext: install Python 3.11 or later as `python3`"
    );
    let missing: Vec<&str> =
        needs.iter().filter(|(trial, _)| !succeeds(trial)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !rustix::process::geteuid().is_root() || !succeeds("command -v apt-get") {
        bail!("packages are missing: {}\nnext: sudo {line}", missing.join(" "));
    }
    let line = format!("apt-get update -q && {line}");
    eprintln!("$ {line}");
    let status = Command::new("sh")
        .args(["-c", &line])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1")
        .status()?;
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
