//! libvirtd, with private folders in place of the machine's.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Server;

/// The folders that libvirtd uses as root, and their replacements in a mount namespace of its own.
const FOLDERS: [(&str, &str); 5] = [
    ("/etc/libvirt", "etc"),
    ("/var/lib/libvirt", "lib"),
    ("/var/cache/libvirt", "cache"),
    ("/var/log/libvirt", "log"),
    ("/run/libvirt", "run"),
];

/// libvirtd needs this user and group even as root. Another package usually creates them.
const USERS: [(&str, &str); 2] = [
    ("/etc/passwd", "libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin"),
    ("/etc/group", "libvirt-qemu:x:64055:"),
];
/// With KVM, libvirtd's knowledge of qemu is valid for one processor core only. It would spend seconds on it at almost each
/// start.
const HIDE_KVM: &str =
    "if test -e /dev/kvm; then mount --bind kvm /dev/kvm && mount -o remount,bind,ro /dev/kvm; fi && ";
const QEMU_CONF: &str = "user = \"root\"\ngroup = \"root\"\nsecurity_driver = \"none\"\n";

/// libvirtd with its driver for qemu. Its socket is `folder/libvirt/run/libvirt-sock`.
pub(crate) fn libvirtd(folder: &Path) -> Result<Server> {
    let home = folder.join("libvirt");
    let mut line = String::new();
    for (path, name) in FOLDERS {
        let own = home.join(name);
        fs::create_dir_all(&own)?;
        line += &format!("mkdir -p {path} && mount --bind {} {path} && ", own.display());
    }
    for (path, entry) in USERS {
        let own = home.join(path.trim_start_matches("/etc/"));
        fs::write(&own, format!("{}\n{entry}\n", fs::read_to_string(path)?.trim_end()))?;
        line += &format!("mount --bind {} {path} && ", own.display());
    }
    fs::write(home.join("etc/qemu.conf"), QEMU_CONF)?;
    fs::write(home.join("kvm"), "")?;
    line += HIDE_KVM;
    line += "exec libvirtd --pid-file libvirtd.pid";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &line]).current_dir(&home).env("LIBVIRT_LOG_OUTPUTS", "3:stderr");
    let uri = format!("qemu+unix:///system?socket={}", home.join("run/libvirt-sock").display());
    Server::new("libvirtd", command, folder, move || answers(&uri))
}

/// Asks for the version: a frozen server accepts connections, too.
fn answers(uri: &str) -> bool {
    Command::new("timeout")
        .args(["5", "virsh", "--quiet", "--connect", uri, "version"])
        .output()
        .is_ok_and(|output| output.status.success())
}
