//! Opens a directory in which only this user and root can replace files of this user.
//!
//! The owner of a directory, and every user who may write to it, can replace its entries: the socket itself, or a directory
//! on the path to it. Group members count as other users: the members of a socket's group may send probes, but must not be
//! able to answer them. The sticky bit makes a shared directory safe, since only the owner of a file may replace it there.

use rustix::fs::{CWD, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat};
use rustix::io::Errno;
use rustix::process::geteuid;
use std::ffi::{OsStr, OsString};
use std::io::{Error, ErrorKind, Result};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The most symbolic links on the path to a directory, as in the kernel.
const MAX_LINKS: u32 = 40;

/// Opens a directory with `O_PATH`, to reach the files in it.
///
/// Checks every directory on the path, and every link that is followed.
///
/// # Errors
///
/// The error names the unsuitable directory, which may be a parent, and says what was found and what to do about it.
pub(crate) fn open_directory(path: &Path) -> Result<OwnedFd> {
    let user = geteuid().as_raw();
    let root = || open(CWD, OsStr::new("/")).map_err(|errno| unreachable(Path::new("/"), errno));
    let (mut directory, mut stat) = root()?;
    let mut walked = PathBuf::from("/");
    let mut rest = components(path.as_os_str().as_bytes());
    let mut links = 0;
    loop {
        check(&walked, stat.st_uid, stat.st_mode & 0o7777, user)?;
        let Some(name) = rest.pop() else { return Ok(directory) };
        let next = walked.join(&name);
        let (file, found) = open(&directory, &name).map_err(|errno| unreachable(&next, errno))?;
        match FileType::from_raw_mode(found.st_mode) {
            FileType::Directory => {
                (directory, stat) = (file, found);
                if name == ".." {
                    walked.pop();
                } else {
                    walked = next;
                }
            }
            FileType::Symlink => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(unreachable(&next, Errno::LOOP));
                }
                check_link(&next, &found, &stat, user)?;
                let target = readlinkat(&file, "", Vec::new()).map_err(|e| unreachable(&next, e))?;
                if target.as_bytes().starts_with(b"/") {
                    (directory, stat) = root()?;
                    walked = PathBuf::from("/");
                }
                rest.extend(components(target.as_bytes()));
            }
            _ => return Err(unreachable(&next, Errno::NOTDIR)),
        }
    }
}

fn open(directory: impl rustix::fd::AsFd, name: &OsStr) -> std::result::Result<(OwnedFd, Stat), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::empty())?;
    let stat = fstat(&file)?;
    Ok((file, stat))
}

/// The names of a path, the last one first.
fn components(path: &[u8]) -> Vec<OsString> {
    let names = path.split(|b| *b == b'/').filter(|name| !name.is_empty() && *name != b".");
    names.rev().map(|name| OsString::from_vec(name.to_vec())).collect()
}

fn check(path: &Path, owner: u32, mode: u32, user: u32) -> Result<()> {
    let name = path.display();
    let found = format!("`{name}` belongs to uid {owner} and has mode {mode:04o}");
    let expected = format!("expected an owner of uid {}", one_of(user));
    if !is_trusted(owner, user) {
        return Err(denied(format!(
            "{found}, so that its owner could replace the socket; {expected}: choose another directory or change the \
             owner (systemd: RuntimeDirectory=)"
        )));
    }
    if mode & 0o022 != 0 && mode & 0o1000 == 0 {
        let (who, right) = if mode & 0o002 != 0 { ("anybody", "go-w") } else { ("its group", "g-w") };
        return Err(denied(format!(
            "{found}, so that {who} could replace the socket; {expected} and no right to write for group or others: \
             `chmod {right} {name}`, or choose another directory"
        )));
    }
    Ok(())
}

/// Checks the owner of a link in a sticky directory, where any user may make links. Elsewhere only users that have been
/// checked can.
fn check_link(path: &Path, link: &Stat, directory: &Stat, user: u32) -> Result<()> {
    if is_trusted(link.st_uid, user) || directory.st_mode & 0o022 == 0 {
        return Ok(());
    }
    Err(denied(format!(
        "the link `{}` belongs to uid {}, who could let it lead elsewhere; expected an owner of uid {}: choose another \
         directory",
        path.display(),
        link.st_uid,
        one_of(user)
    )))
}

fn is_trusted(owner: u32, user: u32) -> bool {
    owner == user || owner == 0
}

fn one_of(user: u32) -> String {
    if user == 0 { "0".to_owned() } else { format!("{user} or 0") }
}

fn unreachable(path: &Path, errno: Errno) -> Error {
    let name = path.display();
    let why = match errno {
        Errno::NOENT => format!("there is no directory `{name}`; make it (systemd: RuntimeDirectory=)"),
        Errno::NOTDIR => format!("`{name}` is not a directory; choose a path in one"),
        _ => format!("cannot open the directory `{name}`: {}", Error::from(errno)),
    };
    Error::new(Error::from(errno).kind(), why)
}

fn denied(why: String) -> Error {
    Error::new(ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
mod tests;
