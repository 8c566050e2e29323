//! The directories of a host in which services may be.

use crate::scrub::printable;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;
use std::path::{Path, PathBuf};

/// The most entries of a directory that are examined when searching for services or for a board.
const MAX_ENTRIES: usize = 1 << 16;

/// The subdirectories of a directory.
pub(super) struct Listed {
    pub(super) paths: Vec<PathBuf>,
    /// Whether these are all.
    pub(super) is_whole: bool,
}

/// The subdirectories of a directory, without following links, in the order of their names. If everybody may create entries
/// there, only those of this user and of root count.
pub(super) fn entries(path: &Path, problems: &mut BTreeSet<String>) -> Result<Listed, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    let is_open = is_open_to_all(&rustix::fs::fstat(&directory)?);
    let (mut found, mut is_whole) = (Vec::new(), true);
    for (number, entry) in rustix::fs::Dir::read_from(&directory)?.enumerate() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(errno) => {
                problems.insert(cannot_read(path, errno));
                is_whole = false;
                break;
            }
        };
        if number >= MAX_ENTRIES {
            is_whole = false;
            let path = printable(&path.display().to_string());
            problems.insert(format!(
                "found more than {MAX_ENTRIES} entries in `{path}`: the others are not read"
            ));
            break;
        }
        let Ok(name) = entry.file_name().to_str() else { continue };
        if name.starts_with('.') || !matches!(entry.file_type(), FileType::Directory | FileType::Unknown) {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory && (!is_open || is_own(&stat)) {
            found.push(path.join(name));
        }
    }
    found.sort_unstable();
    Ok(Listed { paths: found, is_whole })
}

/// Whether a directory belongs to this user or root, or lies where not everybody may create entries.
pub(super) fn is_trusted(path: &Path) -> bool {
    let Ok(stat) = rustix::fs::stat(path) else { return true };
    let parent = path.parent().and_then(|parent| rustix::fs::stat(parent).ok());
    !parent.is_some_and(|parent| is_open_to_all(&parent)) || is_own(&stat)
}

fn is_open_to_all(stat: &Stat) -> bool {
    stat.st_mode & 0o002 != 0
}

fn is_own(stat: &Stat) -> bool {
    stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw()
}

/// Whether the directory may contain a board: a file with the name of one that belongs to the owner of the directory or to
/// root.
pub(super) fn has_board(path: &Path) -> Result<bool, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    let owner = rustix::fs::fstat(&directory)?.st_uid;
    let is_board = |name: &CStr| {
        name.to_bytes().ends_with(b".board")
            && rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|stat| {
                let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
                is_file && (stat.st_uid == owner || stat.st_uid == 0)
            })
    };
    let entries = rustix::fs::Dir::read_from(&directory)?.take(MAX_ENTRIES);
    Ok(entries.flatten().any(|entry| is_board(entry.file_name())))
}

/// The problem that a directory cannot be read.
pub(super) fn cannot_read(path: &Path, errno: Errno) -> String {
    format!("cannot read `{}`: {}", printable(&path.display().to_string()), io::Error::from(errno))
}
