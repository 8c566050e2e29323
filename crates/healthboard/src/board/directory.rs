//! All the boards of one service, read again and again at little cost.

use super::create::boot_id;
use super::layout::{BLOCK, SLOTS};
use super::read::{self, Header, Refused};
use crate::{Life, Process};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A file system stamps changes with a tick of up to 10 ms: a listing made so soon after a change may have missed another.
const RACY: Duration = Duration::from_millis(50);

/// Slots that are read at once; services with more indicators cost a second `pread`.
const USUAL_SLOTS: usize = 10;

/// The boards in one service's directory. Reading changes nothing there.
///
/// It keeps the files of the living open between two reads and lists the directory only when it has changed, so a read costs
/// one `stat` and, for each board, one `pread` and one look at its lock (`cargo xtask bench reading`). However
/// many have died, they cost no descriptors.
pub struct Directory {
    path: PathBuf,
    boot_id: [u64; 2],
    listed: Option<SystemTime>,
    files: BTreeMap<OsString, Found>,
    buffer: Vec<u8>,
}

/// What a file in the directory has turned out to be.
enum Found {
    /// Not looked at yet.
    New,
    /// The board of a living process.
    Living(File),
    /// A board that does not change any more: what it says, if it is to be heard at all.
    Ended(Option<Process>),
    /// No board of this service.
    Refused(Refused),
}

impl Directory {
    /// The boards below this path, `<runtime dir>/<service>`. It need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Directory {
        Directory {
            path: path.into(),
            boot_id: boot_id(),
            listed: None,
            files: BTreeMap::new(),
            buffer: vec![0; BLOCK * (1 + SLOTS)],
        }
    }

    /// Where it looks.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What every process of the service says: the living, and those that died without saying goodbye.
    ///
    /// Files that are no boards of this service are passed over; [`refused`](Directory::refused) names them.
    ///
    /// # Errors
    ///
    /// Where the directory cannot be listed; one that does not exist has no processes.
    pub fn read(&mut self) -> io::Result<Vec<Process>> {
        self.list()?;
        let mut processes = Vec::with_capacity(self.files.len());
        for (name, found) in &mut self.files {
            if let Found::New = found {
                *found = open(&self.path.join(name)).map_or_else(Found::Refused, Found::Living);
            }
            if let Found::Living(file) = found {
                match read_board(file, &mut self.buffer, self.boot_id) {
                    Ok(Some(process)) if process.life != Life::Dead => processes.push(process),
                    Ok(ended) => *found = Found::Ended(ended),
                    Err(refused) => *found = Found::Refused(refused),
                }
            }
            if let Found::Ended(Some(process)) = found {
                processes.push(process.clone());
            }
        }
        Ok(processes)
    }

    /// The files that were not taken for boards, each with what was found and what was expected.
    pub fn refused(&self) -> Vec<String> {
        let name = |file: &OsString| self.path.join(file).display().to_string();
        let refused = self.files.iter().filter_map(|(file, found)| match found {
            Found::Refused(why) => Some(format!("cannot read board `{}`: {why}", name(file))),
            _ => None,
        });
        refused.collect()
    }

    /// Removes what nobody needs: boards of processes that left in good order, died longer than their ttl ago or ran before
    /// a reboot, and what a creator left that was killed. Only the holder does this; errors are left for the next time.
    pub fn sweep(&mut self, now_ns: u64) {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let text = name.to_string_lossy();
            if !text.ends_with(".board") && !text.ends_with(".tmp") {
                continue;
            }
            let Ok(file) = open(&entry.path()) else { continue };
            let unneeded = match text.ends_with(".board") {
                true => self.is_unneeded(&file, now_ns),
                // Locked until it is removed: a creator that has not locked it yet waits, and sees that it is to start again.
                false => file.try_lock().is_ok(),
            };
            if unneeded {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    fn is_unneeded(&mut self, file: &File, now_ns: u64) -> bool {
        if is_alive(file) {
            return false;
        }
        match read_board(file, &mut self.buffer, self.boot_id) {
            Ok(None) => true,
            Ok(Some(p)) => p.life == Life::Dead && now_ns.saturating_sub(p.newest_ns()) > p.ttl_ns,
            Err(_) => false,
        }
    }

    fn list(&mut self) -> io::Result<()> {
        let changed = match std::fs::metadata(&self.path) {
            Ok(metadata) => metadata.modified()?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.files.clear();
                self.listed = None;
                return Ok(());
            }
            Err(e) => return Err(e),
        };
        if self.listed == Some(changed) {
            return Ok(());
        }
        // By the wall clock, like the stamp; if that jumps, the next read lists again, no more.
        let settled = SystemTime::now().duration_since(changed).is_ok_and(|age| age > RACY);
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if name.as_encoded_bytes().ends_with(b".board") {
                // What was refused may have been replaced.
                let kept = self.files.remove(&name).filter(|found| !matches!(found, Found::Refused(_)));
                files.insert(name, kept.unwrap_or(Found::New));
            }
        }
        self.files = files;
        self.listed = settled.then_some(changed);
        Ok(())
    }
}

/// Opens what may be a board: never through a link, never waiting for a FIFO, never somebody else's.
fn open(path: &Path) -> Result<File, Refused> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let io = |e: io::Error| match e.raw_os_error() {
        Some(libc::ELOOP) => Refused::Foreign { found: "a symbolic link" },
        _ => Refused::Io(e.kind()),
    };
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(Refused::Foreign { found: kind(&metadata) });
    }
    let expected = path.parent().and_then(|p| p.metadata().ok()).map_or(metadata.uid(), |m| m.uid());
    if metadata.uid() != expected && metadata.uid() != 0 {
        return Err(Refused::Owner { found: metadata.uid(), expected });
    }
    Ok(file)
}

fn kind(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() { "a directory" } else { "a special file" }
}

/// Copies the board and judges the copy.
fn read_board(file: &File, buffer: &mut [u8], boot_id: [u64; 2]) -> Result<Option<Process>, Refused> {
    let read = |buffer: &mut [u8]| file.read_at(buffer, 0).map_err(|e| Refused::Io(e.kind()));
    // Before the copy: a process that dies in between is taken for alive with its last evidence, never the other way round.
    let alive = is_alive(file);
    let mut found = read(&mut buffer[..BLOCK * (1 + USUAL_SLOTS)])?;
    let mut header: Header = read::header(&buffer[..found])?;
    if header.used > USUAL_SLOTS {
        // All of it: more slots may have come into use in between.
        found = read(buffer)?;
        header = read::header(&buffer[..found])?;
    }
    if found < BLOCK * (1 + header.used) {
        return Err(Refused::Short { found });
    }
    if header.boot_id != boot_id {
        return Ok(None);
    }
    Ok(read::process(&header, &buffer[..found], alive))
}

/// Whether the writer's lock is held. Works across pid namespaces, and at once after `kill -9`.
fn is_alive(file: &File) -> bool {
    match file.try_lock_shared() {
        Ok(()) => {
            // Not kept for longer than the question takes; the file stays open.
            let _ = file.unlock();
            false
        }
        Err(TryLockError::WouldBlock) => true,
        // Not knowing is not death.
        Err(TryLockError::Error(_)) => true,
    }
}

#[cfg(test)]
mod tests;
