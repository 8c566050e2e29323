//! A network of its own for one server, which can be cut without anybody being told.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::daemon::Daemon;

/// Erlang's port mapper is what keeps the network there: whoever uses it needs one that is private, too.
const KEEP: &str = "ip link set lo up && exec epmd";
/// How many networks there can be at the same time.
const NETWORKS: u8 = 64;
/// Far longer than it takes to make one.
const PATIENCE: Duration = Duration::from_secs(20);

/// A network namespace, connected with ours by a pair of virtual interfaces.
///
/// It has no name and is in no file: it goes with its last process, and both interfaces with it.
pub(crate) struct Network {
    keeper: Daemon,
    number: u8,
}

impl Network {
    /// Makes the network, with a port mapper of Erlang in it.
    ///
    /// # Errors
    ///
    /// When this is not permitted.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", KEEP]).current_dir(folder);
        let mut keeper = Daemon::spawn("epmd", &mut command)?;
        let start = Instant::now();
        // Until it has left our network, a look into its network would be a look into ours.
        while !has_left(keeper.pid()) || !succeeds(&mut inside(keeper.pid(), "epmd", &["-names"])) {
            if let Some(status) = keeper.try_wait()? {
                anyhow::bail!(
                    "no network namespace can be made here ({status})\nnext: run it as root, with CAP_SYS_ADMIN and CAP_NET_ADMIN"
                );
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "the port mapper of Erlang does not answer\nnext: run `epmd`"
            );
            sleep(Duration::from_millis(10));
        }
        // Whose number is free shows in who gets the name.
        let number = (0..NETWORKS)
            .find(|number| {
                let (name, pid) = (interface(*number), keeper.pid().to_string());
                let pair = ["link", "add", &name, "type", "veth", "peer", "name", "eth0", "netns", &pid];
                succeeds(Command::new("ip").args(pair))
            })
            .context("no pair of interfaces can be made here\nnext: ip link show type veth")?;
        let network = Self { keeper, number };
        let (ours, theirs) = (format!("{}/30", network.host(1)), format!("{}/30", network.host(2)));
        let name = interface(number);
        run(Command::new("ip").args(["address", "add", &ours, "dev", &name]))?;
        run(Command::new("ip").args(["link", "set", &name, "up"]))?;
        run(&mut network.inside("ip", &["address", "add", &theirs, "dev", "eth0"]))?;
        run(&mut network.inside("ip", &["link", "set", "eth0", "up"]))?;
        Ok(network)
    }

    /// The address of what runs inside.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.host(2)
    }

    /// A command that runs inside.
    pub(crate) fn inside(&self, program: &str, arguments: &[&str]) -> Command {
        inside(self.keeper.pid(), program, arguments)
    }

    /// Drops each packet that comes or goes, or does so no more.
    pub(crate) fn drop_packets(&self, dropped: bool) -> Result<()> {
        let how = if dropped { "--append" } else { "--delete" };
        run(&mut self.inside("iptables", &[how, "INPUT", "--in-interface", "eth0", "--jump", "DROP"]))?;
        run(&mut self.inside("iptables", &[how, "OUTPUT", "--out-interface", "eth0", "--jump", "DROP"]))
    }

    /// These addresses are for measurements between networks; nobody is reached by them.
    fn host(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, 77, self.number * 4 + host)
    }
}

fn interface(number: u8) -> String {
    format!("healthboard{number}")
}

fn has_left(pid: u32) -> bool {
    let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    network(&pid.to_string()).is_some_and(|theirs| Some(theirs) != network("self"))
}

fn inside(pid: u32, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &pid.to_string(), program]).args(arguments);
    command
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {}", said.trim());
    Ok(())
}
