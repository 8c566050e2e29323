//! A host with Nova as Debian packages it: the units and their scripts, with the Nova of the setup behind them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::deploy::machine::{Machine, shared};
use crate::setup::Setup;

/// Where the commands are typed.
pub(super) const FOLDER: &str = "/root/healthboard";
/// The user of Debian's packages.
const NOVA: (&str, u32) = ("nova", 64060);
/// The services, with their units and scripts.
const SERVICES: [&str; 2] = ["nova-api", "nova-conductor"];
/// What the packages would have installed. Debian's uWSGI has the name of its plugin.
const PROGRAMS: [(&str, &str); 2] = [
    ("nova-conductor", "#!/bin/sh\nexec /opt/nova/bin/nova-conductor \"$@\"\n"),
    ("uwsgi_python3", "#!/bin/sh\nexec /opt/nova/bin/uwsgi \"$@\"\n"),
];
const WSGI: &str = "from nova.wsgi.osapi_compute import application\n";
/// The host's addresses, and those that move.
const NETWORK: &str = "\
ip link add eth0 type veth peer name other
ip link set eth0 up
ip link set other up
ip address add 192.0.2.11/32 dev eth0
ip address add 192.0.2.10/32 dev lo
/opt/nova/bin/pip uninstall --quiet --yes --disable-pip-version-check healthboard 2>&1";

/// Boots it, with what `Build` has made and without healthboard.
pub(super) fn boot(setup: &Setup, tick: fn(Duration) -> Result<()>) -> Result<Machine> {
    let venv = setup.venv().canonicalize()?;
    let mut options = shared(setup)?;
    options.retain(|option| !option.contains(&*venv.to_string_lossy()));
    // What is installed there is not installed here.
    options.push(format!("--overlay={0}::{0}", venv.display()));
    let machine = Machine::boot(setup, &options, |root| prepare(setup, root), tick)?;
    machine.shell(NETWORK)?;
    Ok(machine)
}

fn prepare(setup: &Setup, root: &Path) -> Result<()> {
    // Python may be below it on this machine.
    fs::set_permissions(root.join("root"), fs::Permissions::from_mode(0o755))?;
    let (name, id) = NOVA;
    append(&root.join("etc/passwd"), &format!("{name}:x:{id}:{id}::/var/lib/nova:/bin/sh\n"))?;
    append(&root.join("etc/group"), &format!("{name}:x:{id}:\n"))?;
    fs::create_dir_all(root.join("opt"))?;
    let venv = setup.venv().canonicalize()?;
    symlink(&venv, root.join("opt/nova"))?;
    // systemd-nspawn does not make the folders above the overlay.
    fs::create_dir_all(root.join(venv.strip_prefix("/")?))?;
    for (program, text) in PROGRAMS {
        let path = root.join("usr/bin").join(program);
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }
    fs::write(root.join("usr/bin/nova-api-wsgi"), WSGI)?;

    let packages = setup.debian_packages();
    for folder in ["etc/nova", "etc/init.d", "var/lib/nova", "var/log/nova"] {
        fs::create_dir_all(root.join(folder))?;
    }
    for service in SERVICES {
        let unit = format!("{service}.service");
        fs::copy(setup.debian_units().join(&unit), root.join("etc/systemd/system").join(&unit))?;
        let script = Path::new("etc/init.d").join(service);
        fs::copy(packages.join(&script), root.join(&script))?;
    }
    fs::write(root.join("etc/nova/nova-api-uwsgi.ini"), uwsgi(&packages)?)?;
    let home = root.join("var/lib/nova");
    setup.populate(&home)?;
    let nova_conf = fs::read_to_string(home.join("nova.conf"))?;
    // Debian's script names the log. SQLite does not let two workers report at the same moment.
    let changes = [("log_dir = .\n", ""), ("[conductor]\nworkers = 2\n", "[conductor]\nworkers = 1\n")];
    ensure!(changes.iter().all(|(old, _)| nova_conf.contains(old)), "nova.conf of the stage has changed");
    let nova_conf = changes.iter().fold(nova_conf, |text, (old, new)| text.replace(old, new));
    fs::write(root.join("etc/nova/nova.conf"), nova_conf)?;
    // There is no Keystone.
    let api_paste = fs::read_to_string(setup.venv().join("etc/nova/api-paste.ini"))?;
    let api_paste = api_paste.replace(" authtoken keystonecontext", " keystonecontext");
    fs::write(root.join("etc/nova/api-paste.ini"), api_paste)?;
    run(&["chown", "--recursive", &format!("{id}:{id}")], &[&home, &root.join("var/log/nova")])?;

    let folder = root.join(FOLDER.trim_start_matches('/'));
    run(&["cp", "--recursive"], &[&setup.dist(), &folder])?;
    run(&["cp", "--recursive"], &[&setup.workspace().join("deploy"), &folder])
}

/// Debian's configuration of uWSGI, for one that needs no plugin. With one worker: of several, one may still load the program when
/// another one answers, and a restart finds it there.
fn uwsgi(packages: &Path) -> Result<String> {
    let text = fs::read_to_string(packages.join("etc/nova/nova-api-uwsgi.ini"))?;
    let lines = text.lines().filter(|line| !line.starts_with("plugins") && !line.starts_with("paste-logger"));
    let text: String = lines.flat_map(|line| [line, "\n"]).collect();
    ensure!(text.contains("processes = 16\n"), "Debian's nova-api-uwsgi.ini has changed");
    Ok(text.replace("processes = 16\n", "processes = 1\n"))
}

fn append(path: &Path, line: &str) -> Result<()> {
    fs::write(path, fs::read_to_string(path)? + line)
        .with_context(|| format!("cannot write {}", path.display()))
}

fn run(line: &[&str], paths: &[&Path]) -> Result<()> {
    let status = Command::new(line[0]).args(&line[1..]).args(paths).status()?;
    ensure!(status.success(), "{} failed ({status})", line.join(" "));
    Ok(())
}
