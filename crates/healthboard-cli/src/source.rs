//! The source of answers: endpoints, agents, and boards.

use crate::arguments::{Boards, Source, Target};
use crate::ask::{self, Answered, Form, NoAnswer};
use healthboard::{Host, Report, Uri, now_ns};
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
    /// No board of this service, or of any if `None`, was found in these directories.
    Boards(Option<String>, Vec<PathBuf>),
}

impl Source {
    /// The answers of all targets. If no endpoint answers, and directories with boards are named, those of the boards.
    /// `hint` is called with additional information for the user.
    pub(crate) fn ask(&self, how: Form, hint: &mut dyn FnMut(&str)) -> Vec<Result<Answered, Unanswered>> {
        let deadline = Instant::now() + self.timeout;
        let uris = self.targets.iter().filter(|target| matches!(target, Target::Uri(_))).count();
        if self.targets.is_empty() {
            return self.boards.ask(None, how, hint);
        }
        let mut answers = Vec::new();
        for target in &self.targets {
            match target {
                Target::Uri(uri) => match ask::ask(uri, how, deadline) {
                    Ok(found) if found.is_empty() => answers.push(Err(Unanswered::Empty(uri.clone()))),
                    Ok(found) => answers.extend(found.into_iter().map(|(name, found)| {
                        found.map_err(|why| match name {
                            Some(name) => Unanswered::Service(uri.clone(), name, why),
                            None => Unanswered::Endpoint(uri.clone(), why),
                        })
                    })),
                    Err(why) => answers.push(Err(Unanswered::Endpoint(uri.clone(), why))),
                },
                Target::Name(name) => answers.extend(self.boards.ask(Some(name), how, hint)),
            }
        }
        if uris < self.targets.len()
            || self.boards.directories.is_empty()
            || !answers.iter().all(Result::is_err)
        {
            return answers;
        }
        for unanswered in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            hint(&format!("{unanswered}; reading boards"));
        }
        self.boards.ask(None, how, hint)
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

    /// The reports of all services, those that are expected among them, and the number of problems. `hint` is called for each
    /// problem.
    pub(crate) fn reports(&self, expected: &[String], hint: &mut dyn FnMut(&str)) -> (Vec<Report>, usize) {
        let mut host = Host::new(self.roots(), expected.to_vec());
        let reports = host.reports(now_ns(), SystemTime::now());
        host.problems().iter().for_each(|problem| hint(problem));
        (reports, host.problems().len())
    }

    fn ask(
        &self,
        name: Option<&str>,
        how: Form,
        hint: &mut dyn FnMut(&str),
    ) -> Vec<Result<Answered, Unanswered>> {
        let (reports, _) = self.reports(&[], hint);
        let asked = reports.iter().filter(|report| name.is_none_or(|name| report.service == name));
        let answers: Vec<_> = asked.map(|report| Ok(Answered::of(report, how))).collect();
        if answers.is_empty() {
            return vec![Err(Unanswered::Boards(name.map(str::to_owned), self.roots()))];
        }
        answers
    }
}

impl Unanswered {
    /// A hint for the user.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        if let Unanswered::Endpoint(_, NoAnswer::Tls) = self {
            return Some(
                "on the host itself ask by the name of the service, from its boards; from another host use curl",
            );
        }
        let Unanswered::Endpoint(_, NoAnswer::Connect(why)) = self else {
            return matches!(self, Unanswered::Boards(..)).then_some(
                "is it running, with `uri` set in its [healthcheck]? `--boards DIR` looks elsewhere",
            );
        };
        match why.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                Some("is the service running, with `uri` in its [healthcheck] set to this?")
            }
            io::ErrorKind::PermissionDenied => Some(
                "this user has no permission: see `socket_mode` in the service's [healthcheck], and the group of the path",
            ),
            _ => None,
        }
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
            Unanswered::Boards(name, directories) => {
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
    let parse = |time| humantime::parse_rfc3339(time).ok();
    let age =
        parse(now).zip(parse(then)).map(|(now, then)| now.duration_since(then).unwrap_or(Duration::ZERO));
    age.map_or(then.to_owned(), |age| format!("{} ago", healthboard::span(age)))
}
