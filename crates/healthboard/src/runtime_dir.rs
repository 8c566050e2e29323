//! Where the boards of a service are.

use crate::Settings;
use std::ffi::OsString;
use std::fs::{DirBuilder, Metadata};
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Makes `<runtime dir>/<service>` and returns it.
///
/// The runtime dir is the option `runtime_dir`, else `$RUNTIME_DIRECTORY`, else `/run/healthboard` if it can be used, else
/// `$XDG_RUNTIME_DIR/healthboard`, else a directory of this user's own in `/tmp`. Whatever was named explicitly is used or
/// refused, never passed over.
///
/// # Errors
///
/// Names the directory, what is wrong with it and what would be right.
pub(crate) fn prepare(settings: &Settings) -> io::Result<PathBuf> {
    if let Some(named) = settings.runtime_dir.clone().or_else(|| variable("RUNTIME_DIRECTORY")) {
        return service_in(&named, &settings.service, true);
    }
    // SAFETY: geteuid has no preconditions and cannot fail.
    let user = unsafe { libc::geteuid() };
    let own = PathBuf::from(format!("/tmp/healthboard-{user}"));
    let usual = PathBuf::from("/run/healthboard");
    service_in(&usual, &settings.service, usual.exists())
        .or_else(|error| match variable("XDG_RUNTIME_DIR") {
            Some(session) => service_in(&session.join("healthboard"), &settings.service, true),
            None => Err(error),
        })
        .or_else(|_| service_in(&own, &settings.service, true))
}

/// The first path of a variable that may be a colon list, as systemd's is.
fn variable(name: &str) -> Option<PathBuf> {
    let value = std::env::var_os(name).filter(|v| !v.is_empty())?;
    let first: Vec<u8> = value.into_encoded_bytes().split(|b| *b == b':').next()?.to_vec();
    // SAFETY: a prefix of an OsString, cut at an ASCII byte.
    Some(PathBuf::from(unsafe { OsString::from_encoded_bytes_unchecked(first) }))
}

fn service_in(runtime: &Path, service: &str, may_make: bool) -> io::Result<PathBuf> {
    if may_make {
        make(runtime, 0o750)?;
    }
    let metadata = runtime.symlink_metadata().map_err(|e| named(runtime, &e.to_string(), e.kind()))?;
    // SAFETY: geteuid has no preconditions and cannot fail.
    let user = unsafe { libc::geteuid() };
    // Whoever owns it, or may write there without the sticky bit, could put another directory in the service's place.
    if !metadata.is_dir() || ![user, 0].contains(&metadata.uid()) || metadata.mode() & 0o1002 == 0o002 {
        let expected =
            format!("a directory of uid {user} or 0 that others cannot write to, or with the sticky bit");
        return Err(refused(runtime, &metadata, &expected));
    }
    let directory = runtime.join(service);
    make(&directory, 0o750)?;
    let metadata = directory.symlink_metadata().map_err(|e| named(&directory, &e.to_string(), e.kind()))?;
    if !metadata.is_dir() || metadata.uid() != user || metadata.mode() & 0o022 != 0 {
        return Err(refused(
            &directory,
            &metadata,
            &format!("a directory of uid {user} that nobody else writes to"),
        ));
    }
    Ok(directory)
}

fn make(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        result => result.map_err(|e| {
            named(
                path,
                &format!("{e}; make what is above it, or set `runtime_dir` to another place"),
                e.kind(),
            )
        }),
    }
}

fn refused(path: &Path, found: &Metadata, expected: &str) -> Error {
    let kind = if found.is_dir() { "a directory" } else { "no directory" };
    let (uid, mode) = (found.uid(), found.mode() & 0o7777);
    named(
        path,
        &format!("found {kind} of uid {uid} with mode {mode:04o}, expected {expected}"),
        ErrorKind::PermissionDenied,
    )
}

fn named(path: &Path, what: &str, kind: ErrorKind) -> Error {
    Error::new(kind, format!("cannot keep boards in `{}`: {what}", path.display()))
}

#[cfg(test)]
mod tests;
