//! Where the threads of a process stand: files, lines and functions. No values, no arguments, no source text.
//!
//! A process writes them to a file beside its board only while it hangs. [`file`] is the format of that file.

#[cfg(not(loom))]
mod file;

use std::fmt;

/// The longest path of a file and the longest name of a function, in bytes.
const MAX_FILE: usize = 96;
const MAX_FUNCTION: usize = 80;

/// The most frames of a stack, and the most different stacks, that are kept.
const MAX_FRAMES: usize = 100;
const MAX_STACKS: usize = 64;

/// The role of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The main thread.
    Main,
    /// The main thread, while it is in an operation of a server.
    MainAtWork,
    /// Another thread that is in an operation of a server, such as a request or a call.
    Work,
    /// Anything else.
    Other,
}

/// One line of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    file: String,
    line: u32,
    function: String,
}

/// Where one or more threads stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The role of these threads.
    pub role: Role,
    /// How many threads have exactly these frames.
    pub threads: u32,
    /// The innermost frame first.
    pub frames: Vec<Frame>,
}

/// Where the threads of a process stood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stacks {
    /// When they were taken, by [`now_ns`](crate::now_ns).
    pub taken_ns: u64,
    /// The main thread's stack first, then those of threads at work.
    pub stacks: Vec<Stack>,
    /// The directory of the service's own modules, such as `nova/`.
    package: String,
}

impl Frame {
    /// A line of a function. `file` and `function` are cut to the longest length. Characters that do not occur in such names
    /// become `_`.
    pub fn new(file: &str, line: u32, function: &str) -> Frame {
        Frame { file: word(file, MAX_FILE), line, function: word(function, MAX_FUNCTION) }
    }

    /// Whether it is in a module of this package.
    fn is_of(&self, package: &str) -> bool {
        !package.is_empty() && self.file.starts_with(package)
    }

    /// The file without its directories, and the line.
    fn place(&self) -> String {
        format!("{}:{}", self.file.rsplit('/').next().unwrap_or_default(), self.line)
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {}", self.file, self.line, self.function)
    }
}

impl Stack {
    /// The frame to name in messages: the innermost frame of the package, or else the innermost of all.
    fn top(&self, package: &str) -> Option<&Frame> {
        self.frames.iter().find(|frame| frame.is_of(package)).or(self.frames.first())
    }

    /// `in host.py:1234 list_all_domains (called from manager.py:10843)`. The caller is the nearest frame in another file.
    fn place(&self, package: &str) -> Option<String> {
        let top = self.top(package)?;
        let mut callers = self.frames.iter().skip_while(|frame| *frame != top);
        let caller =
            callers.find(|frame| frame.file != top.file && frame.is_of(package) == top.is_of(package));
        let caller = caller.map_or(String::new(), |caller| format!(" (called from {})", caller.place()));
        Some(format!("in {} {}{caller}", top.place(), top.function))
    }
}

impl Stacks {
    /// Stacks that were taken at this time, without any thread yet.
    pub fn at(taken_ns: u64) -> Stacks {
        Stacks { taken_ns, stacks: Vec::new(), package: String::new() }
    }

    /// Assigns the stacks to the service with this name. From then on places name functions of the service rather than of a
    /// library. The first word of the name is taken for the package, such as `nova`.
    #[must_use]
    pub fn of_service(self, service: &str) -> Stacks {
        let word = service.split(['-', '_', '.']).next().unwrap_or_default();
        Stacks { package: format!("{word}/"), ..self }
    }

    /// Adds one thread, with its innermost frame first. Threads with the same role and frames share one entry. If there are
    /// too many different stacks, further ones are dropped.
    pub fn add(&mut self, role: Role, mut frames: Vec<Frame>) {
        frames.truncate(MAX_FRAMES);
        self.add_counted(Stack { role, threads: 1, frames });
    }

    fn add_counted(&mut self, stack: Stack) {
        let same = |known: &&mut Stack| known.role == stack.role && known.frames == stack.frames;
        if let Some(known) = self.stacks.iter_mut().find(same) {
            known.threads = known.threads.saturating_add(stack.threads);
        } else if self.stacks.len() < MAX_STACKS {
            let before = |known: &Stack| known.role as u8 <= stack.role as u8;
            let at = self.stacks.iter().take_while(|known| before(known)).count();
            self.stacks.insert(at, stack);
        }
    }

    /// Where the main thread stands.
    pub fn main_place(&self) -> Option<String> {
        self.stacks.iter().find(|stack| stack.role.is_main())?.place(&self.package)
    }

    /// Where most of the threads at work stand: `in …`, or `3 of 4 in …` if not all of them are there.
    pub fn work_place(&self) -> Option<String> {
        let work = || self.stacks.iter().filter(|stack| stack.role.is_at_work() && !stack.frames.is_empty());
        let threads = |top: Option<&Frame>| -> u64 {
            work().filter(|stack| stack.top(&self.package) == top).map(|stack| u64::from(stack.threads)).sum()
        };
        // Among equals the first is chosen.
        let most = work().rev().max_by_key(|stack| (threads(stack.top(&self.package)), stack.threads))?;
        let here = threads(most.top(&self.package));
        let all: u64 = work().map(|stack| u64::from(stack.threads)).sum();
        let place = most.place(&self.package)?;
        Some(if here == all { place } else { format!("{here} of {all} {place}") })
    }
}

impl Role {
    /// Whether it is the main thread's.
    pub fn is_main(self) -> bool {
        matches!(self, Role::Main | Role::MainAtWork)
    }

    /// Whether it is in an operation of a server.
    pub fn is_at_work(self) -> bool {
        matches!(self, Role::MainAtWork | Role::Work)
    }

    const ALL: [Role; 4] = [Role::Main, Role::MainAtWork, Role::Work, Role::Other];

    /// The word used in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Main => "main",
            Role::MainAtWork => "main-at-work",
            Role::Work => "work",
            Role::Other => "other",
        }
    }
}

/// Replaces the characters that do not occur in names of files and functions by `_`, and cuts the name.
fn word(text: &str, max_bytes: usize) -> String {
    let good = |c: char| if c.is_alphanumeric() || "_.:-/+<>".contains(c) { c } else { '_' };
    let word: String = text.chars().take(max_bytes).map(good).collect();
    match word[..word.floor_char_boundary(max_bytes)].to_owned() {
        word if word.is_empty() => "_".to_owned(),
        word => word,
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests;
