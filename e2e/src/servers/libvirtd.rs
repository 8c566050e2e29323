//! libvirtd, with the folders of the machine replaced by its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Server;

/// What libvirtd uses when it is root, and what replaces it in a mount namespace that ends with it.
const FOLDERS: [(&str, &str); 5] = [
    ("/etc/libvirt", "etc"),
    ("/var/lib/libvirt", "lib"),
    ("/var/cache/libvirt", "cache"),
    ("/var/log/libvirt", "log"),
    ("/run/libvirt", "run"),
];

/// It ends at once where this user and group, which a package would have made, are missing, even if it runs as root.
const USERS: [(&str, &str); 2] = [
    ("/etc/passwd", "libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin"),
    ("/etc/group", "libvirt-qemu:x:64055:"),
];
/// What it knows of qemu with KVM holds for one processor core, and it would find it out again for seconds at almost each start.
const NO_KVM: &str =
    "if test -e /dev/kvm; then mount --bind kvm /dev/kvm && mount -o remount,bind,ro /dev/kvm; fi && ";
const QEMU: &str = "user = \"root\"\ngroup = \"root\"\nsecurity_driver = \"none\"\n";

/// libvirtd with its driver for qemu; Nova finds it at `folder/libvirt/run/libvirt-sock`.
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
    fs::write(home.join("etc/qemu.conf"), QEMU)?;
    fs::write(home.join("kvm"), "")?;
    line += NO_KVM;
    line += "exec libvirtd --pid-file libvirtd.pid";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &line]).current_dir(&home).env("LIBVIRT_LOG_OUTPUTS", "3:stderr");
    let uri = format!("qemu+unix:///system?socket={}", home.join("run/libvirt-sock").display());
    Server::new("libvirtd", command, folder, move || answers(&uri))
}

/// A connection alone proves nothing: a frozen server has them, too.
fn answers(uri: &str) -> bool {
    Command::new("timeout")
        .args(["5", "virsh", "--quiet", "--connect", uri, "version"])
        .output()
        .is_ok_and(|output| output.status.success())
}
