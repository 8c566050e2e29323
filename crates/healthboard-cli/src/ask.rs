//! Requests to an endpoint. They end by the deadline, whatever the other side does.

use healthboard::format::{Answer, HostAnswer};
use healthboard::{Report, Uri};
use socket2::{Domain, SockAddr, Socket, Type};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// The longest accepted answer, in bytes. That is enough for about ten thousand indicators.
const LONGEST: usize = 4 << 20;

/// An answer, and the text from which it was parsed.
pub(crate) struct Answered {
    pub(crate) answer: Answer,
    pub(crate) body: String,
    /// Whose answer it is: the name of an agent's host, the URI of an endpoint, or `boards`.
    pub(crate) from: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    Connect(io::Error),
    Talk(io::Error),
    TimedOut,
    TooLong,
    CutOff { found: usize, expected: usize },
    NotHttp,
    Tls,
    NotAReport { code: u16, why: serde_json::Error },
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoAnswer::Connect(why) => write!(f, "cannot connect: {why}"),
            NoAnswer::Talk(why) => write!(f, "connection lost: {why}"),
            NoAnswer::TimedOut => f.write_str("timed out"),
            NoAnswer::TooLong => write!(f, "found more than {LONGEST} bytes"),
            NoAnswer::CutOff { found, expected } => write!(f, "found {found} bytes, expected {expected}"),
            NoAnswer::NotHttp => f.write_str("found something other than HTTP"),
            NoAnswer::Tls => f.write_str("found TLS, expected HTTP without it"),
            NoAnswer::NotAReport { code: 401, .. } => f.write_str("it wants a password (HTTP status 401)"),
            NoAnswer::NotAReport { code, why } => {
                write!(f, "found HTTP status {code} and no report of a service: {why}")
            }
        }
    }
}

impl From<io::Error> for NoAnswer {
    fn from(why: io::Error) -> NoAnswer {
        // A `connect` that has timed out returns `EINPROGRESS`.
        let over = matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
            || why.raw_os_error() == Some(libc::EINPROGRESS);
        if over { NoAnswer::TimedOut } else { NoAnswer::Talk(why) }
    }
}

/// The form of the answer to ask for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Short,
    /// With stacks.
    Verbose,
}

impl Form {
    fn query(self) -> &'static str {
        if self == Form::Verbose { "?verbose" } else { "" }
    }
}

impl Answered {
    /// The answer that the service's endpoint would give.
    pub(crate) fn of(report: &Report, how: Form) -> Answered {
        let body = match how {
            Form::Short => healthboard::format::json(report),
            Form::Verbose => healthboard::format::verbose_json(report),
        };
        Answered { answer: Answer::of_report(report), body, from: "boards".to_owned() }
    }
}

/// The answer for a service, with its name if it comes from an agent.
type Named = (Option<String>, Result<Answered, NoAnswer>);

/// Asks an endpoint for its service, or an agent for all of its services, one after the other.
pub(crate) fn ask(uri: &Uri, how: Form, deadline: Instant) -> Result<Vec<Named>, NoAnswer> {
    let (code, body) = get(uri, &format!("/health{}", how.query()), deadline)?;
    match healthboard::format::parse(&body) {
        Ok(answer) => Ok(vec![(None, Ok(Answered { answer, body, from: uri.to_string() }))]),
        Err(why) => match serde_json::from_str::<HostAnswer>(&body) {
            Ok(HostAnswer { host, services, .. }) => Ok(services
                .into_keys()
                .map(|name| {
                    let answered = ask_agent(uri, &name, &host, how, deadline);
                    (Some(name), answered)
                })
                .collect()),
            Err(_) => Err(NoAnswer::NotAReport { code, why }),
        },
    }
}

fn ask_agent(
    uri: &Uri,
    service: &str,
    host: &str,
    how: Form,
    deadline: Instant,
) -> Result<Answered, NoAnswer> {
    let (code, body) = get(uri, &format!("/services/{service}/health{}", how.query()), deadline)?;
    match healthboard::format::parse(&body) {
        Ok(answer) => Ok(Answered { answer, body, from: host.to_owned() }),
        Err(why) => Err(NoAnswer::NotAReport { code, why }),
    }
}

/// Requests a path. Returns the HTTP status code and the body.
pub(crate) fn get(uri: &Uri, path: &str, deadline: Instant) -> Result<(u16, String), NoAnswer> {
    let mut socket = connect(uri, deadline)?;
    socket.set_write_timeout(Some(left(deadline)?))?;
    // With HTTP/1.0 the answer is not chunked, and ends with the connection.
    let request = format!(
        "GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\nUser-Agent: healthboard\r\n\r\n"
    );
    socket.write_all(request.as_bytes())?;
    let mut received = Vec::with_capacity(8 << 10);
    let mut chunk = [0; 8 << 10];
    loop {
        socket.set_read_timeout(Some(left(deadline)?))?;
        match socket.read(&mut chunk) {
            Ok(0) => return finish(&received),
            Ok(n) => received.extend_from_slice(&chunk[..n]),
            Err(why) if why.kind() == ErrorKind::Interrupted => {}
            Err(why) => return Err(why.into()),
        }
        if received.len() > LONGEST {
            return Err(NoAnswer::TooLong);
        }
    }
}

/// Connects to the first address that accepts. The send timeout limits `connect` as well, both for TCP and for a unix socket
/// whose backlog is full.
fn connect(uri: &Uri, deadline: Instant) -> Result<Socket, NoAnswer> {
    let addresses: Vec<(Domain, SockAddr)> = match uri {
        Uri::Unix(path) => vec![(Domain::UNIX, SockAddr::unix(path).map_err(NoAnswer::Connect)?)],
        tcp => tcp.addresses().into_iter().map(|ip| (Domain::for_address(ip), ip.into())).collect(),
    };
    let mut last = NoAnswer::TimedOut;
    for (domain, address) in addresses {
        let attempt = || -> io::Result<Socket> {
            let socket = Socket::new(domain, Type::STREAM, None)?;
            socket.set_write_timeout(Some(left(deadline)?))?;
            connect_socket(&socket, &address, deadline)?;
            Ok(socket)
        };
        match attempt() {
            Ok(socket) => return Ok(socket),
            Err(why) => {
                last = match NoAnswer::from(why) {
                    NoAnswer::Talk(why) => NoAnswer::Connect(why),
                    other => other,
                }
            }
        }
    }
    Err(last)
}

/// Connects, also if signals come in between, such as that of a resized window.
fn connect_socket(socket: &Socket, address: &SockAddr, deadline: Instant) -> io::Result<()> {
    loop {
        let Err(error) = socket.connect(address) else { return Ok(()) };
        match error.raw_os_error() {
            // TCP goes on connecting after a signal.
            Some(libc::EINTR | libc::EALREADY) => left(deadline)?,
            Some(libc::EISCONN) => return Ok(()),
            _ => return Err(error),
        };
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn finish(received: &[u8]) -> Result<(u16, String), NoAnswer> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(received) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Err(NoAnswer::Talk(ErrorKind::UnexpectedEof.into())),
        // An alert, with which a server of TLS refuses everything else.
        Err(_) if received.starts_with(&[0x15, 0x03]) => return Err(NoAnswer::Tls),
        Err(_) => return Err(NoAnswer::NotHttp),
    };
    let code = response.code.unwrap_or_default();
    let body = &received[head..];
    let stated = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let stated = stated.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    if let Some(expected) = stated.filter(|expected| body.len() < *expected) {
        return Err(NoAnswer::CutOff { found: body.len(), expected });
    }
    Ok((code, String::from_utf8_lossy(body).into_owned()))
}
