//! A running agent, services for it, and certificates.

use healthboard::{Handle, Impact, Policy, Service};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A time limit that only a hang reaches.
pub(crate) const HANG: Duration = Duration::from_secs(30);

/// The hash of `secret`, at the lowest cost.
pub(crate) const HASH: &str = "$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW";

pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_healthboard")).args(arguments).output().unwrap()
}

pub(crate) fn code(answer: &str) -> u16 {
    answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}")).1
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub(crate) fn critical() -> Policy {
    Policy { impact: Impact::Critical, ..Policy::DEFAULT }
}

/// A service of this process with a board and no endpoint.
pub(crate) fn start_service(name: &str, runtime: &Path) -> Handle {
    let builder = Service::builder(name).runtime_dir(runtime).option("uri", "board");
    let handle = builder.start_with(|keeper| keeper.listening(Ok(Vec::new()))).unwrap();
    handle.attach();
    handle
}

/// A process of this service that starts and dies, or says goodbye.
pub(crate) fn die(name: &str, runtime: &Path, goodbye: bool) {
    let mut role = Command::new(std::env::current_exe().unwrap());
    role.args(["--exact", "role"]).env("ROLE_SERVICE", name).env("ROLE_RUNTIME", runtime);
    if goodbye {
        role.env("ROLE_LEAVES", "");
    }
    assert!(!role.output().unwrap().status.success());
}

/// Services in processes of their own, as many as a process can have in each.
pub(crate) struct Crowd(Vec<Child>);

impl Crowd {
    pub(crate) fn start(prefix: &str, count: usize, runtime: &Path) -> Crowd {
        let names: Vec<String> = (0..count).map(|number| format!("{prefix}-{number}")).collect();
        let start = |names: &[String]| {
            let mut role = Command::new(std::env::current_exe().unwrap());
            role.args(["--exact", "role"]).env("ROLE_CROWD", names.join(",")).env("ROLE_RUNTIME", runtime);
            role.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap()
        };
        Crowd(names.chunks(16).map(start).collect())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What the processes of [`die`] and [`Crowd`] do.
pub(crate) fn role() {
    if let Some((names, runtime)) = std::env::var("ROLE_CROWD").ok().zip(std::env::var_os("ROLE_RUNTIME")) {
        let policy = healthboard::Policy::DEFAULT;
        for service in names.split(',').map(|name| start_service(name, Path::new(&runtime))) {
            service.tick();
            (0..8).for_each(|number| service.indicator(&format!("indicator-{number}"), policy).record_ok());
        }
        // Until the test ends.
        let _ = std::io::stdin().read(&mut [0]);
    }
    let Some((name, runtime)) = std::env::var("ROLE_SERVICE").ok().zip(std::env::var_os("ROLE_RUNTIME"))
    else {
        return;
    };
    let health = start_service(&name, Path::new(&runtime));
    health.tick();
    if std::env::var_os("ROLE_LEAVES").is_some() {
        health.goodbye();
    }
    // SAFETY: ends this process as the kernel would.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
}

/// Asks for something, by a connection of its own.
pub(crate) trait Asker {
    fn ask(&self, request: &str) -> String;

    fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }
}

/// A running agent.
pub(crate) struct Agent {
    child: Child,
    pub(crate) socket: PathBuf,
    said: Arc<Mutex<String>>,
}

impl Agent {
    /// On a unix socket beside the boards.
    pub(crate) fn start(runtime: &Path, more: &[&str]) -> Agent {
        let socket = runtime.join("agent.sock");
        let mut agent = Agent::at(&format!("unix://{}", socket.display()), runtime, more);
        agent.socket = socket;
        agent
    }

    pub(crate) fn at(uri: &str, runtime: &Path, more: &[&str]) -> Agent {
        // Only its owner may change it, whatever the umask.
        std::fs::set_permissions(runtime, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_healthboard"));
        command.args(["agent", "--listen", uri, "--boards"]).arg(runtime).args(more);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let said = Arc::new(Mutex::new(String::new()));
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        assert!(first.contains("listening on"), "{first}");
        let kept = said.clone();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                *kept.lock().unwrap() += &(line + "\n");
            }
        });
        Agent { child, socket: PathBuf::new(), said }
    }

    pub(crate) fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(10))).unwrap();
        stream
    }

    /// What it has logged.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// The most memory that it has used, in KiB.
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Tells it to read its configuration again.
    pub(crate) fn hang_up(&self) {
        self.signal(libc::SIGHUP);
    }

    /// Ends it in good order; returns what it has logged.
    pub(crate) fn end(&mut self) -> String {
        self.signal(libc::SIGTERM);
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.said()
    }

    fn signal(&self, signal: i32) {
        // SAFETY: plain system call; the child has not been waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }
}

impl Asker for Agent {
    fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate of X.509 version 1.
const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBJTCBywIUYkhJueOtCQRmUztcnDpw0yWkikUwCgYIKoZIzj0EAwIwFDESMBAG
A1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyNzE2Mjg1NVoYDzIxMjYxMTAzMTYyODU1
WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AASbED7gu+wMuMqMqaZbtZKL4OigX5jgJH2wjYmU5hzmX0CuP3WRxeG0rtbYb70H
BQxe5rQ7bKzoqloWVK6AWbBuMAoGCCqGSM49BAMCA0kAMEYCIQCBhFZW+/NbyuuI
Yw4BTBUWrw7CfuPa5NEiGIpFTj4ZHgIhAKfS+bzlNKGFbSHQzVi8wOcLSc4tb8rG
RkOJAC2wZzy3
-----END CERTIFICATE-----
";

/// An authority, and certificates of it for the server and a client, as files.
pub(crate) struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    pub(crate) fn new(directory: &Path) -> Certificates {
        let write = |name: &str, text: String| std::fs::write(directory.join(name), text).unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let mut expired = authority.clone();
        expired.not_after = rcgen::date_time_ymd(2001, 1, 1);
        write("expired-ca.crt", expired.self_signed(&key).unwrap().pem());
        let authority = CertifiedIssuer::self_signed(authority, key).unwrap();
        write("ca.crt", authority.pem());
        write("version-1.crt", VERSION_1.to_owned());
        for (name, host) in [("server", "localhost"), ("client", "operator"), ("expired", "operator")] {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
            if name == "expired" {
                params.not_after = rcgen::date_time_ymd(2001, 1, 1);
            }
            let certificate = params.signed_by(&key, &authority).unwrap();
            write(&format!("{name}.crt"), certificate.pem());
            write(&format!("{name}.key"), key.serialize_pem());
        }
        write("other.key", KeyPair::generate().unwrap().serialize_pem());
        Certificates { directory: directory.to_owned() }
    }

    /// A configuration with these further lines below `tls_server_config`.
    pub(crate) fn web_config(&self, more: &str) -> String {
        format!("tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n{more}")
    }

    /// The answer to a client that trusts the authority, and has this certificate.
    pub(crate) fn get(&self, port: u16, path: &str, own: Option<&str>) -> std::io::Result<String> {
        let mut stream = self.connect(port, own)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// How many of so many requests, each of `length` bytes and sent in one, are answered.
    pub(crate) fn pipeline(&self, port: u16, count: usize, length: usize) -> usize {
        let request = |more: &str| {
            let head = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{more}X: ");
            let padding = "x".repeat(length - head.len() - 4);
            format!("{head}{padding}\r\n\r\n")
        };
        let mut stream = self.connect(port, Some("client")).unwrap();
        let all = request("").repeat(count - 1) + &request("Connection: close\r\n");
        stream.write_all(all.as_bytes()).unwrap();
        let mut answers = String::new();
        stream.read_to_string(&mut answers).unwrap();
        answers.matches("HTTP/1.1 200").count()
    }

    fn connect(
        &self,
        port: u16,
        own: Option<&str>,
    ) -> std::io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let file = |name: &str| self.directory.join(name);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(file("ca.crt")).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let builder = builder.with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let certificate = CertificateDer::from_pem_file(file(&format!("{name}.crt"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(Arc::new(config), name).map_err(std::io::Error::other)?;
        let socket = TcpStream::connect(("127.0.0.1", port))?;
        socket.set_read_timeout(Some(HANG))?;
        Ok(StreamOwned::new(connection, socket))
    }
}
