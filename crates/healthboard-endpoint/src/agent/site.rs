//! The answers of an agent: about the host, about its services, and for each service as that would answer itself.

use super::users::{Known, Users};
use crate::http::{
    Asked, Media, Reply, Response, ServicePages, Site, View, agent_check_line, check, cpu_time, exposed,
    exposition, host_page, is_paused, is_verbose, missing_page, preferred, refuse_method,
};
use crate::options::HttpOptions;
use healthboard::format::{Cost, HostAnswer, host_json, metrics};
use healthboard::{Host, Moment, Report, Status, printable};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Reports are reused for this many times the CPU time that they took to make, and to render.
const REUSED_PER_COST: u32 = 10;

/// No report is reused for longer than this, whatever it cost.
const MAX_REUSE: Duration = Duration::from_secs(1);

/// The answer to unknown paths, which lists the known ones.
const NOT_FOUND: &str =
    "not found; there are /health, /livez, /metrics, /readyz, /services and /services/NAME/health\n";

/// Answers for a host.
pub(super) struct AgentSite {
    host: Host,
    name: String,
    options: HttpOptions,
    users: Option<Users>,
    moment: Moment,
    made: Made,
    now_ns: u64,
    reused_until_ns: u64,
}

/// What has been made from the boards. All requests share it until it is outdated.
#[derive(Default)]
struct Made {
    reports: Option<Rc<[Report]>>,
    answer: Option<Rc<HostAnswer>>,
    /// By media type, and whether it is verbose.
    bodies: BTreeMap<(&'static str, bool), Rc<str>>,
    /// When the reports were made.
    since_ns: u64,
    /// The CPU time that all of it took.
    cost: Duration,
}

impl AgentSite {
    pub(super) fn new(host: Host, name: String, options: HttpOptions) -> AgentSite {
        AgentSite {
            host,
            name,
            options,
            users: None,
            moment: healthboard::now_ns().into(),
            made: Made::default(),
            now_ns: 0,
            reused_until_ns: 0,
        }
    }

    /// Sets the users and the hashes of their passwords. With none, no password is demanded.
    pub(super) fn set_users(
        &mut self,
        hashes: BTreeMap<String, String>,
        wake: &UnixStream,
    ) -> io::Result<()> {
        match &mut self.users {
            _ if hashes.is_empty() => self.users = None,
            // A check of each password again could take longer than those who guess leave time for.
            Some(users) => users.replace(hashes),
            None => self.users = Some(Users::new(hashes, wake.try_clone()?)?),
        }
        Ok(())
    }

    pub(super) fn set_moment(&mut self, moment: Moment) {
        self.moment = moment;
    }

    /// What could not be read when the newest reports were made.
    pub(super) fn problems(&self) -> &BTreeSet<String> {
        self.host.problems()
    }

    pub(super) fn failed_passwords(&self) -> u64 {
        self.users.as_ref().map_or(0, Users::failures)
    }

    /// Makes something. Its cost extends the time for which everything is reused.
    fn make<T>(&mut self, make: impl FnOnce(&mut AgentSite) -> T) -> T {
        let began = cpu_time();
        let made = make(self);
        self.made.cost += cpu_time().saturating_sub(began);
        let reuse = (self.made.cost * REUSED_PER_COST).min(MAX_REUSE);
        self.reused_until_ns = self.made.since_ns + u64::try_from(reuse.as_nanos()).unwrap_or(0);
        made
    }

    fn reports(&mut self) -> Rc<[Report]> {
        if let Some(reports) = &self.made.reports {
            return reports.clone();
        }
        self.made.since_ns = self.now_ns;
        let reports: Rc<[Report]> =
            self.make(|site| site.host.reports(site.moment, SystemTime::now()).into());
        self.made.reports.insert(reports).clone()
    }

    fn host_answer(&mut self) -> (Rc<[Report]>, Rc<HostAnswer>) {
        let reports = self.reports();
        if let Some(answer) = &self.made.answer {
            return (reports, answer.clone());
        }
        let answer = self.make(|site| {
            let problems = site.host.problems().iter();
            let incomplete = site.host.is_incomplete();
            Rc::new(HostAnswer::of(&site.name, &reports, incomplete, problems, SystemTime::now()))
        });
        (reports, self.made.answer.insert(answer).clone())
    }

    /// The body of this media type, which is rendered once. JSON has a verbose form, a page one that is paused.
    fn body(
        &mut self,
        media: &'static str,
        other_form: bool,
        render: impl FnOnce(&AgentSite) -> String,
    ) -> Rc<str> {
        if let Some(body) = self.made.bodies.get(&(media, other_form)) {
            return body.clone();
        }
        let body: Rc<str> = self.make(|site| render(site).into());
        self.made.bodies.entry((media, other_form)).or_insert(body).clone()
    }

    fn service(&mut self, name: &str) -> Option<Report> {
        self.reports().iter().find(|report| report.service == name).cloned()
    }

    /// The answer for a service without a board. An open page reloads itself, since the service may come back.
    fn missing(&self, name: &str, asked: &Asked<'_>) -> Response {
        let view = View { paused: is_paused(asked.query()), host: Some(&self.name) };
        let (media, body) = match preferred(asked.values("accept")) {
            Media::Html => (Media::Html, missing_page(name, view)),
            _ => (Media::Text, format!("`{}`: no service of this name has a board here\n", printable(name))),
        };
        let refresh = media == Media::Html && !view.paused;
        Response { vary: true, refresh, media: media.name(), ..Response::text(404, body) }
    }

    /// The reply to a request without valid credentials, or one that has to wait for their check. `None` if the request may
    /// be answered.
    fn refuse(&mut self, asked: &Asked<'_>) -> Option<Reply> {
        let users = self.users.as_mut()?;
        let refused = match users.ask(asked.values("authorization").next(), || asked.peer()) {
            Known::Right => return None,
            Known::Later => return Some(Reply::Later),
            Known::Wrong => Response {
                challenge: true,
                ..Response::text(401, "user and password are wrong, or missing\n")
            },
            Known::Busy => Response::text(503, "too many passwords are being checked; ask again\n"),
        };
        Some(refused.into())
    }

    fn host_health(&mut self, asked: &Asked<'_>, always_ok: bool) -> Response {
        let (reports, answer) = self.host_answer();
        let status = match answer.status {
            Status::Fault if !always_ok => 503,
            _ => 200,
        };
        let paused = is_paused(asked.query());
        let media = match preferred(asked.values("accept")) {
            Media::HealthJson => Media::Json,
            media => media,
        };
        let verbose = media == Media::Json && is_verbose(asked.query());
        let other_form = verbose || media == Media::Html && paused;
        let body = self.body(media.name(), other_form, |_| match media {
            Media::Html => host_page(&answer, &reports, paused),
            Media::Text if answer.status == Status::Ok => "OK\n".to_owned(),
            Media::Text => format!("{}: {}\n", answer.status.name(), answer.message),
            _ if verbose => host_json(&HostAnswer::clone(&answer).verbose(&reports)),
            _ => host_json(&answer),
        });
        let degraded = answer.status == Status::Degraded;
        let refresh = media == Media::Html && !paused;
        Response { vary: true, degraded, refresh, media: media.name(), ..Response::text(status, body) }
    }
}

impl Site for AgentSite {
    fn answer(&mut self, asked: &Asked<'_>) -> Reply {
        if let Some(refused) = self.refuse(asked) {
            return refused;
        }
        let path = asked.path();
        if let Some((name, rest)) = path.strip_prefix("/services/").and_then(|path| path.split_once('/')) {
            let name = decode(name);
            let Some(report) = self.service(&name) else {
                return self.missing(&name, asked).into();
            };
            // The same answer as that of the service itself.
            let mut pages = ServicePages::new(self.options.clone());
            pages.host = Some(self.name.clone());
            return pages.site(&mut || report.clone()).answer_at(&format!("/{rest}"), asked);
        }
        if !["/", "/health", "/livez", "/metrics", "/readyz", "/services"].contains(&path) {
            return Response::text(404, NOT_FOUND).into();
        }
        if let Some(refused) = refuse_method(asked) {
            return refused.into();
        }
        let response = match path {
            // An agent that answers is alive.
            "/livez" => Response::text(200, "ok\n"),
            "/readyz" => {
                let (_, answer) = self.host_answer();
                let passed = answer.status < Status::Fault;
                check((passed, if passed { "ok\n".to_owned() } else { format!("{}\n", answer.message) }))
            }
            "/metrics" => {
                let exposition = exposition(asked.values("accept"));
                let verbose = is_verbose(asked.query());
                let reports = self.reports();
                let body = self.body(exposition.media_type(), verbose, |site| {
                    let cost = Cost { cpu: cpu_time(), requests: asked.requests() };
                    let problems = site.host.problems().len();
                    metrics(reports.iter(), Some(cost), Some(problems), exposition, verbose)
                });
                exposed(exposition, body)
            }
            "/services" => self.host_health(asked, true),
            _ => self.host_health(asked, false),
        };
        response.allowing(asked.is_options()).into()
    }

    fn agent_check(&mut self, service: &str) -> Option<String> {
        // The agent-check protocol has no passwords.
        if self.users.is_some() {
            return None;
        }
        if service.is_empty() {
            let (_, answer) = self.host_answer();
            let line = match answer.status {
                Status::Fault => "down #a service of this host is FAULT\n",
                Status::Degraded => "up 100% #a service of this host is DEGRADED\n",
                Status::Ok => "up 100%\n",
            };
            return Some(line.to_owned());
        }
        match self.service(service) {
            Some(report) => Some(agent_check_line(&report, self.options.degraded_weight)),
            None => Some("down #no service of this name has a board here\n".to_owned()),
        }
    }

    fn tick(&mut self, now_ns: u64) -> bool {
        self.now_ns = now_ns;
        let is_old = now_ns >= self.reused_until_ns;
        if is_old {
            self.made = Made::default();
        }
        is_old
    }

    /// With passwords an answer depends on who asks, and on who else does.
    fn is_kept(&self, _: &Asked<'_>) -> bool {
        self.users.is_none()
    }
}

/// A name from a path, with `%40` decoded to `@` and so on.
fn decode(name: &str) -> String {
    let hex = |digits: &[u8]| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok();
    let (mut bytes, mut rest) = (Vec::with_capacity(name.len()), name.as_bytes());
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.filter(|_| *first == b'%').and_then(hex);
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| name.to_owned())
}
