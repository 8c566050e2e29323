//! Finds the directory for the boards of a service.

use crate::board::place::Place;
use rustix::fs::{Mode, OFlags};
use std::ffi::OsString;
use std::io::{self, Error, ErrorKind};
use std::path::{Path, PathBuf};

/// The usual runtime directory, used if it exists.
const USUAL: &str = "/run/healthboard";

/// The directories named by the operator, systemd and the session. Read in the thread that starts the service: the
/// keeper does not touch the host's environment.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidates {
    /// The option `runtime_dir`, else `$RUNTIME_DIRECTORY`.
    named: Option<PathBuf>,
    /// `$XDG_RUNTIME_DIR`.
    session: Option<PathBuf>,
}

impl Candidates {
    pub(super) fn from_env(option: Option<PathBuf>) -> Candidates {
        Candidates {
            named: option.or_else(|| variable("RUNTIME_DIRECTORY")),
            session: variable("XDG_RUNTIME_DIR"),
        }
    }

    /// Finds the runtime directory and opens `<runtime dir>/<service>`, which it creates if necessary.
    ///
    /// An explicitly named directory is used or refused, never passed over. Otherwise it is `/run/healthboard` if that
    /// exists and can be used, else `healthboard` in the session's directory if this user owns that, else
    /// `/tmp/healthboard-UID`. `passed_over` gets a line for each directory that was passed over, except for
    /// `/run/healthboard` if this user may not write there.
    ///
    /// # Errors
    ///
    /// The error names the directory, what was found and what was expected.
    pub(super) fn find(&self, service: &str, passed_over: &mut Vec<String>) -> io::Result<Place> {
        if let Some(named) = &self.named {
            return Place::make(named, service);
        }
        if Path::new(USUAL).exists() {
            match Place::make(Path::new(USUAL), service) {
                Ok(place) => return Ok(place),
                // This is expected: most users may not write there.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
                Err(error) => passed_over.push(error.to_string()),
            }
        }
        if let Some(session) = &self.session {
            match own(session).and_then(|()| Place::make(&session.join("healthboard"), service)) {
                Ok(place) => return Ok(place),
                Err(error) => passed_over.push(error.to_string()),
            }
        }
        let user = rustix::process::geteuid().as_raw();
        let place = PathBuf::from(format!("/tmp/healthboard-{user}"));
        match rustix::fs::mkdir(&place, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(unusable(&place, &Error::from(errno).to_string())),
        }
        own(&place)?;
        Place::make(&place, service)
    }
}

/// Fails unless this is a directory that belongs to this user and that no other user may write to.
fn own(path: &Path) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let look = || rustix::fs::fstat(rustix::fs::open(path, flags, Mode::empty())?);
    let found = look().map_err(|errno| unusable(path, &Error::from(errno).to_string()))?;
    let user = rustix::process::geteuid().as_raw();
    if found.st_uid != user || found.st_mode & 0o022 != 0 {
        let (uid, mode) = (found.st_uid, found.st_mode & 0o7777);
        let expected = format!("a directory of uid {user} that nobody else may write to");
        return Err(unusable(path, &format!("found uid {uid} and mode {mode:04o}, expected {expected}")));
    }
    Ok(())
}

fn unusable(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::PermissionDenied, format!("cannot keep boards in `{}`: {what}", path.display()))
}

/// The first path of a variable that may be a list separated by colons, as systemd's is.
fn variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|v| !v.is_empty())?;
    let first: Vec<u8> = value.into_encoded_bytes().split(|b| *b == b':').next()?.to_vec();
    // SAFETY: a prefix of an OsString, cut at an ASCII byte.
    Some(PathBuf::from(unsafe { OsString::from_encoded_bytes_unchecked(first) }))
}
