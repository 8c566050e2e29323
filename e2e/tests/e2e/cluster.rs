//! The cluster itself: what the tests of faults rely on.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, ensure};
use healthboard_e2e::{ALL, API, COMPUTE_LIBVIRT, Cluster, Concurrency, METADATA, Setup, ask, children, get};

/// Much longer than a server takes to answer, and much shorter than any client waits for a server that is cut off.
const TIMEOUT: Duration = Duration::from_secs(2);

fn all_services_are_ok(concurrency: Concurrency) -> Result<()> {
    let mut cluster = Cluster::new(&Setup::open()?, concurrency)?;
    for service in ALL {
        cluster.start(service)?;
    }
    cluster.ready()?;
    for service in ALL {
        let answer = ask(&cluster.uri(service))?;
        assert_eq!((answer.status(), answer.code), ("OK", 200), "{service}: {}", answer.body);
        assert_eq!(answer.body["service"], service);
    }
    assert_eq!(ask(&cluster.uri(COMPUTE_LIBVIRT))?.state("hypervisor"), "passing");
    let headers = "-H 'X-User-Id: u' -H 'X-Project-Id: p' -H 'X-Roles: admin'";
    let api = cluster.api_url().replace("tcp://", "http://");
    let output = cluster.shell(&format!("curl -s {headers} {api}/v2.1/os-services"))?.text;
    // Conductor, scheduler and two computes: this needs both databases, the bus and the API without Keystone.
    assert_eq!(output.matches(r#""state": "up""#).count(), 4, "{output}");
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn all_services_are_ok_in_native_threads() -> Result<()> {
    all_services_are_ok(Concurrency::Threading)
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn all_services_are_ok_with_eventlet() -> Result<()> {
    all_services_are_ok(Concurrency::Eventlet)
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn a_broker_that_is_cut_off_neither_refuses_nor_resets() -> Result<()> {
    let mut cluster = Cluster::new(&Setup::open()?, Concurrency::Threading)?;
    let address = cluster.rabbitmq().address();
    let mut open = greet(address)?;
    cluster.rabbitmq().blackhole()?;
    assert_eq!(greet(address).map_err(|error| error.kind()).err(), Some(ErrorKind::TimedOut));
    open.write_all(&[0])?;
    let kind = open.read(&mut [0; 512]).map_err(|error| error.kind());
    assert_eq!(kind, Err(ErrorKind::WouldBlock), "an open connection stays open and silent");
    cluster.rabbitmq().restore()?;
    greet(address)?;
    Ok(())
}

/// Sends the protocol header, and reads the frame that answers.
fn greet(address: SocketAddr) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(b"AMQP\x00\x00\x09\x01")?;
    let mut head = [0; 7];
    stream.read_exact(&mut head)?;
    let [_, _, _, size @ ..] = head;
    let rest = usize::try_from(u32::from_be_bytes(size)).unwrap_or_default() + 1;
    stream.read_exact(&mut vec![0; rest])?;
    Ok(stream)
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn the_faults_of_the_database_have_the_right_error_codes() -> Result<()> {
    let mut cluster = Cluster::new(&Setup::open()?, Concurrency::Threading)?;
    assert_eq!(query(&mut cluster)?, "");
    cluster.mariadb().exhaust_connections()?;
    let output = query(&mut cluster)?;
    assert!(output.contains("1040"), "{output}");
    cluster.mariadb().release_connections()?;
    assert_eq!(query(&mut cluster)?, "");
    cluster.mariadb().change_password()?;
    let output = query(&mut cluster)?;
    assert!(output.contains("1045"), "{output}");
    cluster.mariadb().restore_password()?;
    assert_eq!(query(&mut cluster)?, "");
    cluster.mariadb().stop();
    let output = query(&mut cluster)?;
    assert!(output.contains("2002"), "{output}");
    cluster.mariadb().start()?;
    assert_eq!(query(&mut cluster)?, "");
    Ok(())
}

/// The error message for a client with Nova's account; empty if there is none.
fn query(cluster: &mut Cluster) -> Result<String> {
    let (port, password) = (cluster.mariadb().address().port(), cluster.mariadb().password());
    let who = format!("--user=nova --password={password} --host=127.0.0.1 --port={port}");
    Ok(cluster.shell(&format!("mariadb --no-defaults --protocol=TCP {who} nova -e 'DO 1'"))?.text)
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn a_server_that_was_killed_starts_again() -> Result<()> {
    let mut cluster = Cluster::new(&Setup::open()?, Concurrency::Threading)?;
    cluster.rabbitmq().kill()?;
    cluster.mariadb().kill()?;
    cluster.libvirtd().kill()?;
    cluster.placement().kill()?;
    cluster.mariadb().start()?;
    cluster.rabbitmq().start()?;
    cluster.libvirtd().start()?;
    cluster.placement().start()
}

/// Runs this test again in a child, which creates a cluster and is killed.
#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn nothing_of_a_cluster_is_left_when_its_starter_is_killed() -> Result<()> {
    const NAME: &str = "cluster::nothing_of_a_cluster_is_left_when_its_starter_is_killed";
    const FOLDER_FILE_VARIABLE: &str = "HEALTHBOARD_E2E_FOLDER_FILE";
    if let Some(path) = env::var_os(FOLDER_FILE_VARIABLE) {
        let cluster = Cluster::new(&Setup::open()?, Concurrency::Threading)?;
        fs::write(path, cluster.folder().display().to_string())?;
        sleep(Duration::from_secs(600));
    }
    let folder_file = tempfile::NamedTempFile::new()?;
    let mut starter = Command::new(env::current_exe()?)
        .args(["--exact", NAME, "--ignored"])
        .env(FOLDER_FILE_VARIABLE, folder_file.path())
        .stdout(Stdio::null())
        .spawn()?;
    let folder = eventually(|| fs::read_to_string(&folder_file).ok().filter(|text| !text.is_empty()))?;
    let servers = processes_in(Path::new(&folder));
    ensure!(servers.len() >= 5, "expected at least five servers in the folder, found {servers:?}");
    let network =
        servers.iter().find_map(|pid| private_network(*pid)).context("no server has a private network")?;
    ensure!(children(starter.id()).len() >= servers.len(), "each has a guard");
    starter.kill()?;
    starter.wait()?;
    eventually(|| processes_in(Path::new(&folder)).is_empty().then_some(()))?;
    let all = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    assert!(!all.filter_map(private_network).any(|other| other == network));
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// The processes whose working directory is this folder, or below it.
fn processes_in(folder: &Path) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|path| path.starts_with(folder))
        })
        .collect()
}

/// The network namespace of a process, if it is not ours.
fn private_network(pid: u32) -> Option<std::path::PathBuf> {
    let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
    network(&pid.to_string()).filter(|theirs| Some(theirs) != network("self").as_ref())
}

fn eventually<T>(look: impl Fn() -> Option<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        ensure!(start.elapsed() < Duration::from_secs(180), "this took more than three minutes");
        sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn lazy_apis_are_ok() -> Result<()> {
    let mut cluster = Cluster::new(&Setup::open()?, Concurrency::Threading)?;
    for service in [API, METADATA] {
        cluster.start_with(service, &["--lazy-apps"], &[])?;
    }
    cluster.ready()?;
    for service in [API, METADATA] {
        let answer =
            cluster.until(service, "OK, with both workers", |answer| answer.processes("alive") == 2)?;
        assert_eq!(answer.status(), "OK", "{}", answer.body);
    }
    Ok(())
}

#[test]
#[ignore = "needs the stage: cargo xtask test e2e"]
fn healthcheck_on_the_api_port_notices_a_lost_database_once_the_backend_is_named() -> Result<()> {
    let mut cluster = Cluster::new(&Setup::open()?, Concurrency::Threading)?;
    // `/before` is what operators have today.
    let path = cluster.folder().join("api-paste.ini");
    let mut text = fs::read_to_string(&path)?
        .replace("/healthcheck: healthcheck", "/healthcheck: healthcheck\n/before: before");
    let file = "disable_by_file_path = healthcheck_disable";
    text += &format!("backends = disable_by_file, healthboard\n{file}\n\n[app:before]\n");
    text += &format!(
        "paste.app_factory = oslo_middleware:Healthcheck.app_factory\nbackends = disable_by_file\n{file}\n"
    );
    fs::write(&path, text)?;
    cluster.start(API)?;
    cluster.ready()?;
    let api = cluster.api_url();
    let get = |path: &str| get(&api, path, TIMEOUT);
    let expect = |cluster: &mut Cluster, code: u16| -> Result<String> {
        let asked = || get("/healthcheck").ok().filter(|answer| answer.0 == code);
        let found = cluster.wait_for(Duration::from_secs(60), asked)?;
        Ok(found.with_context(|| format!("/healthcheck: expected {code} within a minute"))?.1)
    };
    let well = "OK\nhealthboard: OK";
    assert_eq!(expect(&mut cluster, 200)?, well);
    cluster.mariadb().stop();
    let reason = expect(&mut cluster, 503)?;
    println!("{reason}");
    assert!(reason.starts_with("OK\nhealthboard: FAULT: "), "{reason}");
    assert!(reason.contains("database: OperationalError 2003"), "{reason}");
    assert_eq!(get("/before")?, (200, String::from("OK")));
    cluster.mariadb().start()?;
    let reason = expect(&mut cluster, 200)?;
    assert!(reason.starts_with("OK\nhealthboard: "), "{reason}");
    cluster.until(API, "OK", |answer| answer.status() == "OK")?;
    let again = cluster.wait_for(TIMEOUT, || get("/healthcheck").ok().filter(|answer| answer.1 == well))?;
    assert_eq!(again, Some((200, well.to_owned())));
    assert_eq!(get("/before")?, (200, String::from("OK")));
    Ok(())
}
