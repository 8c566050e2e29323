//! `/healthcheck`, as oslo.middleware 8.2 answers it. docs/healthcheck.md lists the differences.

mod accept;
mod files;

use super::head::Head;
use super::response::Response;
use crate::options::{Backend, HealthcheckOptions, HttpOptions, Network};
use accept::Offer;
use files::Files;
use healthboard::Report;
use healthboard::format::{Finding, Host, healthcheck_html, healthcheck_json, healthcheck_text};
use rustix::system::uname;
use std::net::IpAddr;
use std::path::Path;
use std::time::SystemTime;

/// The headers by which a request is recognised as forwarded by a proxy.
const FORWARDED: [&str; 5] =
    ["x-forwarded", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-for", "x-forwarded-prefix"];

/// The two ends of a connection, as far as they have addresses. They are known when it is accepted, so a probe costs no system
/// call for them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    /// The address of the client.
    pub(crate) peer: Option<IpAddr>,
    /// The port of the endpoint.
    pub(crate) port: Option<u16>,
}

/// Answers `/healthcheck`.
pub(super) struct Healthcheck {
    options: HealthcheckOptions,
    degraded_is_available: bool,
    files: Files,
}

impl Healthcheck {
    pub(super) fn new(options: &HttpOptions) -> Healthcheck {
        Healthcheck {
            options: options.healthcheck.clone(),
            degraded_is_available: options.degraded_status_code < 400,
            files: Files::default(),
        }
    }

    /// Whether this path is answered here. All paths below `/healthcheck` are, as with an application that Paste mounts.
    pub(super) fn is_asked(path: &str) -> bool {
        path.strip_prefix("/healthcheck").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether the answer may differ between clients that send the same bytes to the same port.
    pub(super) fn depends_on_peer(&self) -> bool {
        self.options.allowed_source_ranges.is_some()
    }

    /// The answer, to any method.
    pub(super) fn answer(&mut self, head: &Head<'_>, ends: Ends, report: &Report) -> Response {
        if self.is_ignored(head, ends) {
            // oslo.middleware passes such a request on to the next application.
            return Response::text(404, "requests from here are not answered\n");
        }
        let findings: Vec<Finding> = self
            .options
            .backends
            .clone()
            .into_iter()
            .map(|backend| self.ask(backend, ends, report))
            .collect();
        let is_healthy = findings.iter().all(|finding| finding.available);
        let status = match (is_healthy, head.method) {
            (true, "HEAD") => 204,
            (true, _) => 200,
            (false, _) => 503,
        };
        let host = self.options.detailed.then(this_host);
        let (media, body) = match accept::choose(head.values("accept")) {
            _ if head.method == "HEAD" => (TEXT, String::new()),
            Offer::Text => (TEXT, healthcheck_text(&findings)),
            Offer::Html => ("text/html; charset=UTF-8", healthcheck_html(&findings, host.as_ref())),
            Offer::Json => ("application/json", healthcheck_json(&findings, host.as_ref())),
        };
        Response::as_by_webob(status, media, body)
    }

    /// The next problem with the files, for the log. Each is returned once.
    pub(super) fn take_notice(&mut self) -> Option<String> {
        self.files.take_notice()
    }

    fn is_ignored(&self, head: &Head<'_>, ends: Ends) -> bool {
        let contain = |ranges: &[Network]| {
            ends.peer.is_some_and(|peer| ranges.iter().any(|range| range.contains(peer)))
        };
        // To a WSGI application, `X_Forwarded_For` is the same header as `X-Forwarded-For`.
        let is_forwarded = |name: &str| FORWARDED.iter().any(|known| known.eq_ignore_ascii_case(name));
        let is_proxied =
            || head.lines().any(|(name, value)| !value.is_empty() && is_forwarded(&name.replace('_', "-")));
        self.options.allowed_source_ranges.as_ref().is_some_and(|ranges| !contain(ranges))
            || (self.options.ignore_proxied_requests && is_proxied())
    }

    fn ask(&mut self, backend: Backend, ends: Ends, report: &Report) -> Finding {
        let Healthcheck { options, files, .. } = self;
        match backend {
            Backend::Healthboard => Finding::of(report, self.degraded_is_available),
            Backend::DisableByFile => match &options.disable_by_file_path {
                None => available("No 'disable_by_file_path' configuration value specified"),
                Some(path) if files.exists(path) => disabled(&format!("Path '{}' was found", path.display())),
                Some(path) => available(&format!("Path '{}' was not found", path.display())),
            },
            Backend::DisableByFilesPorts => {
                let is_for_this = |(port, _): &&(u16, _)| Some(*port) == ends.port;
                // If a port has several files, the last one counts.
                match options.disable_by_file_paths.iter().rev().find(is_for_this) {
                    Some((_, path)) if files.exists(path) => disabled(""),
                    _ => available(""),
                }
            }
            Backend::EnableByFiles => {
                match options.enable_by_file_paths.iter().find(|path| !files.exists(path)) {
                    Some(path) => missing(path),
                    None => available("Specified file paths are available"),
                }
            }
        }
    }
}

const TEXT: &str = "text/plain; charset=UTF-8";

fn available(details: &str) -> Finding {
    Finding { available: true, reason: "OK".to_owned(), details: details.to_owned() }
}

fn disabled(details: &str) -> Finding {
    Finding { available: false, reason: "DISABLED BY FILE".to_owned(), details: details.to_owned() }
}

fn missing(path: &Path) -> Finding {
    let details = format!("File path {} is missing", path.display());
    Finding { available: false, reason: "FILE PATH MISSING".to_owned(), details }
}

fn this_host() -> Host {
    let system = uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let platform =
        format!("{}-{}-{}", text(system.sysname()), text(system.release()), text(system.machine()));
    Host { name: text(system.nodename()), platform, now: SystemTime::now() }
}
