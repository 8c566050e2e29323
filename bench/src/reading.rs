//! Reading boards and judging them.

use crate::measure::{calls, interleave};
use crate::place;
use crate::process::{Running, boards, service, until};
use crate::table::{Part, Unit};
use anyhow::Result;
use healthboard::{Directory, Process, judge, now_ns, state, status};
use std::fs::{self, File};
use std::hint::black_box;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

const PROCESSES: usize = 200;
const INDICATORS: usize = 10_000;

/// What a reader has to ask the kernel for.
const FLOOR: &str = "200 boards, the two system calls alone: is the lock taken, copy 9 KB";

pub fn run() -> Result<Part> {
    let mut part = Part::new(
        "Reading",
        "The median of 501 turns of 1 ms or one run, in parentheses the quartiles. 200 boards are those of 200 live processes \
         with eight indicators each; 10,000 indicators are these, repeated.",
    );
    let place = place()?;
    let _services: Vec<Running> =
        (0..PROCESSES).map(|_| service(place.path(), None)).collect::<Result<_>>()?;
    until("all boards are there", || boards(place.path()) == PROCESSES)?;
    let mut directory = Directory::new(place.path().join("bench"));
    let eight = |processes: &[Process]| processes.iter().all(|process| process.indicators.len() == 8);
    until("all boards are written", || {
        directory.read().is_ok_and(|all| all.len() == PROCESSES && eight(&all))
    })?;

    let processes = directory.read()?;
    let many: Vec<Process> = processes.iter().cycle().take(INDICATORS / 8).cloned().collect();
    let three = &processes[..3];
    let report = |processes: &[Process]| judge("bench", processes, now_ns(), SystemTime::now());
    let states = || {
        let now_ns = now_ns();
        let indicators = many.iter().flat_map(|process| &process.indicators);
        indicators.map(|i| status(state(&i.evidence, &i.policy, now_ns), i.policy.impact, false)).max()
    };
    let mut again = Vec::new();
    let files: Vec<File> = fs::read_dir(place.path().join("bench"))?
        .map(|entry| File::open(entry?.path()))
        .collect::<Result<_, _>>()?;
    let mut bytes = [0; 9 * 1024];
    let subjects = vec![
        calls("`judge`, 3 processes", || report(black_box(three))),
        calls("`judge`, 10,000 indicators of 1250 processes", || report(black_box(&many))),
        calls("`state` and `status` alone, 10,000 indicators", states),
        calls(FLOOR, || files.iter().filter(|file| copied(file, &mut bytes)).count()),
        calls("200 boards read", || directory.read_into(&mut again).map(|()| again.len())),
    ];
    let rounds = interleave(501, Duration::from_millis(1), subjects);
    part.rows(&rounds, "`judge`, 3 processes", Unit::Microseconds);
    // Whoever reads again and again, as an endpoint does.
    let mut again = Vec::new();
    let both = interleave(
        501,
        Duration::from_millis(1),
        vec![calls("200 boards read and judged", || {
            directory.read_into(&mut again).map(|()| report(&again))
        })],
    );
    let whole = both.time("200 boards read and judged").map(|ns| ns / 1e3);
    part.row("200 boards read and judged", whole, Unit::Microseconds, "");
    let verdict = rounds.time("`judge`, 10,000 indicators of 1250 processes").map(|ns| ns / 1e3);
    part.goal("verdict of 10,000 indicators", 250.0, Unit::Microseconds, verdict);
    part.goal("200 boards read and judged", 450.0, Unit::Microseconds, whole);
    Ok(part)
}

/// Whether the writer of this board lives, with the bytes of its header and eight slots.
fn copied(file: &File, bytes: &mut [u8]) -> bool {
    // SAFETY: zero is a valid value of all fields.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    // SAFETY: `lock` is valid to read and write.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &mut lock) };
    asked == 0 && lock.l_type != libc::F_UNLCK as libc::c_short && file.read_at(bytes, 0).is_ok()
}
