//! All the boards of one service, read repeatedly at little cost.

use super::board::{self, Descriptors, Header, Refused, Shared};
use super::stack_files::StackFiles;
use super::{DRAINS_FOR_NS, Life, Observed, Process};
use crate::board::create::boot_id;
use crate::board::layout::{BLOCK, SLOTS};
use crate::board::lock;
use crate::board::place::Place;
use crate::scrub::printable;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Time stamps of a file system have a resolution of up to 10 ms. A listing made this soon after a change may have missed
/// a further change.
const RACY: Duration = Duration::from_millis(50);

/// The number of slots that the first read of a board fetches. Later reads fetch as many as were in use before. If more
/// are in use, a second `pread` fetches the whole board.
const USUAL_SLOTS: usize = 10;

/// The most boards of a service that are read. If there are more, `Directory::unread` says so. A server has one or a few
/// processes per core, and boards of those that died recently.
const MAX_BOARDS: usize = 1024;

/// Room for a whole board.
const BUFFER: usize = BLOCK * (1 + SLOTS);

/// The boards in one service's directory. Reading changes nothing there, and takes no lock.
///
/// It keeps the files of living processes open between reads, and lists the directory only when it has changed. So a read
/// costs up to three `stat` and, for each board of a living process, one `pread` and one check of its lock (`cargo xtask
/// bench reading`). Boards of dead processes occupy no descriptors.
pub struct Directory {
    path: PathBuf,
    place: Option<Place>,
    /// Whether the path is opened again when it leads to another directory.
    follows: bool,
    boot_id: [u64; 2],
    listed: Option<SystemTime>,
    /// Why the last read was incomplete, if it was.
    unread: Option<String>,
    /// Whether there are more than [`MAX_BOARDS`] boards.
    overflows: bool,
    files: BTreeMap<String, Found>,
    stacks: StackFiles,
    memory: Memory,
}

/// Memory that reading reuses. Several directories can share it.
#[derive(Default)]
pub(crate) struct Memory {
    buffer: Vec<u8>,
    shared: Shared,
}

/// What is known about a file in the directory.
enum Found {
    /// Not opened yet, or not successfully.
    New,
    /// The board of a process that was alive at the last read.
    Living(File, Descriptors),
    /// A board that no longer changes; `None` for one from before a reboot.
    Ended(Option<Box<Process>>),
    /// Not a board of this service, or one of another layout.
    Refused(Refused),
}

impl Directory {
    /// The boards in the directory with this path, `<runtime dir>/<service>`. It need not exist yet.
    pub fn new(path: impl Into<PathBuf>) -> Directory {
        Directory::in_boot(boot_id(), path)
    }

    /// Like [`new`](Directory::new), for a caller that knows the id of this boot.
    pub(crate) fn in_boot(boot_id: [u64; 2], path: impl Into<PathBuf>) -> Directory {
        Directory {
            path: path.into(),
            place: None,
            follows: true,
            boot_id,
            listed: None,
            unread: None,
            overflows: false,
            files: BTreeMap::new(),
            stacks: StackFiles::default(),
            memory: Memory::default(),
        }
    }

    /// The boards in this directory, even if its path leads elsewhere by now. The path is never opened again.
    pub fn of(place: Place) -> Directory {
        Directory { follows: false, place: Some(place), ..Directory::new("") }
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        self.place.as_ref().map_or(&self.path, Place::path)
    }

    /// The directory as of the last read, if there was one.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Every process of the service that has a board here, whether it is alive, dead or stopped.
    ///
    /// Files that are not boards of this service are skipped; [`refused`](Directory::refused) names them.
    ///
    /// # Errors
    ///
    /// The directory cannot be opened or listed. One that does not exist has no processes.
    pub fn read(&mut self) -> io::Result<Vec<Process>> {
        let mut processes = Vec::new();
        self.read_into(&mut processes)?;
        Ok(processes)
    }

    /// Like [`read`](Directory::read), but replaces the content of `processes`. A caller that reads repeatedly passes the
    /// result of the last read, so that its memory is reused: freeing and allocating it would cost as much as reading.
    ///
    /// # Errors
    ///
    /// As for [`read`](Directory::read); `processes` is empty then.
    pub fn read_into(&mut self, processes: &mut Vec<Process>) -> io::Result<()> {
        let mut memory = std::mem::take(&mut self.memory);
        let read = self.read_by(&mut memory, processes);
        self.memory = memory;
        read
    }

    /// Like [`read_into`](Directory::read_into), with memory that several directories share.
    pub(crate) fn read_by(&mut self, memory: &mut Memory, processes: &mut Vec<Process>) -> io::Result<()> {
        let mut old = std::mem::take(processes).into_iter().map(|process| process.indicators);
        self.list()?;
        let Some(place) = &self.place else { return Ok(()) };
        let mut unread = self.overflows.then(|| format!("found more than {MAX_BOARDS} boards"));
        let cannot_read =
            |name: &str, why: &Refused| format!("cannot read board `{}`: {why}", printable(name));
        let mut cannot = |name: &str, why: &Refused| {
            unread.get_or_insert_with(|| cannot_read(name, why));
        };
        let mut foreign = None;
        processes.reserve(self.files.len());
        for (name, found) in &mut self.files {
            if let Found::New = found {
                match open(place, name, OFlags::RDONLY) {
                    Ok(file) => *found = Found::Living(file, Descriptors::default()),
                    // The next read tries again: there may have been no free descriptor, or the mode was not set yet.
                    Err(why @ Refused::Io(_)) => {
                        if !matches!(why, Refused::Io(io::ErrorKind::NotFound)) {
                            cannot(name, &why);
                        }
                        continue;
                    }
                    Err(refused) => *found = Found::Refused(refused),
                }
            }
            if let Found::Living(file, descriptors) = found {
                let room = old.next().unwrap_or_default();
                match read_board(file, memory, &mut self.boot_id, descriptors, room) {
                    Ok(Some(process)) if process.life.is_alive() => {
                        let stacks = self.stacks.of(place, name);
                        processes.push(Process { stacks, ..process });
                    }
                    Ok(ended) => *found = Found::Ended(ended.map(Box::new)),
                    Err(why @ Refused::Io(_)) => cannot(name, &why),
                    Err(refused) => *found = Found::Refused(refused),
                }
            }
            if let Found::Refused(why @ Refused::Layout { .. }) = found {
                foreign.get_or_insert_with(|| cannot_read(name, why));
            }
            if let Found::Ended(Some(process)) = found {
                processes.push(Process::clone(process));
            }
        }
        // Beside readable boards, one of another layout is that of a process that ends, or has ended.
        self.unread = unread.or(foreign.filter(|_| processes.is_empty()));
        Ok(())
    }

    /// Why the last read was incomplete: a board could not be opened or read, all have another layout, or there were too many. Files that are not boards do not count.
    pub(crate) fn unread(&self) -> Option<&str> {
        self.unread.as_deref()
    }

    /// The files that were refused, each with what was found and what was expected.
    pub fn refused(&self) -> Vec<String> {
        let name = |file: &String| printable(&self.path().join(file).display().to_string());
        let refused = self.files.iter().filter_map(|(file, found)| match found {
            Found::Refused(why) => Some(format!("cannot read board `{}`: {why}", name(file))),
            _ => None,
        });
        refused.collect()
    }

    /// Removes unneeded files: boards of processes that said goodbye, died longer than their ttl ago, had another layout
    /// or ran before a reboot; stacks without a board; and temporary files of killed creators. Only a holder does this,
    /// since these files are all that is left of a service without a living process. Errors are ignored; the next call
    /// tries again. Lists the directory, and opens every board.
    pub fn sweep(&mut self, now_ns: u64) {
        if self.follows && self.follow().is_err() {
            return;
        }
        let Some(place) = self.place.as_ref().and_then(|place| place.try_clone().ok()) else { return };
        let Ok(entries) = rustix::fs::Dir::read_from(place.fd()) else { return };
        for entry in entries.flatten() {
            let Ok(name) = entry.file_name().to_str() else { continue };
            let unneeded = match name.rsplit_once('.') {
                Some((_, "board")) => {
                    open(&place, name, OFlags::RDONLY).ok().filter(|file| self.is_unneeded(file, now_ns))
                }
                // The lock is held until the file is removed, so that a creator that has not locked it yet starts again.
                Some((_, "tmp")) => open(&place, name, OFlags::RDWR)
                    .ok()
                    .filter(|file| lock::try_take(file).is_ok_and(|taken| taken)),
                Some((board, "stacks")) => {
                    let board = format!("{board}.board");
                    match rustix::fs::statat(place.fd(), board, AtFlags::SYMLINK_NOFOLLOW) {
                        Err(Errno::NOENT) => open(&place, name, OFlags::RDONLY).ok(),
                        _ => None,
                    }
                }
                _ => None,
            };
            if unneeded.is_some() {
                let _ = rustix::fs::unlinkat(place.fd(), name, AtFlags::empty());
            }
        }
    }

    fn is_unneeded(&mut self, file: &File, now_ns: u64) -> bool {
        if lock::is_taken(file).unwrap_or(true) {
            return false;
        }
        let mut descriptors = Descriptors::default();
        match read_board(file, &mut self.memory, &mut self.boot_id, &mut descriptors, Vec::new()) {
            Ok(None) => true,
            Ok(Some(p)) => {
                let ago = |then_ns: u64| now_ns.saturating_sub(then_ns);
                match p.life {
                    // A forked process's board shows for this long that its master drains.
                    Life::Stopped => p.parent_id == 0 || ago(p.goodbye_ns) > DRAINS_FOR_NS,
                    Life::Dead => ago(p.newest_ns()) > p.ttl_ns,
                    Life::Alive | Life::Draining => false,
                }
            }
            // The lock is the same in all layouts: the process has ended.
            Err(Refused::Layout { .. }) => true,
            Err(_) => false,
        }
    }

    fn list(&mut self) -> io::Result<()> {
        if self.follows {
            self.follow()?;
        }
        let Some(place) = &self.place else { return Ok(()) };
        let found = rustix::fs::fstat(place.fd())?;
        let changed = SystemTime::UNIX_EPOCH
            + Duration::new(u64::try_from(found.st_mtime).unwrap_or(0), found.st_mtime_nsec as u32);
        if self.listed == Some(changed) {
            return Ok(());
        }
        // The time stamp is of the wall clock. If that clock jumps, the next read lists once more.
        let settled = SystemTime::now().duration_since(changed).is_ok_and(|age| age > RACY);
        let mut files = BTreeMap::new();
        self.overflows = false;
        let mut stacks = StackFiles::default();
        for entry in rustix::fs::Dir::read_from(place.fd())? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name.ends_with(".board") && files.len() >= MAX_BOARDS {
                self.overflows = true;
            } else if name.ends_with(".board") {
                // A refused file may have been replaced.
                let kept = self.files.remove(name).filter(|found| !matches!(found, Found::Refused(_)));
                files.insert(name.to_owned(), kept.unwrap_or(Found::New));
            }
            stacks.found(name);
        }
        self.files = files;
        self.stacks = stacks;
        self.listed = settled.then_some(changed);
        Ok(())
    }

    /// Opens the directory that the path leads to, unless it is open already.
    fn follow(&mut self) -> io::Result<()> {
        let found = match rustix::fs::statat(rustix::fs::CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(found) => found,
            Err(Errno::NOENT) => {
                self.forget(None);
                return Ok(());
            }
            Err(e) => return Err(e.into()),
        };
        let held = self.place.as_ref().and_then(|place| rustix::fs::fstat(place.fd()).ok());
        let is_held = held.is_some_and(|held| (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino));
        if !is_held {
            let place = Place::open(&self.path)?;
            self.forget(Some(place));
        }
        Ok(())
    }

    fn forget(&mut self, place: Option<Place>) {
        self.place = place;
        self.files.clear();
        self.stacks = StackFiles::default();
        self.listed = None;
    }
}

/// Opens a file that may be a board. Does not follow a link, does not block on a FIFO, and accepts only files of the
/// directory's owner and of root.
pub(crate) fn open(place: &Place, name: &str, access: OFlags) -> Result<File, Refused> {
    let io = |e: Errno| match e {
        Errno::LOOP => Refused::Foreign { found: "a symbolic link" },
        _ => Refused::Io(io::Error::from(e).kind()),
    };
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(place.fd(), name, flags, Mode::empty()).map_err(io)?;
    let found = rustix::fs::fstat(&file).map_err(io)?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Refused::Foreign { found: "a directory" }),
        _ => return Err(Refused::Foreign { found: "a special file" }),
    }
    let expected = rustix::fs::fstat(place.fd()).map_err(io)?.st_uid;
    if found.st_uid != expected && found.st_uid != 0 {
        return Err(Refused::Owner { found: found.st_uid, expected });
    }
    Ok(file.into())
}

/// Copies the board and reads the copy; `None` for a board from before a reboot. `room` is memory to reuse.
fn read_board(
    file: &File,
    memory: &mut Memory,
    running: &mut [u64; 2],
    descriptors: &mut Descriptors,
    room: Vec<Observed>,
) -> Result<Option<Process>, Refused> {
    let Memory { buffer, shared } = memory;
    buffer.resize(BUFFER, 0);
    let read = |buffer: &mut [u8]| file.read_at(buffer, 0).map_err(|e| Refused::Io(e.kind()));
    // Checked before the copy: a process that dies in between counts as alive with its last evidence, and a living one
    // never counts as dead. Nor does an error of the check make a process dead.
    let alive = lock::is_taken(file).unwrap_or(true);
    let expected = if descriptors.slots() == 0 { USUAL_SLOTS } else { descriptors.slots() };
    let mut found = read(&mut buffer[..BLOCK * (1 + expected)])?;
    let mut header = Header::of(&buffer[..found])?;
    if header.used() > expected {
        // Reads the whole board, since more slots may have come into use in between.
        found = read(buffer)?;
        header = Header::of(&buffer[..found])?;
    }
    if found < BLOCK * (1 + header.used()) {
        return Err(Refused::Short { found });
    }
    if header.boot_id() != *running {
        if !alive {
            return Ok(None);
        }
        // The process is alive, so its id is that of the current boot: a container may show some processes another id.
        *running = header.boot_id();
    }
    Ok(Some(board::process(&header, &buffer[..found], alive, descriptors, shared, room)))
}

#[cfg(test)]
#[path = "directory_tests.rs"]
mod tests;
