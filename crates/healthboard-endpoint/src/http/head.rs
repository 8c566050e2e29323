//! Parses the head of a request.
//!
//! Everything that two programs could parse differently is refused, since such differences allow request smuggling. The
//! result never depends on how the bytes were split. The request line is parsed here, and the header lines by `httparse`.

use httparse::{Error, Header, Status};
use memchr::{memchr, memchr_iter};

/// The longest head of a request, in bytes. A longer one is answered 431.
pub(crate) const MAX_HEAD_BYTES: usize = 8192;

/// The most header lines of a request. A request with more is answered 431.
pub(crate) const MAX_HEADERS: usize = 100;

/// Room for the header lines of one head.
pub(super) type Lines<'a> = [Header<'a>; MAX_HEADERS];

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// One line, including a line feed.
    pub(crate) why: &'static str,
}

impl Refusal {
    const fn bad(why: &'static str) -> Refusal {
        Refusal { status: 400, why }
    }

    /// The peer has closed its half in the middle of a head.
    pub(crate) const UNFINISHED: Refusal = Refusal::bad("the request ends in the middle of its head\n");

    /// The peer has taken too long for a head.
    pub(crate) const LATE: Refusal = Refusal { status: 408, why: "the head of the request took too long\n" };

    const TOO_LONG: Refusal = Refusal { status: 431, why: "the head of a request has at most 8192 bytes\n" };
    const TOO_MANY: Refusal = Refusal { status: 431, why: "a request has at most 100 headers\n" };
    const VERSION: Refusal = Refusal { status: 505, why: "only HTTP/1.0 and HTTP/1.1 are spoken here\n" };
    const CHARACTERS: Refusal = Refusal::bad("this is no HTTP request\n");
    const LINE: Refusal = Refusal::bad("the request line is not `METHOD TARGET HTTP/1.1`\n");
    const TARGET: Refusal = Refusal::bad("the target is neither a path nor an absolute URL\n");
    const NAME: Refusal = Refusal::bad("a header line is not `NAME: VALUE`\n");
    const VALUE: Refusal = Refusal::bad("a header has a forbidden character in its value\n");
    const LENGTH: Refusal = Refusal::bad("Content-Length is not one decimal number\n");
    const ENCODING: Refusal = Refusal::bad("the only Transfer-Encoding known is `chunked`, in HTTP/1.1\n");
    const AMBIGUOUS: Refusal = Refusal::bad("the request says more than once how long it is\n");
    const ENDS: Refusal = Refusal::bad("the lines of the request do not all end alike\n");
    const HOSTS: Refusal = Refusal::bad("more than one Host\n");
    const NO_HOST: Refusal = Refusal::bad("a request of HTTP/1.1 needs a Host\n");
}

/// The head of one request.
#[derive(Debug)]
pub(super) struct Head<'a> {
    /// Its length, including the final empty line.
    pub(super) bytes: usize,
    pub(super) method: &'a str,
    pub(super) target: Target<'a>,
    pub(super) version: Version,
    pub(super) host: Option<&'a [u8]>,
    /// Whether the peer may send another request on this connection.
    pub(super) keep_alive: bool,
    /// Whether a body follows.
    pub(super) has_body: bool,
    lines: &'a [Header<'a>],
}

/// The request target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// The authority of an absolute URL, which takes precedence over `Host`.
    pub(super) authority: Option<&'a str>,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http10,
    Http11,
}

impl<'a> Head<'a> {
    /// Parses the head at the start of these bytes; `None` if it is incomplete.
    pub(super) fn parse(bytes: &'a [u8], room: &'a mut Lines<'a>) -> Result<Option<Head<'a>>, Refusal> {
        let window = &bytes[..bytes.len().min(MAX_HEAD_BYTES)];
        let unfinished = || if window.len() < MAX_HEAD_BYTES { Ok(None) } else { Err(Refusal::TOO_LONG) };
        let Some(end) = memchr(b'\n', window) else {
            check_characters(window.strip_suffix(b"\r").unwrap_or(window))?;
            return unfinished();
        };
        let line = &window[..end];
        let (method, target, version) = request_line(line.strip_suffix(b"\r").unwrap_or(line))?;
        let (length, lines) = match httparse::parse_headers(&window[end + 1..], room) {
            Ok(Status::Complete(complete)) => complete,
            Ok(Status::Partial) => return unfinished(),
            Err(Error::TooManyHeaders) => return Err(Refusal::TOO_MANY),
            Err(Error::HeaderValue) => return Err(Refusal::VALUE),
            Err(_) => return Err(Refusal::NAME),
        };
        let bytes = end + 1 + length;
        check_line_ends(&window[..bytes])?;
        let mut head = Head {
            bytes,
            method,
            target,
            version,
            host: None,
            keep_alive: version == Version::Http11,
            has_body: false,
            lines,
        };
        head.read_lines()?;
        Ok(Some(head))
    }

    /// The name and the value of each line.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.lines.iter().map(|line| (line.name, line.value))
    }

    /// The values of all lines with this name. Names are compared without case.
    pub(super) fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        self.lines.iter().filter(move |line| line.name.eq_ignore_ascii_case(name)).map(|line| line.value)
    }

    /// Reads the lines that affect the connection.
    fn read_lines(&mut self) -> Result<(), Refusal> {
        let (mut length, mut encoding) = (None, None);
        let (mut close, mut keep_alive) = (false, false);
        for Header { name, value } in self.lines {
            // The length alone distinguishes most names.
            match name.len() {
                4 if name.eq_ignore_ascii_case("host") => once(&mut self.host, *value, Refusal::HOSTS)?,
                10 if name.eq_ignore_ascii_case("connection") => {
                    for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                        close |= option.eq_ignore_ascii_case(b"close");
                        keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if name.eq_ignore_ascii_case("content-length") => {
                    once(&mut length, content_length(value)?, Refusal::AMBIGUOUS)?;
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    once(&mut encoding, *value, Refusal::AMBIGUOUS)?;
                }
                _ => {}
            }
        }
        match encoding {
            Some(_) if length.is_some() => return Err(Refusal::AMBIGUOUS),
            Some(chunked) if self.version == Version::Http11 && chunked.eq_ignore_ascii_case(b"chunked") => {}
            Some(_) => return Err(Refusal::ENCODING),
            None => {}
        }
        if self.host.is_none() && self.version == Version::Http11 {
            return Err(Refusal::NO_HOST);
        }
        self.has_body = encoding.is_some() || length.is_some_and(|length| length > 0);
        self.keep_alive = !close && (keep_alive || self.version == Version::Http11);
        Ok(())
    }
}

/// Sets a value that a request may have only once.
fn once<T>(known: &mut Option<T>, value: T, refusal: Refusal) -> Result<(), Refusal> {
    known.replace(value).map_or(Ok(()), |_| Err(refusal))
}

fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    // Rust's parser would accept a sign.
    let digits = value.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(value).ok().filter(|_| digits);
    number.and_then(|text| text.parse().ok()).ok_or(Refusal::LENGTH)
}

/// Fails unless these bytes can be the beginning of a request line. So a client of another protocol is refused at its first
/// bytes.
fn check_characters(line: &[u8]) -> Result<(), Refusal> {
    let method = memchr(b' ', line).unwrap_or(line.len());
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let good =
        line[..method].iter().all(is_token) && line[method..].iter().all(|byte| (b' '..=b'~').contains(byte));
    if good { Ok(()) } else { Err(Refusal::CHARACTERS) }
}

/// Fails if some lines end in CRLF and others in a single LF. In a head that is typed by hand all lines may end in LF. But
/// among lines that end in CRLF, some programs take a single LF for a line end and others for a part of the value.
fn check_line_ends(head: &[u8]) -> Result<(), Refusal> {
    let mut ends = memchr_iter(b'\n', head).map(|at| at > 0 && head[at - 1] == b'\r');
    let first = ends.next();
    if ends.all(|end| Some(end) == first) { Ok(()) } else { Err(Refusal::ENDS) }
}

fn request_line(line: &[u8]) -> Result<(&str, Target<'_>, Version), Refusal> {
    check_characters(line)?;
    let line = std::str::from_utf8(line).map_err(|_| Refusal::CHARACTERS)?;
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::LINE);
    };
    let version = match version.as_bytes() {
        b"HTTP/1.1" => Version::Http11,
        b"HTTP/1.0" => Version::Http10,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(Refusal::VERSION),
        _ => return Err(Refusal::LINE),
    };
    if method.is_empty() || target.is_empty() {
        return Err(Refusal::LINE);
    }
    Ok((method, Target::parse(method, target)?, version))
}

impl<'a> Target<'a> {
    fn parse(method: &str, target: &'a str) -> Result<Target<'a>, Refusal> {
        if target.contains('#') {
            return Err(Refusal::TARGET);
        }
        if target.starts_with('/') {
            return Ok(Target::split(None, target));
        }
        match method {
            // This asks about the server as a whole.
            "OPTIONS" if target == "*" => return Ok(Target::split(None, "/")),
            // The target is a host without a path. The method is answered 405 in any case.
            "CONNECT" => return Ok(Target::split(None, "/")),
            _ => {}
        }
        let after = |scheme: &str| {
            let start = target.get(..scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then(|| &target[scheme.len()..])
        };
        let rest = after("http://").or_else(|| after("https://")).ok_or(Refusal::TARGET)?;
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return Err(Refusal::TARGET);
        }
        Ok(Target::split(Some(authority), path))
    }

    fn split(authority: Option<&'a str>, path: &'a str) -> Target<'a> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        Target { authority, path: if path.is_empty() { "/" } else { path }, query }
    }
}
