//! The measurements, kept from run to run: a run of one fault replaces only its own results in the page.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use healthboard_e2e::Setup;
use healthboard_e2e::faults::{Drained, Load, Outcome, Period};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A folder with one file for each fault and mode.
pub(crate) struct Results {
    folder: PathBuf,
    setup: PathBuf,
    versions: String,
}

impl Results {
    pub(crate) fn of(setup: &Setup) -> Result<Self> {
        let folder = setup.logs().with_file_name("faults");
        fs::create_dir_all(&folder)?;
        let packages = "nova oslo.messaging oslo.db eventlet";
        let versions = output_of(&format!(
            "{} -c 'import importlib.metadata as m; print(\", \".join(n + \" \" + m.version(n) for n in \"{packages}\".split()))'",
            setup.program("python").display()
        ));
        Ok(Self { folder, setup: setup.workspace().to_owned(), versions })
    }

    /// Removes all results.
    pub(crate) fn clear(&self) -> Result<()> {
        fs::remove_dir_all(&self.folder)?;
        fs::create_dir_all(&self.folder).context("cannot create the folder of the results")
    }

    pub(crate) fn keep(&self, name: &str, mode: &str, what: &impl Serialize) -> Result<()> {
        let path = self.folder.join(format!("{name}.{}.json", mode.to_lowercase()));
        fs::write(&path, serde_json::to_vec(what)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    pub(crate) fn outcomes(&self) -> Result<Vec<Outcome>> {
        self.read(|name| !is_period(name) && !name.starts_with("draining."))
    }

    pub(crate) fn periods(&self) -> Result<Vec<Period>> {
        self.read(is_period)
    }

    pub(crate) fn drained(&self) -> Result<Vec<Drained>> {
        let all: Vec<Vec<Drained>> = self.read(|name| name.starts_with("draining."))?;
        Ok(all.into_iter().flatten().collect())
    }

    /// Threading comes first, because it is Nova's default.
    fn read<T: DeserializeOwned>(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<T>> {
        let mut names: Vec<String> = fs::read_dir(&self.folder)?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| is_wanted(name))
            .collect();
        names.sort_by(|one, other| other.cmp(one));
        let read = |name: String| {
            let bytes = fs::read(self.folder.join(&name))?;
            serde_json::from_slice(&bytes)
                .with_context(|| format!("cannot understand {name}\nnext: run it again"))
        };
        names.into_iter().map(read).collect()
    }

    /// How and where the page was measured.
    pub(crate) fn head(&self) -> String {
        let commit = output_of(&format!("git -C {} rev-parse --short HEAD", self.setup.display()));
        let date = output_of("date -u +%F");
        let cpu = output_of("sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1");
        let (cores, memory) = (output_of("nproc"), output_of("sed -n 's/MemTotal: *//p' /proc/meminfo"));
        let system = output_of(". /etc/os-release; echo \"$PRETTY_NAME, Linux $(uname -r)\"");
        let servers = output_of("mariadbd --version | sed 's/.*Ver \\([^ ]*\\).*/MariaDB \\1/'");
        let broker = output_of("dpkg-query -W -f '${Package} ${Version}' rabbitmq-server");
        let libvirt = output_of("libvirtd --version | sed 's/.*) /libvirt /'");
        format!(
            "What real faults do to real, unpatched Nova, and which checks notice them. Written by `cargo xtask e2e`. Running a single \
             fault by its name replaces only its results, so the results may come from different commits.\n\n\
             Newest run: {date}, commit {commit}, on {system}, {cpu}, {cores} cores, {memory}.\n\
             {}, {servers}, {broker}, {libvirt}.\n\n\
             Each endpoint was probed ten times a second, the other checks ran once a second. Times are measured from the beginning of \
             the fault. \"OK again\" is measured from the moment when the server answered again, to an OK that lasted for five seconds, or, \
             where a service started without its server, longer than a report counts. \
             `stall_after` is 60 s, its default. \"oslo\" is oslo.middleware's `/healthcheck`. \"pgrep\" looks for a process, \"ss\" for \
             a connection to the broker or the database.",
            self.versions
        )
    }
}

fn is_period(name: &str) -> bool {
    [Load::Idle, Load::Busy].iter().any(|load| name.starts_with(&format!("{}.", load.name())))
}

/// What a shell line prints.
pub(crate) fn output_of(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
