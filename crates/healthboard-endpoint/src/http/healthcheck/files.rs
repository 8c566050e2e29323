//! Checks whether the files exist that take a service out of a load balancer, each at most once a second.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// For how long a result is reused, in nanoseconds.
const REUSED_NS: u64 = 1_000_000_000;

/// The files that have been checked.
#[derive(Default)]
pub(super) struct Files(Vec<File>);

struct File {
    path: PathBuf,
    checked_ns: u64,
    exists: bool,
    /// Why the file cannot be checked. It then counts as absent, as in oslo.middleware.
    problem: Option<String>,
    was_logged: bool,
}

impl Files {
    /// Whether a file of any type exists at this path. Links are followed. Costs a system call at most once a second, which
    /// may block if the file system does.
    pub(super) fn exists(&mut self, path: &Path) -> bool {
        let now_ns = healthboard::now_ns();
        let known = self.0.iter().position(|file| file.path == path);
        let file = match known {
            Some(index) => &mut self.0[index],
            None => {
                let (path, was_logged) = (path.to_owned(), false);
                self.0.push(File { path, checked_ns: 0, exists: false, problem: None, was_logged });
                let last = self.0.len() - 1;
                &mut self.0[last]
            }
        };
        if file.checked_ns == 0 || now_ns.saturating_sub(file.checked_ns) >= REUSED_NS {
            file.checked_ns = now_ns.max(1);
            let found = std::fs::metadata(&file.path);
            file.exists = found.is_ok();
            let is_absent = |kind| matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory);
            file.problem =
                found.err().filter(|error| !is_absent(error.kind())).map(|error| error.to_string());
        }
        file.exists
    }

    /// A message for the log about a file that cannot be checked. Each file is reported once.
    pub(super) fn take_notice(&mut self) -> Option<String> {
        let file = self.0.iter_mut().find(|file| file.problem.is_some() && !file.was_logged)?;
        file.was_logged = true;
        let (path, problem) = (file.path.display(), file.problem.as_deref().unwrap_or_default());
        Some(format!("/healthcheck: cannot look for the file `{path}`: {problem}; it counts as absent"))
    }
}
