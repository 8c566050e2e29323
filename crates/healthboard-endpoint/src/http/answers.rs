//! Chooses the answer to a request, and keeps answers.
//!
//! Evidence has the resolution of the coarse clock, so a report is made at most once a tick, and the same request in
//! the same tick gets the same bytes again: in a flood, a probe costs a comparison.

use super::agent_check;
use super::date::Date;
use super::head::{Head, Lines, MAX_HEADERS, Refusal, Version};
use super::healthcheck::{Ends, Healthcheck};
use super::host::{self, Refused};
use super::media::{self, Media};
use super::response::{Framing, Response, TEXT};
use crate::options::{HttpOptions, is_host_name};
use healthboard::{Report, Status, format};
use rustix::time::{ClockId, clock_gettime};
use std::rc::Rc;
use std::time::Duration;

/// A report is reused for this many times the CPU time that it took to make, so that reports take at most a tenth of one core.
/// Work of other programs on a busy machine does not count.
const REUSED_PER_COST: u32 = 10;

/// No report is reused for longer, whatever it cost.
const MAX_REUSE: Duration = Duration::from_secs(1);

/// The most requests that are kept with their answers.
const MAX_KEPT: usize = 8;

/// The longest request that is kept, in bytes.
const MAX_KEPT_REQUEST: usize = 1024;

/// The most names to exclude in one request.
const MAX_EXCLUDED: usize = 32;

/// The longest query in bytes; `exclude` is the only reason for a long one.
const MAX_QUERY_BYTES: usize = 2048;

const PATHS: [&str; 4] = ["/", "/health", "/livez", "/readyz"];

/// Answers requests from reports.
pub(crate) struct Answers {
    options: HttpOptions,
    date: Date,
    /// When kept answers were last checked for expiry, by the coarse clock.
    checked_ns: u64,
    report: Option<Rc<Report>>,
    /// Until when the report is reused in later ticks.
    reused_until_ns: u64,
    bodies: [Option<Rc<str>>; 3],
    kept: Vec<Kept>,
    refused_host: RefusedHost,
    healthcheck: Healthcheck,
}

/// A request and the answer that it gets until the next report.
struct Kept {
    request: Vec<u8>,
    answer: Answer,
}

/// The bytes for the peer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) bytes: Rc<[u8]>,
    pub(crate) after: After,
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
    /// They are the beginning of a request, or empty.
    Unfinished,
    /// This many of them are a request, or an invalid one; this is the answer.
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
    pub(crate) fn new(options: HttpOptions) -> Answers {
        Answers {
            healthcheck: Healthcheck::new(&options),
            options,
            date: Date::now(),
            checked_ns: 0,
            report: None,
            reused_until_ns: 0,
            bodies: [const { None }; 3],
            kept: Vec::new(),
            refused_host: RefusedHost::Unseen,
        }
    }

    /// Answers the request at the start of these bytes, if it is complete. `last`: the connection is closed afterwards
    /// in any case. `ends` are those of the connection.
    pub(crate) fn respond(
        &mut self,
        bytes: &[u8],
        last: bool,
        ends: &dyn Fn() -> Ends,
        report: &mut dyn FnMut() -> Report,
    ) -> Outcome {
        self.drop_expired();
        if !last && let Some(kept) = self.kept.iter().find(|kept| bytes.starts_with(&kept.request)) {
            return Outcome::Answered(kept.request.len(), kept.answer.clone());
        }
        if let Some(length) = agent_check::request(bytes) {
            let report = self.report(report);
            let line = agent_check::line(&report, self.options.degraded_weight);
            return Outcome::Answered(
                length,
                Answer { bytes: line.into_bytes().into(), after: After::Close },
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
        let response = self.answer(&head, ends, report);
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
        let answer = Answer { bytes: response.render(&framing), after };
        let is_kept = !response.by_webob || !self.healthcheck.depends_on_ends();
        if is_kept && !last && head.bytes <= MAX_KEPT_REQUEST && self.kept.len() < MAX_KEPT {
            self.kept.push(Kept { request: bytes[..head.bytes].to_vec(), answer: answer.clone() });
        }
        Outcome::Answered(head.bytes, answer)
    }

    /// The answer to an invalid request; the connection is closed after it.
    pub(crate) fn refuse(&self, refusal: Refusal, without_body: bool) -> Answer {
        let framing = self.framing(Version::Http11, Some("close"), without_body);
        Answer { bytes: Response::text(refusal.status, refusal.why).render(&framing), after: After::Linger }
    }

    /// Returns each once, for the log: that a request was refused for its host and how to allow it, and what is wrong with the
    /// options or the files of `/healthcheck`.
    pub(crate) fn take_notice(&mut self) -> Option<String> {
        let RefusedHost::Seen(host) = &self.refused_host else { return self.healthcheck.take_notice() };
        let notice = format!(
            "a request for the host `{host}` was refused, since a page in a browser could have sent it; to have such \
             requests answered, set `allowed_hosts = {host}` in [healthcheck]"
        );
        self.refused_host = RefusedHost::Said;
        Some(notice)
    }

    #[cfg(test)]
    pub(super) fn kept_requests(&self) -> usize {
        self.kept.len()
    }

    fn framing(&self, version: Version, connection: Option<&'static str>, without_body: bool) -> Framing<'_> {
        let cache_control = self.options.cache_control.as_deref();
        Framing { version, connection, without_body, cache_control, date: self.date.as_str() }
    }

    fn answer(
        &mut self,
        head: &Head<'_>,
        ends: &dyn Fn() -> Ends,
        report: &mut dyn FnMut() -> Report,
    ) -> Response {
        if let Some(refused) = host::refuse(head, &self.options.allowed_hosts) {
            if let Refused::Host(host) = refused {
                self.remember_refused(host);
            }
            return Response::text(403, refused.why());
        }
        let path = head.target.path;
        if Healthcheck::is_asked(path) {
            let ends = if self.healthcheck.depends_on_ends() { ends() } else { Ends::default() };
            let report = self.report(report);
            return self.healthcheck.answer(head, ends, &report);
        }
        if !PATHS.contains(&path) {
            return Response::text(404, "not found; there are /health, /healthcheck, /livez and /readyz\n");
        }
        if !["GET", "HEAD", "OPTIONS"].contains(&head.method) {
            return Response::text(405, "only GET, HEAD and OPTIONS\n").allowing(true);
        }
        let query = head.target.query;
        let excluded = || query.split('&').filter_map(|part| part.strip_prefix("exclude="));
        if query.len() > MAX_QUERY_BYTES || excluded().count() > MAX_EXCLUDED {
            return Response::text(400, "a query has at most 2048 bytes and 32 times `exclude=`\n");
        }
        let verbose = query.split('&').any(|part| part == "verbose" || part.starts_with("verbose="));
        let report = self.report(report);
        let response = match path {
            "/livez" => check(format::livez(&report, verbose)),
            "/readyz" => check(format::readyz(&report, &excluded().collect::<Vec<_>>(), verbose)),
            _ => self.health(&report, head, verbose),
        };
        response.allowing(head.method == "OPTIONS")
    }

    fn health(&mut self, report: &Report, head: &Head<'_>, verbose: bool) -> Response {
        let media = media::preferred(head.values("accept"));
        let (media_type, render): (_, fn(&Report) -> String) = match media {
            Media::Json => ("application/json", format::json),
            Media::HealthJson => ("application/health+json", format::health_json),
            Media::Text => (TEXT, format::text),
        };
        let body = match media {
            // The draft has no place for stacks.
            Media::Json if verbose => format::verbose_json(report).into(),
            Media::Text if verbose => format::verbose_text(report).into(),
            _ => self.bodies[media as usize].get_or_insert_with(|| render(report).into()).clone(),
        };
        let status = match report.status {
            Status::Ok => 200,
            Status::Degraded => self.options.degraded_status_code,
            Status::Fault => self.options.fault_status_code,
        };
        let degraded = report.status == Status::Degraded;
        Response { vary: true, degraded, media: media_type, ..Response::text(status, body) }
    }

    /// The report of this tick, or an older one that is reused because it took long to make.
    fn report(&mut self, make: &mut dyn FnMut() -> Report) -> Rc<Report> {
        if let Some(report) = &self.report {
            return report.clone();
        }
        let began = cpu_time();
        let report = Rc::new(make());
        let reuse = (cpu_time().saturating_sub(began) * REUSED_PER_COST).min(MAX_REUSE);
        self.reused_until_ns = self.checked_ns + u64::try_from(reuse.as_nanos()).unwrap_or(0);
        self.report = Some(report.clone());
        report
    }

    fn drop_expired(&mut self) {
        let now_ns = healthboard::now_ns();
        if now_ns == self.checked_ns {
            return;
        }
        self.checked_ns = now_ns;
        let is_old = now_ns >= self.reused_until_ns;
        if is_old {
            self.report = None;
            self.bodies = [const { None }; 3];
        }
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

fn check((passed, body): (bool, String)) -> Response {
    Response::text(if passed { 200 } else { 503 }, body)
}

/// The CPU time that this thread has used so far.
fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
