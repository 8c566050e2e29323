//! The answers of a service's endpoint: the routes, and the report behind them.

use super::agent_check;
use super::answers::{Asked, Reply, Site};
use super::healthcheck::Healthcheck;
use super::media::{self, Media};
use super::page::{self, View};
use super::response::{Response, TEXT};
use crate::options::HttpOptions;
use healthboard::format::{Cost, metrics};
use healthboard::{Report, Status, format};
use rustix::time::{ClockId, clock_gettime};
use std::rc::Rc;
use std::time::Duration;

/// A report is reused for this many times the CPU time that it took to make, so that reports take at most a tenth of one core.
/// Work of other programs on a busy machine does not count.
const REUSED_PER_COST: u32 = 10;

/// No report is reused for longer than this, whatever it cost.
const MAX_REUSE: Duration = Duration::from_secs(1);

/// The most names that one request can exclude.
const MAX_EXCLUDED: usize = 32;

/// The longest query in bytes; `exclude` is the only reason for a long one.
const MAX_QUERY_BYTES: usize = 2048;

const PATHS: [&str; 5] = ["/", "/health", "/livez", "/readyz", "/metrics"];

/// The answers of a service.
pub(crate) struct ServicePages {
    /// The host, if there is a page of all its services.
    pub(crate) host: Option<String>,
    options: HttpOptions,
    report: Option<Rc<Report>>,
    made_ns: u64,
    /// Until when the report is reused in later ticks.
    reused_until_ns: u64,
    bodies: [Option<Rc<str>>; Media::ALL.len()],
    healthcheck: Healthcheck,
}

/// The answers of a service, with the function that makes reports.
pub(crate) struct ServiceSite<'a> {
    pages: &'a mut ServicePages,
    make: &'a mut dyn FnMut() -> Report,
}

impl ServicePages {
    pub(crate) fn new(options: HttpOptions) -> ServicePages {
        ServicePages {
            host: None,
            healthcheck: Healthcheck::new(&options),
            options,
            report: None,
            made_ns: 0,
            reused_until_ns: 0,
            bodies: [const { None }; Media::ALL.len()],
        }
    }

    /// The site for one turn. `make` makes a report.
    pub(crate) fn site<'a>(&'a mut self, make: &'a mut dyn FnMut() -> Report) -> ServiceSite<'a> {
        ServiceSite { pages: self, make }
    }

    /// The next problem with the files of `/healthcheck`, for the log. Each is returned once.
    pub(crate) fn take_notice(&mut self) -> Option<String> {
        self.healthcheck.take_notice()
    }

    /// The report of this tick, or an older one that is reused because it was expensive to make.
    fn report(&mut self, make: &mut dyn FnMut() -> Report) -> Rc<Report> {
        if let Some(report) = &self.report {
            return report.clone();
        }
        let began = cpu_time();
        let report = Rc::new(make());
        let reuse = (cpu_time().saturating_sub(began) * REUSED_PER_COST).min(MAX_REUSE);
        self.reused_until_ns = self.made_ns + u64::try_from(reuse.as_nanos()).unwrap_or(0);
        self.report = Some(report.clone());
        report
    }

    fn health(&mut self, report: &Report, asked: &Asked<'_>, verbose: bool) -> Response {
        let media = media::preferred(asked.values("accept"));
        let view = View { paused: is_paused(asked.query()), host: self.host.as_deref() };
        let render = || match media {
            Media::Json => format::json(report),
            Media::HealthJson => format::health_json(report),
            Media::Text => format::text(report),
            Media::Html => page::of_service(report, view),
        };
        let body = match media {
            Media::Html if view.paused => render().into(),
            // The draft has no place for stacks, and the page shows them in any case.
            Media::Json if verbose => format::verbose_json(report).into(),
            Media::Text if verbose => format::verbose_text(report).into(),
            _ => self.bodies[media as usize].get_or_insert_with(|| render().into()).clone(),
        };
        let status = match report.status {
            Status::Ok => 200,
            Status::Degraded => self.options.degraded_status_code,
            Status::Fault => self.options.fault_status_code,
        };
        let degraded = report.status == Status::Degraded;
        let refresh = media == Media::Html && !view.paused;
        Response { vary: true, degraded, refresh, media: media.name(), ..Response::text(status, body) }
    }
}

impl ServiceSite<'_> {
    /// The answer to a request as if it were for this path.
    pub(crate) fn answer_at(&mut self, path: &str, asked: &Asked<'_>) -> Reply {
        let head = asked.head;
        let pages = &mut *self.pages;
        if Healthcheck::is_asked(path) {
            let report = pages.report(self.make);
            return pages.healthcheck.answer(head, asked.ends, &report).into();
        }
        if !PATHS.contains(&path) {
            let there_are = "not found; there are /health, /healthcheck, /livez, /metrics and /readyz\n";
            return Response::text(404, there_are).into();
        }
        if let Some(refused) = refuse_method(asked) {
            return refused.into();
        }
        let query = asked.query();
        let excluded = || query.split('&').filter_map(|part| part.strip_prefix("exclude="));
        if query.len() > MAX_QUERY_BYTES || excluded().count() > MAX_EXCLUDED {
            return Response::text(400, "a query has at most 2048 bytes and 32 times `exclude=`\n").into();
        }
        let verbose = is_verbose(query);
        let report = pages.report(self.make);
        let response = match path {
            "/livez" => check(format::livez(&report, verbose)),
            "/readyz" => check(format::readyz(&report, &excluded().collect::<Vec<_>>(), verbose)),
            "/metrics" => {
                let exposition = media::exposition(asked.values("accept"));
                let cost = Cost { cpu: cpu_time(), requests: asked.requests };
                exposed(exposition, metrics([&*report], Some(cost), None, exposition, verbose))
            }
            _ => pages.health(&report, asked, verbose),
        };
        response.allowing(asked.is_options()).into()
    }
}

impl Site for ServiceSite<'_> {
    fn answer(&mut self, asked: &Asked<'_>) -> Reply {
        self.answer_at(asked.path(), asked)
    }

    fn agent_check(&mut self, service: &str) -> Option<String> {
        // Only one service is served here, and it must not be named.
        if !service.is_empty() {
            return None;
        }
        let report = self.pages.report(self.make);
        Some(agent_check::line(&report, self.pages.options.degraded_weight))
    }

    fn tick(&mut self, now_ns: u64) -> bool {
        let pages = &mut *self.pages;
        pages.made_ns = now_ns;
        let is_old = now_ns >= pages.reused_until_ns;
        if is_old {
            pages.report = None;
            pages.bodies = [const { None }; Media::ALL.len()];
        }
        is_old
    }

    fn is_kept(&self, asked: &Asked<'_>) -> bool {
        !Healthcheck::is_asked(asked.path()) || !self.pages.healthcheck.depends_on_peer()
    }
}

/// The answer to a request whose method is not allowed; `None` if it is.
pub(crate) fn refuse_method(asked: &Asked<'_>) -> Option<Response> {
    let known = ["GET", "HEAD", "OPTIONS"].contains(&asked.head.method);
    (!known).then(|| Response::text(405, "only GET, HEAD and OPTIONS\n").allowing(true))
}

pub(crate) fn is_verbose(query: &str) -> bool {
    query.split('&').any(|part| part == "verbose" || part.starts_with("verbose="))
}

/// Whether the page should not reload itself.
pub(crate) fn is_paused(query: &str) -> bool {
    query.split('&').any(|part| part == "pause")
}

/// The answer to a scrape. It is always 200, since Prometheus drops the content of any other answer.
pub(crate) fn exposed(exposition: format::Exposition, body: impl Into<Rc<str>>) -> Response {
    Response { vary: true, media: exposition.media_type(), ..Response::text(200, body) }
}

pub(crate) fn check((passed, body): (bool, String)) -> Response {
    Response { media: TEXT, ..Response::text(if passed { 200 } else { 503 }, body) }
}

/// The CPU time that this thread has used so far.
pub(crate) fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}
