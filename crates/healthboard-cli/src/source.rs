//! The source of answers: endpoints, agents, and boards.

use crate::arguments::{Boards, Source, Target};
use crate::ask::{self, Answered, Form, NoAnswer};
use healthboard::{Host, Report, Uri, now_ns};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use std::{error, fmt, io};

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    Endpoint(Uri, NoAnswer),
    /// The agent at this address gives no answer for this service.
    Service(Uri, String, NoAnswer),
    /// The agent at this address knows no service.
    Empty(Uri),
    /// No board of this service, or of any if `None`, was found in these directories. The second ones may not be read.
    Boards(Option<String>, Vec<PathBuf>, Vec<PathBuf>),
}

/// The answers of one source, and what could not be read besides.
pub(crate) struct Asked {
    pub(crate) answers: Vec<Result<Answered, Unanswered>>,
    pub(crate) problems: Vec<String>,
}

impl Source {
    /// The answers of all targets, asked at the same time. `hint` is called with additional information for the user.
    pub(crate) fn ask(&self, how: Form, hint: &mut dyn FnMut(&str)) -> Vec<Result<Answered, Unanswered>> {
        let parts = self.parts();
        let asked: Vec<Asked> = match parts.as_slice() {
            [part] => vec![part.ask_part(how)],
            parts => std::thread::scope(|scope| {
                let threads: Vec<_> = parts.iter().map(|part| scope.spawn(|| part.ask_part(how))).collect();
                let joined = threads.into_iter().map(|thread| thread.join());
                joined.map(|asked| asked.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
            }),
        };
        let problems: BTreeSet<&String> = asked.iter().flat_map(|asked| &asked.problems).collect();
        problems.into_iter().for_each(|problem| hint(problem));
        asked.into_iter().flat_map(|asked| asked.answers).collect()
    }

    /// The targets one by one, and the boards of all services if they are asked for. None waits for another one.
    pub(crate) fn parts(&self) -> Vec<Source> {
        let part = |targets| Source { targets, boards: self.boards.clone(), timeout: self.timeout };
        let mut parts: Vec<Source> = self.targets.iter().map(|target| part(vec![target.clone()])).collect();
        let has_name = self.targets.iter().any(|target| matches!(target, Target::Name(_)));
        if parts.is_empty() || !has_name && !self.boards.directories.is_empty() {
            parts.push(part(Vec::new()));
        }
        parts
    }

    /// The answers of a part.
    pub(crate) fn ask_part(&self, how: Form) -> Asked {
        let uri = match self.targets.first() {
            Some(Target::Uri(uri)) => uri,
            Some(Target::Name(name)) => return self.boards.ask(Some(name), how),
            None => return self.boards.ask(None, how),
        };
        let answers = match ask::ask(uri, how, Instant::now() + self.timeout) {
            Ok(found) if found.is_empty() => vec![Err(Unanswered::Empty(uri.clone()))],
            Ok(found) => found
                .into_iter()
                .map(|(name, found)| {
                    found.map_err(|why| match name {
                        Some(name) => Unanswered::Service(uri.clone(), name, why),
                        None => Unanswered::Endpoint(uri.clone(), why),
                    })
                })
                .collect(),
            Err(why) => vec![Err(Unanswered::Endpoint(uri.clone(), why))],
        };
        Asked { answers, problems: Vec::new() }
    }

    /// Requests a path of an endpoint. Returns the HTTP status code and the body.
    pub(crate) fn get(&self, uri: &Uri, path: &str) -> Result<(u16, String), Unanswered> {
        let answer = ask::get(uri, path, Instant::now() + self.timeout);
        answer.map_err(|why| Unanswered::Endpoint(uri.clone(), why))
    }
}

impl Boards {
    /// The directories that were named, or the usual ones.
    pub(crate) fn roots(&self) -> Vec<PathBuf> {
        if self.directories.is_empty() { Host::usual_roots() } else { self.directories.clone() }
    }

    /// The reports of all services, those that are expected among them, and the host that they were read from.
    pub(crate) fn read(&self, expected: Vec<String>) -> (Vec<Report>, Host) {
        let mut host = Host::new(self.roots(), expected);
        (host.reports(now_ns(), SystemTime::now()), host)
    }

    fn ask(&self, name: Option<&str>, how: Form) -> Asked {
        let (reports, host) = self.read(Vec::new());
        let asked = reports.iter().filter(|report| name.is_none_or(|name| report.service == name));
        let mut answers: Vec<_> = asked.map(|report| Ok(Answered::of(report, how))).collect();
        if answers.is_empty() {
            let unreadable = host.unreadable().iter().cloned().collect();
            answers.push(Err(Unanswered::Boards(name.map(str::to_owned), self.roots(), unreadable)));
        }
        Asked { answers, problems: host.problems().iter().cloned().collect() }
    }
}

impl Unanswered {
    /// A hint for the user.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Unanswered::Endpoint(_, NoAnswer::Tls | NoAnswer::NotAReport { code: 401, .. }) => {
                "on the host itself ask by the name of the service, from its boards; from another host use curl"
            }
            Unanswered::Boards(name, _, unreadable) if !unreadable.is_empty() => {
                // `nova-api` is rather in `nova` than in `postgresql`.
                let is_likely =
                    |path: &&PathBuf| name.as_deref().is_some_and(|name| Host::is_named_for(path, name));
                let (likely, others): (Vec<_>, Vec<_>) = unreadable.iter().partition(is_likely);
                let all = likely.iter().chain(&others).take(3).map(|path| format!("`{}`", path.display()));
                let (all, more) = (all.collect::<Vec<_>>().join(", "), unreadable.len().saturating_sub(3));
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                return Some(format!(
                    "this user may not read {all}{more}: be root or in the service's group, or ask its endpoint by its URI"
                ));
            }
            Unanswered::Boards(..) => {
                "is it running, with `uri` set in its [healthcheck]? `--boards DIR` looks elsewhere"
            }
            Unanswered::Endpoint(_, NoAnswer::Connect(why)) => match why.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    "is the service running, with `uri` in its [healthcheck] set to this?"
                }
                io::ErrorKind::PermissionDenied => {
                    "this user has no permission: see `socket_mode` in the service's [healthcheck], and the group of the path"
                }
                _ => return None,
            },
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The reason may contain bytes from the socket.
            Unanswered::Endpoint(uri, why) => {
                f.write_str(&healthboard::printable(&format!("no answer from {uri}: {why}")))
            }
            Unanswered::Service(uri, name, why) => {
                f.write_str(&healthboard::printable(&format!("no answer of {name} from {uri}: {why}")))
            }
            Unanswered::Empty(uri) => write!(f, "the agent at {uri} knows no service"),
            Unanswered::Boards(name, directories, _) => {
                let whose = name.as_deref().map_or("any process".to_owned(), |name| format!("`{name}`"));
                let places: Vec<_> = directories.iter().map(|path| format!("`{}`", path.display())).collect();
                write!(f, "found no board of {whose} in {}", places.join(", "))
            }
        }
    }
}

impl error::Error for Unanswered {}

/// How long before the time of the report something happened. The time itself if it cannot be parsed.
pub(crate) fn age(now: &str, then: &str) -> String {
    elapsed(now, then).map_or(then.to_owned(), |age| format!("{} ago", healthboard::span(age)))
}

/// The time from `then` to `now`, both as RFC 3339; `None` if one of them cannot be parsed.
pub(crate) fn elapsed(now: &str, then: &str) -> Option<Duration> {
    let parse = |time| humantime::parse_rfc3339(time).ok();
    Some(parse(now)?.duration_since(parse(then)?).unwrap_or(Duration::ZERO))
}
