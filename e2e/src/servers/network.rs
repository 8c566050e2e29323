//! A private network for one server, which can be cut without closing or resetting connections.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::daemon::Daemon;

/// Erlang's port mapper keeps the network alive. RabbitMQ needs a private one anyway.
const KEEPER_SCRIPT: &str = "ip link set lo up && exec epmd";
/// The maximum number of networks at the same time.
const MAX_NETWORKS: u8 = 64;
/// Much longer than the creation of a network takes.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A network namespace, connected with ours by a pair of virtual interfaces.
///
/// It has no name and no file: it disappears with its last process, together with both interfaces.
pub(crate) struct Network {
    keeper: Daemon,
    number: u8,
}

impl Network {
    /// Creates the network, with a port mapper of Erlang in it.
    ///
    /// # Errors
    ///
    /// If this is not permitted.
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", KEEPER_SCRIPT]).current_dir(folder);
        let mut keeper = Daemon::spawn("epmd", &mut command)?;
        let start = Instant::now();
        // Until `unshare` has created the network, the process is still in ours.
        while !has_own_network(keeper.pid()) || !succeeds(&mut inside(keeper.pid(), "epmd", &["-names"])) {
            if let Some(status) = keeper.try_wait()? {
                anyhow::bail!(
                    "cannot create a network namespace ({status})\nnext: run it as root, with CAP_SYS_ADMIN and CAP_NET_ADMIN"
                );
            }
            ensure!(
                start.elapsed() < START_TIMEOUT,
                "the port mapper of Erlang does not answer\nnext: run `epmd`"
            );
            sleep(Duration::from_millis(10));
        }
        // Creating an interface fails if its number is taken.
        let number = (0..MAX_NETWORKS)
            .find(|number| {
                let (name, pid) = (interface(*number), keeper.pid().to_string());
                let pair = ["link", "add", &name, "type", "veth", "peer", "name", "eth0", "netns", &pid];
                succeeds(Command::new("ip").args(pair))
            })
            .context("cannot create a pair of interfaces\nnext: ip link show type veth")?;
        let network = Self { keeper, number };
        let (ours, theirs) = (format!("{}/30", network.host(1)), format!("{}/30", network.host(2)));
        let name = interface(number);
        run(Command::new("ip").args(["address", "add", &ours, "dev", &name]))?;
        run(Command::new("ip").args(["link", "set", &name, "up"]))?;
        run(&mut network.inside("ip", &["address", "add", &theirs, "dev", "eth0"]))?;
        run(&mut network.inside("ip", &["link", "set", "eth0", "up"]))?;
        Ok(network)
    }

    /// The address of the server inside.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.host(2)
    }

    /// A command that runs inside.
    pub(crate) fn inside(&self, program: &str, arguments: &[&str]) -> Command {
        inside(self.keeper.pid(), program, arguments)
    }

    /// Starts or stops dropping all packets.
    pub(crate) fn drop_packets(&self, dropped: bool) -> Result<()> {
        let how = if dropped { "--append" } else { "--delete" };
        run(&mut self.inside("iptables", &[how, "INPUT", "--in-interface", "eth0", "--jump", "DROP"]))?;
        run(&mut self.inside("iptables", &[how, "OUTPUT", "--out-interface", "eth0", "--jump", "DROP"]))
    }

    /// An address from a range reserved for benchmarks, which is not routed.
    fn host(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, 77, self.number * 4 + host)
    }
}

fn interface(number: u8) -> String {
    format!("healthboard{number}")
}

fn has_own_network(pid: u32) -> bool {
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
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} failed: {}", stderr.trim());
    Ok(())
}
