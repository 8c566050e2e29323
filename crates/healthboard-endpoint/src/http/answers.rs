//! Which answer a request gets.

use super::host;
use super::media::{self, Media};
use healthboard::{Report, Settings, Status, format};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use std::cell::RefCell;
use std::rc::Rc;

const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const DEGRADED: HeaderName = HeaderName::from_static("x-envoy-degraded");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const VARY: HeaderValue = HeaderValue::from_static("Accept");

type Answer = Response<Full<Bytes>>;

/// Answers requests from reports, one for each tick of the coarse clock: evidence has no finer time, and a flood of probes
/// costs one report in 4 ms.
pub(crate) struct Answers {
    report: Box<dyn Fn() -> Report>,
    newest: RefCell<Newest>,
    fault: StatusCode,
    degraded: StatusCode,
    cache_control: Option<HeaderValue>,
}

/// The report of one tick, and what has been rendered of it.
struct Newest {
    at_ns: u64,
    report: Rc<Report>,
    bodies: [Option<Bytes>; 3],
}

impl Answers {
    pub(crate) fn new(settings: &Settings, report: impl Fn() -> Report + 'static) -> Answers {
        // The settings have refused what is no status code or no header value.
        let code = |code, default| StatusCode::from_u16(code).unwrap_or(default);
        Answers {
            newest: RefCell::new(Newest { at_ns: 0, report: Rc::new(report()), bodies: [const { None }; 3] }),
            report: Box::new(report),
            fault: code(settings.fault_status_code, StatusCode::SERVICE_UNAVAILABLE),
            degraded: code(settings.degraded_status_code, StatusCode::OK),
            cache_control: settings.cache_control().and_then(|value| HeaderValue::from_str(&value).ok()),
        }
    }

    /// `ambiguous`: the request says more than once how long its body is.
    pub(crate) fn answer<B: hyper::body::Body>(&self, request: &Request<B>, ambiguous: bool) -> Answer {
        let refused = match ambiguous {
            true => Some((StatusCode::BAD_REQUEST, "the request says more than once how long it is\n")),
            false => host::refuse(request),
        };
        let mut answer = match refused {
            Some((status, why)) => text(status, why.to_owned()),
            None => self.route(request),
        };
        // A body is never read, so there can be no next request; after a broken one there should be none.
        let last = answer.status() == StatusCode::BAD_REQUEST || !request.body().is_end_stream();
        let headers = answer.headers_mut();
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        if let Some(value) = &self.cache_control {
            headers.insert(header::CACHE_CONTROL, value.clone());
        }
        if last {
            headers.insert(header::CONNECTION, CLOSE);
        }
        answer
    }

    fn route<B>(&self, request: &Request<B>) -> Answer {
        let path = request.uri().path();
        if !["/", "/health", "/livez", "/readyz"].contains(&path) {
            return text(
                StatusCode::NOT_FOUND,
                "not found; there are /health, /livez and /readyz\n".to_owned(),
            );
        }
        if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
            let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and OPTIONS\n".to_owned());
            answer.headers_mut().insert(header::ALLOW, ALLOW);
            return answer;
        }
        let report = self.report();
        let query = || request.uri().query().unwrap_or_default().split('&');
        let verbose = || query().any(|part| part == "verbose" || part.starts_with("verbose="));
        let mut answer = match path {
            "/livez" => check(format::livez(&report, verbose())),
            "/readyz" => {
                let exclude: Vec<&str> = query().filter_map(|part| part.strip_prefix("exclude=")).collect();
                check(format::readyz(&report, &exclude, verbose()))
            }
            _ => self.health(&report, request.headers()),
        };
        if request.method() == Method::OPTIONS {
            answer.headers_mut().insert(header::ALLOW, ALLOW);
        }
        answer
    }

    /// The report of this tick.
    fn report(&self) -> Rc<Report> {
        let now_ns = healthboard::now_ns();
        let mut newest = self.newest.borrow_mut();
        if newest.at_ns != now_ns {
            *newest = Newest { at_ns: now_ns, report: Rc::new((self.report)()), bodies: [const { None }; 3] };
        }
        newest.report.clone()
    }

    fn health(&self, report: &Report, headers: &HeaderMap) -> Answer {
        let media = media::preferred(headers);
        let (media_type, render): (_, fn(&Report) -> String) = match media {
            Media::Json => (HeaderValue::from_static("application/json"), format::json),
            Media::HealthJson => (HeaderValue::from_static("application/health+json"), format::health_json),
            Media::Text => (TEXT, format::text),
        };
        let mut newest = self.newest.borrow_mut();
        let body = newest.bodies[media as usize].get_or_insert_with(|| render(report).into()).clone();
        let status = match report.status {
            Status::Ok => StatusCode::OK,
            Status::Degraded => self.degraded,
            Status::Fault => self.fault,
        };
        let mut answer = with(status, media_type, body);
        answer.headers_mut().insert(header::VARY, VARY);
        if report.status == Status::Degraded {
            answer.headers_mut().insert(DEGRADED, TRUE);
        }
        answer
    }
}

fn check((passed, body): (bool, String)) -> Answer {
    text(if passed { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }, body)
}

fn text(status: StatusCode, body: String) -> Answer {
    with(status, TEXT, body.into())
}

fn with(status: StatusCode, media: HeaderValue, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    // For all that is added on the way out.
    answer.headers_mut().reserve(8);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, media);
    answer
}
