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

/// libvirtd with its driver for qemu; Nova finds it at `folder/libvirt/run/libvirt-sock`.
pub(crate) fn libvirtd(folder: &Path) -> Result<Server> {
    let home = folder.join("libvirt");
    let mut line = String::new();
    for (path, name) in FOLDERS {
        let own = home.join(name);
        fs::create_dir_all(&own)?;
        line += &format!("mkdir -p {path} && mount --bind {} {path} && ", own.display());
    }
    line += "exec libvirtd";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &line]).current_dir(&home);
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
