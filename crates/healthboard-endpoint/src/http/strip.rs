//! The strip of an indicator: its last hour as a picture, and the same in words. It claims only what is known.

use healthboard::{Change, Status, span};
use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

/// The time that a strip shows, in milliseconds. All times here are positions in it: 0 is an hour ago.
const HOUR: u64 = 3_600_000;

/// Problems within such a part of the hour are drawn as one bar, as wide as they were long together.
const BUCKET: u64 = 60_000;

/// The width of the narrowest visible bar.
const MIN_WIDTH: u64 = 20_000;

/// So many changes are kept of an indicator: nothing is known about the time before the oldest of a full list.
const KEPT: usize = 32;

pub(super) struct Strip {
    pub(super) bars: Vec<Bar>,
    pub(super) words: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) class: &'static str,
    pub(super) begin: u64,
    pub(super) width: u64,
}

/// A time with one status; `None` if that is not known.
struct Part {
    begin: u64,
    end: u64,
    status: Option<Status>,
}

/// What is known about an indicator at the end of the hour.
#[derive(Clone, Copy)]
pub(super) enum Now {
    Known(Status),
    /// Nothing since then, because no process is alive.
    UnknownSince(SystemTime),
}

impl Strip {
    pub(super) fn new(time: SystemTime, changes: &VecDeque<Change>, now: Now) -> Strip {
        let parts = parts(time, changes, now);
        Strip { bars: bars(&parts), words: words(&parts) }
    }
}

fn parts(time: SystemTime, changes: &VecDeque<Change>, now: Now) -> Vec<Part> {
    let position = |at: SystemTime| {
        let age = time.duration_since(at).unwrap_or_default().as_millis();
        HOUR.saturating_sub(u64::try_from(age).unwrap_or(HOUR)).min(HOUR - 1)
    };
    // Before the first change that was ever seen there was no problem, or no service.
    let before = if changes.len() < KEPT { Some(Status::Ok) } else { None };
    let mut starts = vec![(0, before)];
    starts.extend(changes.iter().map(|change| (position(change.time()), Some(change.status))));
    match now {
        Now::UnknownSince(since) => {
            starts.retain(|(begin, _)| *begin <= position(since));
            starts.push((position(since), None));
        }
        // The newest change may not be in the history yet.
        Now::Known(status) if starts.last().is_some_and(|(_, last)| *last != Some(status)) => {
            starts.push((HOUR - 1, Some(status)));
        }
        Now::Known(_) => {}
    }
    let ends = starts.iter().skip(1).map(|(begin, _)| *begin).chain([HOUR]);
    let parts = starts.iter().zip(ends).map(|(&(begin, status), end)| Part { begin, end, status });
    parts.filter(|part| part.begin < part.end).collect()
}

fn bars(parts: &[Part]) -> Vec<Bar> {
    let mut bars: Vec<Bar> = Vec::new();
    // The worst is drawn last.
    for status in [Status::Degraded, Status::Fault] {
        for first in (0..HOUR).step_by(BUCKET as usize) {
            let last = first + BUCKET;
            let within = parts.iter().filter(|part| part.status == Some(status));
            let within = within.map(|part| (part.begin.max(first), part.end.min(last)));
            let within: Vec<(u64, u64)> = within.filter(|(begin, end)| begin < end).collect();
            let Some((begin, _)) = within.first() else { continue };
            let width = within.iter().map(|(begin, end)| end - begin).sum::<u64>().max(MIN_WIDTH);
            let begin = *begin.min(&(last - width));
            match bars.last_mut() {
                Some(bar) if bar.class == status.name() && bar.begin + bar.width == begin => {
                    bar.width += width;
                }
                _ => bars.push(Bar { class: status.name(), begin, width }),
            }
        }
    }
    let unknown = parts.iter().filter(|part| part.status.is_none());
    bars.extend(unknown.map(|part| Bar {
        class: "unknown",
        begin: part.begin,
        width: part.end - part.begin,
    }));
    bars
}

fn words(parts: &[Part]) -> String {
    let long = |ms| span(Duration::from_millis(ms));
    let mut words = Vec::new();
    for status in [Status::Fault, Status::Degraded] {
        let is_in = |part: &Part| part.status == Some(status);
        let total: u64 = parts.iter().filter(|part| is_in(part)).map(|part| part.end - part.begin).sum();
        // A change of the state alone is no other time.
        let times = parts.chunk_by(|a, b| a.status == b.status).filter(|same| is_in(&same[0])).count();
        match times {
            0 => {}
            1 => words.push(format!("{} for {}", status.name(), long(total))),
            _ => words.push(format!("{} for {}, {times} times", status.name(), long(total))),
        }
    }
    if words.is_empty() && parts.iter().any(|part| part.status.is_some()) {
        words.push("no problem seen".to_owned());
    }
    for part in parts.iter().filter(|part| part.status.is_none()) {
        words.push(match part.end {
            HOUR => format!("not known for the last {}", long(HOUR - part.begin)),
            end => format!("not known before {} ago", long(HOUR - end)),
        });
    }
    format!("last hour: {}", words.join("; "))
}

#[cfg(test)]
mod tests;
