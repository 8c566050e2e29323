//! What an operator tells `HAProxy` about a server holds, whatever the server says to agent-checks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::haproxy::HaProxy;
use super::scenarios::Balancer;
use crate::deploy::until;
use crate::fleet::Services;
use crate::probe::get;
use crate::servers::{Server, free_port};
use crate::setup::Setup;

/// Some agent-checks.
const CHECKS: Duration = Duration::from_secs(4);
/// In which a server must be out, or get requests again; its weight grows slowly.
const LIMIT: Duration = Duration::from_secs(30);

/// Takes the first of two servers out behind `agent-of-host.cfg`: by an operator's `drain` and `maint`, and by draining itself until it
/// is restarted. Each has a service and an agent, which is its API as well.
///
/// # Errors
///
/// If it gets a request while it is out, a request fails, or it does not come back.
pub fn take_out_and_in(setup: &Setup) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let port = free_port()?;
    let mut hosts =
        [Host::start(setup, folder.path(), 11, port)?, Host::start(setup, folder.path(), 12, port)?];
    let text = Balancer::AgentOfHost.text().replace("192.0.2.1", "127.0.0.1");
    let text = text.replace("8774", &port.to_string()).replace("9955", &port.to_string());
    let haproxy = HaProxy::start(folder.path(), &text)?;
    comes_back(&haproxy)?;
    for state in ["drain", "maint"] {
        haproxy.command(&format!("set server nova-api/api1 state {state}"))?;
        is_out(&haproxy, state)?;
        haproxy.command("set server nova-api/api1 state ready")?;
        comes_back(&haproxy)?;
    }
    hosts[0].services.tell("drain")?;
    is_out(&haproxy, "draining")?;
    hosts[0].services = services(setup, &hosts[0].boards)?;
    comes_back(&haproxy)?;
    haproxy.stop();
    Ok(())
}

/// A host with a service and an agent.
struct Host {
    // Dropped in this order.
    _agent: Server,
    services: Services,
    boards: PathBuf,
}

impl Host {
    fn start(setup: &Setup, folder: &Path, number: u8, port: u16) -> Result<Self> {
        let folder = folder.join(number.to_string());
        let boards = folder.join("run");
        fs::create_dir_all(&boards)?;
        let services = services(setup, &boards)?;
        let uri = format!("tcp://127.0.0.{number}:{port}");
        let mut agent = Command::new(setup.programs().join("healthboard"));
        agent.args(["agent", "--listen", &uri, "--boards"]).arg(&boards);
        let is_ok = move || get(&uri, "/services/nova-api/readyz", LIMIT).is_ok_and(|(code, _)| code == 200);
        let mut agent = Server::new("agent", agent, &folder, is_ok)?;
        agent.start()?;
        Ok(Self { _agent: agent, services, boards })
    }
}

fn services(setup: &Setup, boards: &Path) -> Result<Services> {
    Services::start(setup, boards, &["nova-api".to_owned()])
}

/// Until the first server gets nothing, and for some checks more.
fn is_out(haproxy: &HaProxy, why: &str) -> Result<()> {
    until(why, LIMIT, |_| Ok(()), || Ok(Some(()).filter(|()| haproxy.idle().is_ok_and(|idle| idle[0]))))?;
    let before = haproxy.requests()?;
    sleep(CHECKS);
    (0..20).try_for_each(|_| request(haproxy))?;
    let got = haproxy.requests()?;
    ensure!(got[0] == before[0], "{why}: the server got {} of 20 requests", got[0] - before[0]);
    ensure!(haproxy.idle()? == [true, false], "{why}: {:?}", haproxy.idle()?);
    Ok(())
}

fn comes_back(haproxy: &HaProxy) -> Result<()> {
    let before = haproxy.requests()?;
    until(
        "a request to api1",
        LIMIT,
        |_| Ok(()),
        || {
            request(haproxy)?;
            Ok(Some(()).filter(|()| haproxy.requests().is_ok_and(|got| got[0] > before[0])))
        },
    )
    .map(drop)
}

fn request(haproxy: &HaProxy) -> Result<()> {
    let (code, body) = get(&format!("tcp://{}", haproxy.address()), "/", LIMIT)?;
    ensure!(code == 200, "{code}: {body}");
    Ok(())
}
