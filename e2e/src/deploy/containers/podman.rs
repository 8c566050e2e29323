//! podman, with images and containers of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How long a container may take to stop.
const STOP_SECONDS: &str = "0";

/// Where there is no systemd, and an administrator may not raise limits, podman's defaults fail. crun refuses a cgroup v2 beside a v1.
const CONTAINERS_CONF: &str = "\
[containers]
netns = \"none\"
default_ulimits = [\"nofile=1024:4096\", \"nproc=1000:1000\"]

[engine]
runtime = \"runc\"
";

/// podman with a storage in this folder. Everything in it is removed when this value is dropped.
pub(crate) struct Podman {
    folder: PathBuf,
}

/// A running container.
pub(super) struct Container<'a> {
    podman: &'a Podman,
    name: &'static str,
}

impl Podman {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let podman = Self { folder: folder.join("podman") };
        fs::create_dir(&podman.folder)?;
        let path = |name: &str| podman.folder.join(name).display().to_string();
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            path("root"),
            path("runroot")
        );
        fs::write(path("storage.conf"), storage)?;
        fs::write(path("containers.conf"), CONTAINERS_CONF)?;
        Ok(podman)
    }

    /// The variables with which `podman` is this one.
    pub(crate) fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [("CONTAINERS_STORAGE_CONF", "storage.conf"), ("CONTAINERS_CONF", "containers.conf")]
            .map(|(variable, file)| (variable, self.folder.join(file)))
    }

    pub(super) fn build(&self, tag: &str, context: &Path, argument: &str) -> Result<()> {
        // The format that podman uses by default has no HEALTHCHECK.
        let options = ["build", "--quiet", "--format", "docker", "--build-arg", argument, "--tag", tag];
        self.must(self.command(&options).arg(context)).map(drop)
    }

    /// Starts a container without a network, with `data` as its home.
    pub(super) fn run(&self, image: &'static str, data: &Path) -> Result<Container<'_>> {
        let volume = format!("{}:/var/lib/nova", data.display());
        let mut run = self.command(&["run", "--detach", "--name", image]);
        self.must(run.args(["--volume", &volume, image]))?;
        Ok(Container { podman: self, name: image })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command.envs(self.environment()).args(arguments).stdin(Stdio::null());
        command
    }

    fn must(&self, command: &mut Command) -> Result<String> {
        let Output { status, stdout, stderr } = command.output().context("cannot start podman")?;
        let stderr = String::from_utf8_lossy(&stderr);
        ensure!(status.success(), "{command:?} failed ({status}): {}", stderr.trim());
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    }
}

impl Container<'_> {
    /// The pid of its first process.
    pub(super) fn pid(&self) -> Result<u32> {
        let pid = self.inspect()?["State"]["Pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        pid.filter(|pid| *pid > 0).context("the container does not run")
    }

    /// How often its health is to be checked.
    pub(super) fn interval(&self) -> Result<Duration> {
        self.time("Interval")
    }

    /// How long failures do not count.
    pub(super) fn start_period(&self) -> Result<Duration> {
        self.time("StartPeriod")
    }

    fn time(&self, name: &str) -> Result<Duration> {
        let ns = self.inspect()?["Config"]["Healthcheck"][name].as_u64();
        ns.map(Duration::from_nanos).with_context(|| format!("the image's HEALTHCHECK has no {name}"))
    }

    /// Checks its health once. The exit code is no news.
    pub(super) fn check(&self) -> Result<()> {
        let mut check = self.podman.command(&["healthcheck", "run", self.name]);
        let status = check.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.map(drop).context("cannot start podman")
    }

    /// Its health, and the output of the newest check.
    pub(super) fn health(&self) -> Result<(String, String)> {
        let health = &self.inspect()?["State"]["Health"];
        let newest = health["Log"].as_array().and_then(|log| log.last()).map(|check| &check["Output"]);
        let text =
            |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().trim().to_owned();
        Ok((text(health.get("Status")), text(newest)))
    }

    fn inspect(&self) -> Result<Value> {
        let text = self.podman.must(&mut self.podman.command(&["inspect", self.name]))?;
        let mut all: Value = serde_json::from_str(&text).context("podman inspect printed no JSON")?;
        Ok(all[0].take())
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // A frozen process does not end by itself.
        let _ = self.podman.command(&["rm", "--force", "--time", STOP_SECONDS, self.name]).output();
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        let _ = self.command(&["rmi", "--all", "--force"]).output();
        // podman leaves its storage mounted on itself.
        let _ = Command::new("umount").arg(self.folder.join("root/overlay")).stderr(Stdio::null()).status();
    }
}
