//! A running endpoint for tests, with raw bytes in and raw bytes out.

use crate::connection::Limits;
use crate::http::{Answers, Ends, Outcome, ServicePages};
use crate::listen::{Listener, bind_tcp};
use crate::options::HttpOptions;
use crate::server::Server;
use healthboard::{
    Detail, Failure, Frame, Impact, Policy, Processes, Report, Role, Stacks, State, Status, Traced,
};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// A time limit that is reached only if something hangs.
pub(crate) const HANG: Duration = Duration::from_secs(30);

/// An endpoint in a thread of its own, which ends with the test process.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
}

impl Endpoint {
    /// An endpoint with the default settings and limits.
    pub(crate) fn of(report: Report) -> Endpoint {
        Endpoint::with(HttpOptions::default(), Limits::DEFAULT, report)
    }

    pub(crate) fn with(options: HttpOptions, limits: Limits, report: Report) -> Endpoint {
        let (listener, address) = any_port();
        serve(listener, options, limits, report);
        Endpoint { address }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(HANG)).unwrap();
        stream
    }

    /// The whole answer, without the date, to a client that sends its request and closes its half.
    pub(crate) fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_ref()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        rest_of(stream)
    }

    /// The whole answer to a client that keeps its half open: the endpoint must close.
    pub(crate) fn ask_and_wait(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        // The endpoint may have closed before it has read everything.
        let _ = stream.write_all(request.as_ref());
        rest_of(stream)
    }

    /// The answer to `GET path` with a good `Host`.
    pub(crate) fn get(&self, path: &str) -> String {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"))
    }
}

/// A directory that others may search but not write to, whatever the umask.
pub(crate) fn own_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    set_mode(directory.path(), 0o755);
    directory
}

/// Makes a directory with this mode, whatever the umask.
pub(crate) fn make_directory(path: &Path, mode: u32) {
    std::fs::create_dir(path).unwrap();
    set_mode(path, mode);
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs this as uid 65534, in a thread of its own: the kernel has user ids for each thread.
///
/// # Panics
///
/// If not run by root, or if `run` panics.
pub(crate) fn as_nobody<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let nobody: libc::uid_t = 65534;
    let thread = std::thread::spawn(move || {
        // SAFETY: plain system calls, which change this thread only.
        unsafe {
            let became = [
                libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()),
                libc::syscall(libc::SYS_setresgid, nobody, nobody, nobody),
                libc::syscall(libc::SYS_setresuid, nobody, nobody, nobody),
            ];
            assert_eq!(became, [0; 3], "this test has to be run by root");
        }
        run()
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A listening socket on a free port.
pub(crate) fn any_port() -> (Listener, SocketAddr) {
    let listener = bind_tcp(&[([127, 0, 0, 1], 0).into()]).unwrap().pop().unwrap();
    let Listener::Tcp(tcp) = &listener else { unreachable!() };
    let address = tcp.local_addr().unwrap();
    (listener, address)
}

/// Serves one listening socket in a thread.
pub(crate) fn serve(listener: Listener, options: HttpOptions, limits: Limits, report: Report) {
    std::thread::spawn(move || {
        let mut server = Server::new(Answers::new(&options), limits).unwrap();
        let mut pages = ServicePages::new(options);
        server.listen(listener.as_fd()).unwrap();
        loop {
            server.turn(Instant::now() + HANG, &mut pages.site(&mut || report.clone())).unwrap();
        }
    });
}

/// One turn of a server whose reports are made by `make`.
pub(crate) fn turn(
    server: &mut Server,
    until: Instant,
    make: &mut dyn FnMut() -> Report,
) -> std::io::Result<bool> {
    server.turn(until, &mut ServicePages::new(HttpOptions::default()).site(make))
}

/// The answers of a service without sockets.
pub(crate) struct Pages {
    pub(crate) answers: Answers,
    pub(crate) pages: ServicePages,
}

impl Pages {
    pub(crate) fn new(options: HttpOptions) -> Pages {
        Pages { answers: Answers::new(&options), pages: ServicePages::new(options) }
    }

    pub(crate) fn respond(
        &mut self,
        bytes: &[u8],
        last: bool,
        ends: Ends,
        make: &mut dyn FnMut() -> Report,
    ) -> Outcome {
        self.answers.respond(bytes, last, ends, &mut self.pages.site(make))
    }
}

/// Everything until the endpoint closes, without the date.
pub(crate) fn rest_of(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        let answer = String::from_utf8_lossy(&bytes);
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "hangs after {answer:?}");
    }
    let answer = String::from_utf8(bytes).unwrap();
    let dateless = answer.split_inclusive("\r\n").filter(|line| !line.starts_with("date: "));
    dateless.collect()
}

/// The status code of an answer.
pub(crate) fn code(answer: &str) -> u16 {
    answer.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

/// The body of an answer.
pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer:?}")).1
}

/// A report with this status; if it is not `Ok`, `message_bus` is the cause.
pub(crate) fn report(status: Status) -> Report {
    let detail = Detail {
        status: Status::Ok,
        state: State::Passing,
        impact: Impact::Critical,
        success_age: Some(Duration::from_secs(2)),
        failure_age: None,
        failures: 0,
        in_flight: 0,
        oldest_age: None,
        error: None,
        ttl: Policy::DEFAULT.ttl,
        message: String::new(),
    };
    let mut report = Report {
        status,
        message: String::new(),
        service: "nova-compute".to_owned(),
        time: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_347_602),
        processes: Processes { alive: 2, serving: Some(4711), ..Processes::default() },
        draining: false,
        stopped: false,
        refused: 0,
        refused_name: None,
        stacks: Vec::new(),
        unobserved_for: Duration::ZERO,
        history: Arc::default(),
        details: BTreeMap::from([
            ("database".to_owned(), detail.clone()),
            ("message_bus".to_owned(), detail),
        ]),
    };
    if status > Status::Ok {
        report.message =
            "message_bus: ConnectionRefusedError, 3 failures in 12 s, last success 14 s ago".to_owned();
        let message_bus = report.details.get_mut("message_bus").unwrap();
        message_bus.status = status;
        message_bus.state = if status == Status::Fault { State::Failing } else { State::Transient };
        message_bus.failure_age = Some(Duration::from_secs(1));
        message_bus.failures = 3;
        message_bus.error =
            Some(Failure { class: "ConnectionRefusedError".to_owned(), ..Failure::default() });
        message_bus.message.clone_from(&report.message);
    }
    report
}

/// The stacks of a process whose main thread hangs.
pub(crate) fn traced() -> Traced {
    let mut stacks = Stacks::at(1);
    stacks.add(Role::Main, vec![Frame::new("host.py", 1234, "list_all_domains")]);
    Traced { pid: 4711, stacks: Arc::new(stacks) }
}
