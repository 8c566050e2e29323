//! The fragments in `deploy` for balancers, with the real programs. `cargo xtask deploy balancers` plays all faults.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use healthboard_e2e::Setup;
use healthboard_e2e::deploy::balancers::{
    Balancer, Extent, Fault, codes_after_a_bug, play_all, take_out_and_in,
};

/// Fewer requests, and times that fit. A server that is busy with other tests as well must not be full: then a request has nowhere to
/// go.
fn extent() -> Extent {
    let option = |name, value: &str| (name, value.to_owned());
    Extent {
        requests: 250,
        per_second: 15,
        before: Duration::from_secs(2),
        fault: Duration::from_secs(30),
        ends_early: true,
        options: vec![option("HEALTHBOARD_FAILURE_WINDOW", "2"), option("HEALTHBOARD_REFRESH_INTERVAL", "2")],
        ..Extent::full()
    }
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn a_balancer_loses_nothing_that_it_could_save_while_one_or_all_lose_their_database() -> Result<()> {
    let passing = [Balancer::Bare, Balancer::Degraded, Balancer::HostName, Balancer::UnixSocket];
    let mut scenarios = passing.map(|balancer| (Fault::None, balancer)).to_vec();
    scenarios.extend([Fault::DatabaseOfOne, Fault::DatabaseOfBoth].map(|fault| (fault, Balancer::Readyz)));
    for played in play_all(&Setup::open()?, &scenarios, &extent(), |_| Ok(()))? {
        assert!(played.is_right() && played.requests > 0, "{played:#?}");
        if played.fault != Fault::None {
            assert!(played.out_after.is_some(), "it was not taken out: {played:#?}");
            assert!(played.in_after.is_some(), "it was not taken in again: {played:#?}");
            assert!(played.requests >= extent().requests, "{played:#?}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn an_operators_drain_and_maintenance_hold_and_a_server_that_drains_gets_nothing_until_it_is_back()
-> Result<()> {
    take_out_and_in(&Setup::open()?)
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn a_bug_of_one_request_takes_nothing_else_from_the_users_of_nginx() -> Result<()> {
    let [bug, others] = codes_after_a_bug()?;
    // 502 where no further server is left to ask.
    assert!(bug.iter().all(|code| [500, 502].contains(code)), "{bug:?}");
    assert_eq!(others, [200; 20]);
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn each_program_accepts_its_fragments() -> Result<()> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let folder = tempfile::tempdir()?;
    let defaults = deploy.join("haproxy/openstack-api.cfg");
    let front = folder.path().join("front.cfg");
    fs::write(
        &front,
        "defaults front\n    mode http\n    timeout client 9s\n    timeout connect 9s\n    timeout server 9s\n\
         frontend front from front\n    bind 127.0.0.1:1\n    default_backend nova-api\n",
    )?;
    for fragment in fragments(&deploy.join("haproxy"))?.iter().filter(|fragment| **fragment != defaults) {
        accepts(
            Command::new("haproxy")
                .arg("-c")
                .arg("-f")
                .arg(&front)
                .arg("-f")
                .arg(&defaults)
                .arg("-f")
                .arg(fragment),
        )?;
    }
    for fragment in fragments(&deploy.join("nginx"))? {
        // It binds its addresses even in a test.
        let text = fs::read_to_string(&fragment)?.replace("192.0.2.10:8774", "127.0.0.10:8774");
        let file = folder.path().join("nginx.conf");
        fs::write(
            &file,
            format!("pid nginx.pid; error_log stderr;\nevents {{}}\nhttp {{ access_log off;\n{text}}}\n"),
        )?;
        accepts(Command::new("nginx").arg("-t").arg("-p").arg(folder.path()).arg("-c").arg(&file))?;
    }
    for fragment in fragments(&deploy.join("keepalived"))? {
        // The user, the program and the interface must exist.
        let text = fs::read_to_string(&fragment)?
            .replace("user nova\n", "user root\n")
            .replace("/usr/bin/healthboard", "/bin/true")
            .replace("eth0", &interface()?);
        let file = folder.path().join("keepalived.conf");
        fs::write(&file, text)?;
        accepts(Command::new("keepalived").arg("-t").arg("-f").arg(&file))?;
    }
    Ok(())
}

/// The files of a folder of fragments.
fn fragments(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    ensure!(!files.is_empty(), "no fragments in {}", folder.display());
    Ok(files)
}

/// A network interface over which VRRP can speak.
fn interface() -> Result<String> {
    const MULTICAST: u32 = 0x1000;
    let has_multicast = |path: &Path| {
        let flags = fs::read_to_string(path.join("flags")).ok();
        flags
            .and_then(|flags| u32::from_str_radix(flags.trim().strip_prefix("0x")?, 16).ok())
            .is_some_and(|flags| flags & MULTICAST != 0)
    };
    let mut entries = fs::read_dir("/sys/class/net")?.filter_map(Result::ok);
    let entry = entries.find(|entry| has_multicast(&entry.path()));
    Ok(entry.context("no network interface has multicast")?.file_name().to_string_lossy().into_owned())
}

/// Runs a check of a configuration, which must say nothing bad.
fn accepts(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && !text.contains("WARNING"), "{command:?} ({}): {text}", output.status);
    Ok(())
}
