//! The source of an answer: the endpoints, else the boards.

use crate::ask::{self, Answered, NoAnswer};
use healthboard::{Directory, Uri};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use std::{error, fmt, io};

pub(crate) struct Source {
    pub(crate) uris: Vec<Uri>,
    pub(crate) boards: Option<PathBuf>,
    pub(crate) timeout: Duration,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    Endpoint(Uri, NoAnswer),
    Boards(PathBuf, io::Error),
}

impl Source {
    /// The answer of every endpoint; if none of them answers, that of the boards.
    pub(crate) fn ask(&self) -> Vec<Result<Answered, Unanswered>> {
        let deadline = Instant::now() + self.timeout;
        let ask = |uri: &Uri| ask::ask(uri, deadline).map_err(|why| Unanswered::Endpoint(uri.clone(), why));
        let answers: Vec<_> = self.uris.iter().map(ask).collect();
        let Some(directory) = self.boards.as_deref().filter(|_| answers.iter().all(Result::is_err)) else {
            return answers;
        };
        for unanswered in answers.iter().filter_map(|answer| answer.as_ref().err()) {
            eprintln!("hint: {unanswered}; reading the boards in {}", directory.display());
        }
        vec![read_boards(directory).map_err(|why| Unanswered::Boards(directory.to_owned(), why))]
    }

    /// The HTTP status code and the body of a path of the one endpoint.
    pub(crate) fn get(&self, path: &str) -> Result<(u16, String), Unanswered> {
        let uri = &self.uris[0];
        let answer = ask::get(uri, path, Instant::now() + self.timeout);
        answer.map_err(|why| Unanswered::Endpoint(uri.clone(), why))
    }
}

fn read_boards(path: &Path) -> io::Result<Answered> {
    let mut directory = Directory::new(path);
    let processes = directory.read()?;
    for refused in directory.refused() {
        eprintln!("hint: {refused}");
    }
    if processes.is_empty() {
        // `judge` says OK for a service that is starting. For this command it is no answer.
        return Err(io::Error::new(io::ErrorKind::NotFound, "found no board of any process there"));
    }
    let service = path.file_name().unwrap_or_default().to_string_lossy();
    let report = healthboard::judge(&service, &processes, healthboard::now_ns(), SystemTime::now());
    let body = healthboard::format::json(&report);
    Ok(Answered { answer: healthboard::format::parse(&body)?, body })
}

impl Unanswered {
    /// A hint for the user.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        let (Unanswered::Endpoint(_, NoAnswer::Connect(why)) | Unanswered::Boards(_, why)) = self else {
            return None;
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
            // The reason may quote bytes from the socket.
            Unanswered::Endpoint(uri, why) => {
                f.write_str(&healthboard::printable(&format!("no answer from {uri}: {why}")))
            }
            Unanswered::Boards(path, why) => {
                write!(f, "cannot read the boards in `{}`: {why}", path.display())
            }
        }
    }
}

impl error::Error for Unanswered {}
