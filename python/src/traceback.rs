//! Converts the output of `faulthandler` to stacks.

use healthboard::{Frame, Role, Stacks};
use std::path::Path;

/// The end of the first line of each thread, and of each green thread (see `stacks.py`).
const HEAD: &str = " (most recent call first):";

/// Directories in which packages are installed.
const INSTALLED: [&str; 2] = ["/site-packages/", "/dist-packages/"];

/// Files of this package whose threads are left out.
const WATCHING: [&str; 3] = ["by_itself.py", "progress.py", "stacks.py"];

/// The directories of the modules that record operations, and the files there whose frames enclose a whole program.
const EVIDENCE: [&str; 2] = ["hooks/evidence", "middleware"];
const AROUND_A_PROGRAM: [&str; 2] = ["hooks/evidence/asyncio.py", "hooks/evidence/wsgi.py"];

/// A thread of the text.
struct Thread<'a> {
    is_native: bool,
    /// Path, line and function, the innermost first.
    frames: Vec<(&'a str, u32, &'a str)>,
}

/// The stacks in a text of `faulthandler`. `package` is the directory of this package.
///
/// The main thread is the last one in the text. `faulthandler` writes at most 100 threads. If there are more, the main
/// thread is not among them.
pub(crate) fn stacks(text: &str, package: &Path, taken_ns: u64) -> Stacks {
    let (mut threads, is_whole) = threads(text);
    let main = threads.iter().rposition(|thread| thread.is_native).filter(|_| is_whole);
    let main = main.map(|main| threads.remove(main));
    let mut stacks = Stacks::at(taken_ns);
    // The main thread is added first, so that there is always room for it.
    if let Some(main) = main {
        let role = if is_at_work(&main, package) { Role::MainAtWork } else { Role::Main };
        stacks.add(role, frames(&main, package));
    }
    for thread in threads.iter().filter(|thread| !is_ours(thread, package)) {
        let role = if is_at_work(thread, package) { Role::Work } else { Role::Other };
        stacks.add(role, frames(thread, package));
    }
    stacks
}

/// Whether this is a thread of this package that only watches.
fn is_ours(thread: &Thread<'_>, package: &Path) -> bool {
    in_package(thread, package).any(|path| WATCHING.iter().any(|watching| path == Path::new(watching)))
}

/// Whether a thread is in an operation: then its stack has a frame of a module that records operations, which is between the
/// server and the application.
fn is_at_work(thread: &Thread<'_>, package: &Path) -> bool {
    let is_evidence = |path: &Path| EVIDENCE.iter().any(|directory| path.starts_with(directory));
    let is_around = |path: &Path| AROUND_A_PROGRAM.iter().any(|around| path == Path::new(around));
    in_package(thread, package).any(|path| is_evidence(path) && !is_around(path))
}

/// The files of this package that have a frame in the thread's stack, relative to the package's directory.
fn in_package<'a>(thread: &'a Thread<'_>, package: &Path) -> impl Iterator<Item = &'a Path> {
    thread.frames.iter().filter_map(move |(path, ..)| Path::new(path).strip_prefix(package).ok())
}

fn threads(text: &str) -> (Vec<Thread<'_>>, bool) {
    let mut threads: Vec<Thread<'_>> = Vec::new();
    let mut is_whole = true;
    for line in text.lines() {
        if line.ends_with(HEAD) {
            let is_native = line.starts_with("Thread ") || line.starts_with("Current thread ");
            threads.push(Thread { is_native, frames: Vec::new() });
        } else if line == "..." {
            is_whole = false;
        } else if let (Some(thread), Some(frame)) = (threads.last_mut(), frame(line)) {
            thread.frames.push(frame);
        }
    }
    (threads, is_whole)
}

/// `  File "PATH", line 12 in FUNCTION`.
fn frame(line: &str) -> Option<(&str, u32, &str)> {
    let (path, rest) = line.strip_prefix("  File \"")?.rsplit_once("\", line ")?;
    let (line, function) = rest.split_once(" in ")?;
    Some((path, line.parse().ok()?, function))
}

/// The frames of a thread, without those of this package.
fn frames(thread: &Thread<'_>, package: &Path) -> Vec<Frame> {
    let foreign = thread.frames.iter().filter(|(path, ..)| !Path::new(path).starts_with(package));
    foreign.map(|(path, line, function)| Frame::new(short(path), *line, function)).collect()
}

/// The part of the path that identifies the module: relative to the directory of installed packages, or else the file's
/// name.
fn short(path: &str) -> &str {
    let installed =
        INSTALLED.iter().find_map(|directory| path.rsplit_once(directory)).map(|(_, module)| module);
    installed.unwrap_or_else(|| path.rsplit('/').next().unwrap_or(path))
}
