//! Answers requests by the rules that apply to all of them, and keeps answers.
//!
//! Evidence has the resolution of the coarse clock, so the same request within a tick gets the same bytes again: in a flood,
//! a probe costs a comparison. A [`Site`] provides the content of answers.

use super::agent_check;
use super::date::Date;
use super::head::{Head, Lines, MAX_HEADERS, Refusal, Version};
use super::healthcheck::Ends;
use super::host::{self, Refused};
use super::response::{Framing, Response};
use crate::options::{AllowedHosts, HttpOptions, is_host_name};
#[cfg(feature = "agent")]
use std::net::IpAddr;
use std::rc::Rc;

/// The most requests whose answers are kept.
const MAX_KEPT: usize = 8;

/// The longest request that is kept, in bytes.
const MAX_KEPT_REQUEST: usize = 1024;

/// What an endpoint has to offer: the content of answers.
pub(crate) trait Site {
    /// The answer to a request that has passed the checks of this module.
    fn answer(&mut self, asked: &Asked<'_>) -> Reply;

    /// The line for HAProxy's agent-check of the service with this name, which is empty if the request names none. `None` if
    /// agent-checks are not answered here.
    fn agent_check(&mut self, service: &str) -> Option<String>;

    /// Called with the time of the coarse clock when that has advanced. Returns whether earlier answers are outdated.
    fn tick(&mut self, now_ns: u64) -> bool;

    /// Whether all requests with the same bytes to the same port have the same answer, so that it can be kept.
    fn is_kept(&self, asked: &Asked<'_>) -> bool;
}

/// A request.
pub(crate) struct Asked<'a> {
    pub(super) head: &'a Head<'a>,
    /// The two ends of its connection.
    pub(super) ends: Ends,
    /// How many requests have been answered before.
    pub(super) requests: u64,
}

impl<'a> Asked<'a> {
    pub(crate) fn path(&self) -> &'a str {
        self.head.target.path
    }

    pub(crate) fn query(&self) -> &'a str {
        self.head.target.query
    }

    pub(crate) fn is_options(&self) -> bool {
        self.head.method == "OPTIONS"
    }

    #[cfg(feature = "agent")]
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// The address of the client; `None` at a unix socket.
    #[cfg(feature = "agent")]
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.ends.peer
    }

    /// The values of all lines with this name.
    pub(crate) fn values(&self, name: &'static str) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        self.head.values(name)
    }
}

/// What a site replies.
pub(crate) enum Reply {
    Response(Response),
    /// The site has to be asked again, with the same request, when the server is woken.
    #[cfg_attr(not(feature = "agent"), expect(dead_code, reason = "no service lets a request wait"))]
    Later,
}

impl From<Response> for Reply {
    fn from(response: Response) -> Reply {
        Reply::Response(response)
    }
}

/// Answers requests.
pub(crate) struct Answers {
    allowed_hosts: AllowedHosts,
    cache_control: Option<String>,
    date: Date,
    /// When kept answers were last checked for expiry, by the coarse clock.
    checked_ns: u64,
    kept: Vec<Kept>,
    refused_host: RefusedHost,
    requests: u64,
}

/// A request and the answer that it gets until the next report.
struct Kept {
    port: Option<u16>,
    request: Vec<u8>,
    answer: Answer,
}

/// The bytes for the peer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The head, and a short body.
    pub(crate) bytes: Rc<Vec<u8>>,
    /// A long body: shared rather than copied, since the metrics of a host take some hundred KiB.
    pub(crate) body: Option<Rc<str>>,
    pub(crate) after: After,
}

impl Answer {
    fn new(response: &Response, framing: &Framing<'_>, after: After) -> Answer {
        let (bytes, body) = response.render(framing);
        Answer { bytes: bytes.into(), body, after }
    }

    /// Some of the bytes that follow the first `sent`. Empty at the end.
    pub(crate) fn unsent(&self, sent: usize) -> &[u8] {
        match &self.body {
            Some(body) if sent >= self.bytes.len() => &body.as_bytes()[sent - self.bytes.len()..],
            _ => &self.bytes[sent..],
        }
    }

    /// The address and size of each buffer.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = (usize, usize)> {
        let body = self.body.iter().map(|body| (body.as_ptr().addr(), body.len()));
        body.chain([(self.bytes.as_ptr().addr(), self.bytes.len())])
    }
}

/// What happens to the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum After {
    /// The peer may ask again.
    KeepAlive,
    /// It is closed.
    Close,
    /// It is closed, but the peer may still be sending: an immediate close could lose the answer.
    Linger,
}

/// The result for the bytes that a peer has sent.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// They are empty, or the beginning of a request.
    Unfinished,
    /// They begin with a request that cannot be answered yet.
    Later,
    /// This many of them are a request, valid or not, and this is the answer.
    Answered(usize, Answer),
}

/// The first host for which a request was refused.
#[derive(Debug)]
enum RefusedHost {
    Unseen,
    /// Seen, not logged yet.
    Seen(String),
    Said,
}

impl Answers {
    pub(crate) fn new(options: &HttpOptions) -> Answers {
        Answers {
            allowed_hosts: options.allowed_hosts.clone(),
            cache_control: options.cache_control.clone(),
            date: Date::now(),
            checked_ns: 0,
            kept: Vec::new(),
            refused_host: RefusedHost::Unseen,
            requests: 0,
        }
    }

    /// Answers the request at the start of these bytes, if it is complete. `last` says that the connection is closed
    /// afterwards in any case. `ends` are the ends of the connection.
    pub(crate) fn respond(&mut self, bytes: &[u8], last: bool, ends: Ends, site: &mut dyn Site) -> Outcome {
        self.drop_expired(site);
        let is_kept = |kept: &&Kept| kept.port == ends.port && bytes.starts_with(&kept.request);
        if !last && let Some(kept) = self.kept.iter().find(is_kept) {
            self.requests += 1;
            return Outcome::Answered(kept.request.len(), kept.answer.clone());
        }
        if let Some((length, service)) = agent_check::request(bytes)
            && let Some(line) = site.agent_check(service)
        {
            self.requests += 1;
            return Outcome::Answered(
                length,
                Answer { bytes: line.into_bytes().into(), body: None, after: After::Close },
            );
        }
        let mut room: Lines<'_> = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let head = match Head::parse(bytes, &mut room) {
            Ok(Some(head)) => head,
            Ok(None) => return Outcome::Unfinished,
            Err(refusal) => {
                return Outcome::Answered(bytes.len(), self.refuse(refusal, bytes.starts_with(b"HEAD ")));
            }
        };
        let asked = Asked { head: &head, ends, requests: self.requests };
        let response = match host::refuse(&head, &self.allowed_hosts) {
            Some(refused) => {
                if let Refused::Host(host) = refused {
                    self.remember_refused(host);
                }
                Response::text(403, refused.why())
            }
            None => match site.answer(&asked) {
                Reply::Response(response) => response,
                Reply::Later => return Outcome::Later,
            },
        };
        self.requests += 1;
        let after = match (head.has_body, head.keep_alive && !last) {
            // A body is never read, so no next request can follow.
            (true, _) => After::Linger,
            (false, true) => After::KeepAlive,
            (false, false) => After::Close,
        };
        let connection = match after {
            After::KeepAlive => (head.version == Version::Http10).then_some("keep-alive"),
            After::Close | After::Linger => (head.version == Version::Http11).then_some("close"),
        };
        let framing = self.framing(head.version, connection, head.method == "HEAD");
        let answer = Answer::new(&response, &framing, after);
        if !last && head.bytes <= MAX_KEPT_REQUEST && self.kept.len() < MAX_KEPT && site.is_kept(&asked) {
            let request = bytes[..head.bytes].to_vec();
            self.kept.push(Kept { port: ends.port, request, answer: answer.clone() });
        }
        Outcome::Answered(head.bytes, answer)
    }

    /// The answer to an invalid request. The connection is closed after it.
    pub(crate) fn refuse(&self, refusal: Refusal, without_body: bool) -> Answer {
        let framing = self.framing(Version::Http11, Some("close"), without_body);
        Answer::new(&Response::text(refusal.status, refusal.why), &framing, After::Linger)
    }

    /// The first host for which a request was refused because a page in a browser could have sent it. Returned once, for the
    /// log.
    pub(crate) fn take_refused_host(&mut self) -> Option<String> {
        let seen = std::mem::replace(&mut self.refused_host, RefusedHost::Said);
        match seen {
            RefusedHost::Seen(host) => Some(host),
            before => {
                self.refused_host = before;
                None
            }
        }
    }

    /// Forgets kept answers. Call this when they may have become wrong within a tick.
    #[cfg(feature = "agent")]
    pub(crate) fn forget(&mut self) {
        self.kept.clear();
    }

    #[cfg(test)]
    pub(super) fn kept_requests(&self) -> usize {
        self.kept.len()
    }

    fn framing(&self, version: Version, connection: Option<&'static str>, without_body: bool) -> Framing<'_> {
        let cache_control = self.cache_control.as_deref();
        Framing { version, connection, without_body, cache_control, date: self.date.as_str() }
    }

    fn drop_expired(&mut self, site: &mut dyn Site) {
        let now_ns = healthboard::now_ns();
        if now_ns == self.checked_ns {
            return;
        }
        self.checked_ns = now_ns;
        let is_old = site.tick(now_ns);
        if self.date.refresh() || is_old {
            self.kept.clear();
        }
    }

    fn remember_refused(&mut self, host: &[u8]) {
        if let RefusedHost::Unseen = self.refused_host
            && let Some(name) = host::name(host).filter(|name| is_host_name(name))
        {
            self.refused_host = RefusedHost::Seen(name.to_ascii_lowercase());
        }
    }
}
