//! The bytes of an answer.

use super::head::Version;
use std::fmt::Write as _;
use std::rc::Rc;

/// The methods that are answered.
const ALLOW: &str = "GET, HEAD, OPTIONS";

/// The media type of text.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// The media type of a page.
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// From how many bytes on a body is not copied behind the head, but shared with other answers.
const LONG_BODY: usize = 16 << 10;

/// After how many seconds a page is reloaded.
const REFRESH_SECONDS: &str = "5";

/// What a page may load: only the icon and the style that it contains. No scripts, frames or forms.
const PAGE_POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; \
                           form-action 'none'; frame-ancestors 'none'";

/// The content of an answer, without its framing.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) media: &'static str,
    pub(crate) body: Rc<str>,
    /// Whether the answer depends on `Accept`.
    pub(crate) vary: bool,
    /// Whether the service is degraded: sets `x-envoy-degraded`.
    pub(crate) degraded: bool,
    /// Whether to add `Allow`.
    pub(crate) allow: bool,
    /// Whether a browser should reload it.
    pub(crate) refresh: bool,
    /// Whether to ask for a password.
    pub(crate) challenge: bool,
    /// Whether to send the headers that WebOb sends, spelled as there, and no others but `connection` and `date`.
    pub(crate) by_webob: bool,
}

/// The framing of an answer.
#[derive(Debug)]
pub(super) struct Framing<'a> {
    pub(super) version: Version,
    pub(super) connection: Option<&'static str>,
    pub(super) without_body: bool,
    pub(super) cache_control: Option<&'a str>,
    pub(super) date: &'a str,
}

impl Response {
    pub(crate) fn text(status: u16, body: impl Into<Rc<str>>) -> Response {
        Response {
            status,
            media: TEXT,
            body: body.into(),
            vary: false,
            degraded: false,
            allow: false,
            refresh: false,
            challenge: false,
            by_webob: false,
        }
    }

    pub(super) fn as_by_webob(status: u16, media: &'static str, body: String) -> Response {
        Response { media, by_webob: true, ..Response::text(status, body) }
    }

    pub(crate) fn allowing(self, allow: bool) -> Response {
        Response { allow, ..self }
    }

    /// The head with the body, or the head and a long body.
    pub(super) fn render(&self, framing: &Framing<'_>) -> (Vec<u8>, Option<Rc<str>>) {
        let is_long = self.body.len() >= LONG_BODY;
        let mut head = String::with_capacity(512 + if is_long { 0 } else { self.body.len() });
        let version = match framing.version {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        };
        // Writing to a String does not fail.
        let _ = write!(head, "{version} {} {}\r\n", self.status, reason(self.status));
        let mut header = |name: &str, value: &str| {
            let _ = write!(head, "{name}: {value}\r\n");
        };
        let has_body = self.status != 204;
        match self.by_webob {
            true if has_body => header("Content-Type", self.media),
            true => {}
            false => self.headers(framing, &mut header),
        }
        if let Some(value) = framing.connection {
            header("connection", value);
        }
        if has_body {
            let name = if self.by_webob { "Content-Length" } else { "content-length" };
            header(name, &self.body.len().to_string());
        }
        header("date", framing.date);
        head.push_str("\r\n");
        if !framing.without_body && !is_long {
            head.push_str(&self.body);
        }
        (head.into_bytes(), (!framing.without_body && is_long).then(|| self.body.clone()))
    }

    fn headers(&self, framing: &Framing<'_>, header: &mut impl FnMut(&str, &str)) {
        header("content-type", self.media);
        if self.vary {
            header("vary", "Accept");
        }
        if self.degraded {
            header("x-envoy-degraded", "true");
        }
        if self.allow {
            header("allow", ALLOW);
        }
        if self.challenge {
            header("www-authenticate", "Basic realm=\"healthboard\", charset=\"UTF-8\"");
        }
        if self.refresh {
            header("refresh", REFRESH_SECONDS);
        }
        if self.media == HTML {
            header("content-security-policy", PAGE_POLICY);
            header("referrer-policy", "no-referrer");
        }
        header("x-content-type-options", "nosniff");
        header("cross-origin-resource-policy", "same-origin");
        if let Some(value) = framing.cache_control {
            header("cache-control", value);
        }
    }
}

/// The reason phrase of a status code.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        203 => "Non-Authoritative Information",
        206 => "Partial Content",
        207 => "Multi-Status",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        417 => "Expectation Failed",
        418 => "I'm a Teapot",
        422 => "Unprocessable Content",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => match status / 100 {
            2 => "Success",
            3 => "Redirection",
            4 => "Client Error",
            _ => "Server Error",
        },
    }
}
