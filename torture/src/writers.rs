//! Kills writers at any moment: no reader may accept torn evidence, and recorded evidence must be on the board
//! afterwards.
//!
//! A parent process forks writers and kills each within milliseconds, while it makes its board or writes. It then
//! checks the writer's board, which must have exactly what was recorded, or one step more. Meanwhile another process
//! reads all boards all the time.

use crate::evidence::{check_final_evidence, number};
use crate::random::Random;
use crate::roles::{self, SERVICE, THREADS};
use anyhow::{Context, Result, ensure};
use healthboard::{Directory, Handle, Keeper, Life, Process, now_ns};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const PARENTS: u64 = 2;

/// No writer lives longer. It needs about one millisecond to make its board.
const MAX_LIFE: Duration = Duration::from_millis(5);

/// Kills this many writers; returns the result.
pub(crate) fn run(times: u64) -> Result<String> {
    let runtime = tempfile::tempdir()?;
    let path = runtime.path().to_str().context("a path that is text")?;
    let mut parents = Vec::new();
    for _ in 0..PARENTS {
        parents.push(roles::start("parent", &[path, &(times / PARENTS).to_string()])?);
    }
    let ended = AtomicBool::new(false);
    let (outputs, read) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read(&runtime.path().join(SERVICE), &ended));
        let outputs: Vec<_> = parents.into_iter().map(|parent| parent.wait_with_output()).collect();
        ended.store(true, Relaxed);
        (outputs, reader.join())
    });
    let mut boards = 0;
    for output in outputs {
        let output = output?;
        ensure!(output.status.success(), "a parent ended with {}", output.status);
        let said = String::from_utf8(output.stdout)?;
        boards += said.trim().parse::<u64>().with_context(|| format!("a parent said `{said}`"))?;
    }
    let read = read.map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    ensure!(boards > 0 && read > 0, "no writer lived long enough for a board");
    check_nothing_is_left(&runtime.path().join(SERVICE))?;
    let early = times - boards;
    Ok(format!(
        "{early} of them before they had a board, {read} boards read meanwhile, none torn, nothing lost"
    ))
}

/// Reads all boards until `ended` is set; returns the number of boards of writers.
fn read(path: &Path, ended: &AtomicBool) -> Result<u64> {
    let mut directory = Directory::new(path);
    let mut newest: HashMap<u64, u64> = HashMap::new();
    let mut read = 0;
    while !ended.load(Relaxed) {
        for process in directory.read()? {
            read += u64::from(process.parent_id != 0);
            let Some(number) = check(&process)? else { continue };
            let before = newest.insert(process.id, number).unwrap_or(0);
            ensure!(number >= before, "failure {number} was read after failure {before}: {process:?}");
        }
        let refused = directory.refused();
        ensure!(refused.is_empty(), "a board was seen before it was whole: {refused:?}");
    }
    Ok(read)
}

/// Checks a board that was read at any moment; returns the number of the newest counted failure.
fn check(process: &Process) -> Result<Option<u64>> {
    let mut counted = None;
    for indicator in &process.indicators {
        let newest = number(&indicator.evidence)?;
        match &*indicator.name {
            "counted" => counted = newest,
            "in_flight" => {
                let in_flight = indicator.evidence.in_flight;
                ensure!(in_flight <= THREADS, "{in_flight} operations in flight, of {THREADS} threads");
            }
            _ => {}
        }
    }
    Ok(counted)
}

/// Checks that only the boards of the parents are left after a sweep.
fn check_nothing_is_left(path: &Path) -> Result<()> {
    let mut directory = Directory::new(path);
    directory.read()?;
    directory.sweep(now_ns());
    let left: Vec<_> = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    ensure!(left.len() as u64 <= PARENTS, "left behind: {left:?}");
    Ok(())
}

/// The role: kills this many writers and prints how many of them had a board.
pub(crate) fn parent(runtime: &Path, times: u64) -> Result<()> {
    let builder = roles::builder(runtime).uri("unix:///nowhere.sock".parse().map_err(anyhow::Error::msg)?);
    let health = builder.start_with(|keeper: &Keeper| {
        keeper.listening(Ok(Vec::new()));
        while keeper.look_after() {
            std::thread::sleep(Duration::from_millis(500));
        }
    })?;
    let done = shared_number()?;
    let path = runtime.join(SERVICE);
    let mut directory = Directory::new(&path);
    let mut random = Random::new();
    let mut boards = 0;
    for _ in 0..times {
        done.store(0, Relaxed);
        let pid = kill_one(&health, done, &mut random)?;
        boards += u64::from(examine(&path, &mut directory, pid, done.load(Relaxed))?);
    }
    println!("{boards}");
    health.goodbye();
    Ok(())
}

/// Forks a writer, kills it and waits for it.
fn kill_one(health: &Handle, done: &'static AtomicU64, random: &mut Random) -> Result<u32> {
    // SAFETY: besides the keeper, which the child does not have, this process has one thread; the child never returns.
    // The parent signals and waits for its own child.
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            roles::write(health, done);
        }
        ensure!(pid > 0, "cannot fork: {}", std::io::Error::last_os_error());
        random.sleep(MAX_LIFE);
        libc::kill(pid, libc::SIGKILL);
        ensure!(libc::waitpid(pid, std::ptr::null_mut(), 0) == pid, "the writer could not be waited for");
        Ok(pid.cast_unsigned())
    }
}

/// Checks the writer's board and removes it; returns whether there was one.
fn examine(path: &Path, directory: &mut Directory, pid: u32, done: u64) -> Result<bool> {
    let processes = directory.read()?;
    let Some(process) = processes.iter().find(|process| process.pid == pid) else {
        ensure!(done == 0, "{done} failures were recorded, and there is no board");
        return Ok(false);
    };
    ensure!(process.life == Life::Dead, "a killed writer counts as {:?}", process.life);
    check(process)?;
    match process.indicators.iter().find(|indicator| &*indicator.name == "counted") {
        Some(counted) => check_final_evidence(&counted.evidence, done)?,
        None => ensure!(done == 0, "{done} failures were recorded, and the indicator is not on the board"),
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&format!("{pid}-")) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(true)
}

/// A number that this process shares with the processes it forks.
fn shared_number() -> Result<&'static AtomicU64> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping of zeroes, never unmapped; zero is a valid number.
    unsafe {
        let page = libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0);
        ensure!(page != libc::MAP_FAILED, "no memory: {}", std::io::Error::last_os_error());
        Ok(&*page.cast::<AtomicU64>())
    }
}
