//! The rules over a history. They are slow, and meant to be read alongside ARCHITECTURE.md. All times are in units.

use super::{End, Event, Lifecycle, NAMES, Seen, UNIT};
use crate::Status;
use crate::config::{Impact, Policy};
use crate::verdict::State;
use std::collections::BTreeSet;
use std::time::Duration;

/// The number of operations whose begin a board can hold.
const KNOWN: usize = 32;

/// For how long a death counts.
const DEATH_COUNTS: u64 = 20;

pub(super) struct History {
    pub(super) policies: [Policy; NAMES.len()],
    progress: Policy,
    pub(super) processes: Vec<Past>,
}

/// Everything that happened in a process.
pub(super) struct Past {
    parent: Option<usize>,
    started: u64,
    progressed: Vec<u64>,
    watches: bool,
    drains: bool,
    died: Option<u64>,
    said_goodbye: Option<u64>,
    events: [Vec<(u64, Event)>; NAMES.len()],
}

/// The expected verdict.
pub(super) struct Expected {
    pub(super) status: Status,
    pub(super) indicators: [Status; NAMES.len()],
    pub(super) stopped: bool,
    /// Alive, hung, dead.
    pub(super) counts: (u32, u32, u32),
}

/// An operation of the work that has not ended. It may have been abandoned.
struct Open {
    begun: u64,
    abandoned: Option<u64>,
    /// Whether the board has its begin.
    is_known: bool,
}

fn span(duration: Duration) -> u64 {
    duration.as_nanos() as u64 / UNIT
}

impl History {
    pub(super) fn new(policies: [Policy; NAMES.len()], progress: Policy) -> History {
        History { policies, progress, processes: Vec::new() }
    }

    pub(super) fn start(&mut self, parent: Option<usize>, started: u64) {
        self.processes.push(Past {
            parent,
            started,
            progressed: Vec::new(),
            watches: false,
            drains: false,
            died: None,
            said_goodbye: None,
            events: Default::default(),
        });
    }

    pub(super) fn happen(&mut self, process: usize, indicator: usize, event: Event, now: u64) {
        self.processes[process].events[indicator].push((now, event));
    }

    pub(super) fn at(&mut self, process: usize, now: u64) -> impl Lifecycle {
        At { past: &mut self.processes[process], now }
    }

    pub(super) fn living(&self) -> Vec<usize> {
        (0..self.processes.len()).filter(|p| self.is_alive(*p)).collect()
    }

    fn is_alive(&self, process: usize) -> bool {
        self.processes[process].died.is_none() && self.processes[process].said_goodbye.is_none()
    }

    /// The begins of the work's operations in flight.
    pub(super) fn in_flight(&self, process: usize, indicator: usize) -> Vec<u64> {
        let open = self.open(process, indicator);
        open.iter().filter(|o| o.abandoned.is_none()).map(|o| o.begun).collect()
    }

    pub(super) fn is_known(&self, process: usize, indicator: usize, begun: u64) -> bool {
        self.open(process, indicator).iter().any(|o| o.begun == begun && o.is_known)
    }

    pub(super) fn refreshing(&self, process: usize, indicator: usize) -> bool {
        self.refresh_begun(process, indicator).is_some()
    }

    fn refresh_begun(&self, process: usize, indicator: usize) -> Option<u64> {
        let events = self.processes[process].events[indicator].iter();
        events.fold(None, |refresh, (at, event)| match event {
            Event::RefreshBegun => Some(*at),
            Event::RefreshSucceeded | Event::RefreshFailed | Event::RefreshDropped => None,
            _ => refresh,
        })
    }

    fn open(&self, process: usize, indicator: usize) -> Vec<Open> {
        let mut open: Vec<Open> = Vec::new();
        for (at, event) in &self.processes[process].events[indicator] {
            match event {
                Event::Begun => {
                    let known = open.iter().filter(|o| o.is_known && o.abandoned.is_none()).count();
                    open.push(Open { begun: *at, abandoned: None, is_known: known < KNOWN });
                }
                Event::Ended { begun, end: End::Abandoned } => {
                    open.iter_mut().filter(|o| o.begun == *begun).for_each(|o| o.abandoned = Some(*at));
                }
                Event::Ended { begun, .. } => open.retain(|o| o.begun != *begun),
                _ => {}
            }
        }
        open
    }

    fn capacity(&self, process: usize, indicator: usize) -> u32 {
        let said =
            self.processes[process].events[indicator].iter().rev().find_map(|(_, event)| match event {
                Event::Capacity(n) => Some(*n),
                _ => None,
            });
        said.unwrap_or(0)
    }

    /// When an operation of the work last ended. Abandoned is not ended, and the end of a refresh does not count.
    fn last_end(&self, process: usize, indicator: usize) -> Option<u64> {
        let ends = |(_, event): &&(u64, Event)| match event {
            Event::Recorded(_) => true,
            Event::Ended { end, .. } => *end != End::Abandoned,
            _ => false,
        };
        self.processes[process].events[indicator].iter().rfind(ends).map(|(at, _)| *at)
    }

    /// The outcomes with their times, oldest first.
    fn outcomes(&self, process: usize, indicator: usize) -> Vec<(u64, Outcome)> {
        let slow_after = span(self.policies[indicator].slow_after);
        let events = self.processes[process].events[indicator].iter();
        let outcome = |(at, event): &(u64, Event)| {
            let outcome = match event {
                Event::Recorded(end) | Event::Ended { end, .. } => match (end, event) {
                    (End::Success, _) => Outcome::Success,
                    (End::Failure, _) => Outcome::Failure,
                    (End::FailureByWork, _) => Outcome::FailureByWork,
                    (End::Abandoned, Event::Ended { begun, .. }) if at - begun >= slow_after => {
                        Outcome::Failure
                    }
                    _ => return None,
                },
                Event::RefreshSucceeded => Outcome::Refreshed,
                Event::RefreshFailed | Event::RefreshUnanswered => Outcome::Failure,
                _ => return None,
            };
            Some((*at, outcome))
        };
        events.filter_map(outcome).collect()
    }

    fn newest(&self, process: usize, indicator: usize) -> Option<u64> {
        self.outcomes(process, indicator).last().map(|(at, _)| *at)
    }

    /// The failures that nothing has cleared.
    fn failures(&self, process: usize, indicator: usize) -> Vec<u64> {
        let (mut row, mut by_work) = (Vec::new(), false);
        for (at, outcome) in self.outcomes(process, indicator) {
            match outcome {
                Outcome::Success => (row, by_work) = (Vec::new(), false),
                // A success of a refresh clears no failure that no refresh can have.
                Outcome::Refreshed if by_work => {}
                Outcome::Refreshed => row = Vec::new(),
                Outcome::Failure => row.push(at),
                Outcome::FailureByWork => {
                    row.push(at);
                    by_work = true;
                }
            }
        }
        row
    }

    /// The streaks of failures, each until a success has cleared it.
    fn streaks(&self, process: usize, indicator: usize) -> Vec<Vec<u64>> {
        let (mut streaks, mut goes_on, mut by_work) = (Vec::<Vec<u64>>::new(), false, false);
        for (at, outcome) in self.outcomes(process, indicator) {
            match outcome {
                Outcome::Success => (goes_on, by_work) = (false, false),
                Outcome::Refreshed => goes_on &= by_work,
                Outcome::Failure | Outcome::FailureByWork => {
                    by_work |= matches!(outcome, Outcome::FailureByWork);
                    match streaks.last_mut().filter(|_| goes_on) {
                        Some(streak) => streak.push(at),
                        None => streaks.push(vec![at]),
                    }
                    goes_on = true;
                }
            }
        }
        streaks
    }

    fn is_intermittent(&self, process: usize, indicator: usize, now: u64, resumed: u64) -> bool {
        let window = span(self.policies[indicator].failure_window);
        let streaks = self.streaks(process, indicator);
        let [.., earlier, newest] = &streaks[..] else { return false };
        let (Some(earlier), Some(newest)) = (earlier.last(), newest.last()) else { return false };
        newest - earlier <= window && now - newest.max(&resumed) < window
    }

    /// Since when operations have been waiting without interruption, while none ends. An abandoned operation continues
    /// to wait if another one begins or is in flight within `slow_after`.
    fn waiting(&self, process: usize, indicator: usize, now: u64) -> Option<u64> {
        let slow_after = span(self.policies[indicator].slow_after);
        let last_end = self.last_end(process, indicator);
        let open = self.open(process, indicator);
        // When each began, and until when it waits: without end if it is in flight.
        let waits: Vec<(u64, u64)> = open
            .iter()
            .filter(|o| o.abandoned.is_none_or(|at| Some(at) > last_end))
            .filter(|o| o.is_known || o.abandoned.is_some())
            .map(|o| (o.begun, o.abandoned.map_or(u64::MAX, |at| at + slow_after)))
            .chain(self.beyond_since(process, indicator).map(|since| (since, u64::MAX)))
            .collect();
        let mut since = waits.iter().filter(|(_, until)| *until >= now).map(|(begun, _)| *begun).min();
        while let Some(earlier) =
            waits.iter().filter(|(_, until)| Some(*until) >= since).map(|(begun, _)| *begun).min()
            && since.is_some_and(|since| earlier < since)
        {
            since = Some(earlier);
        }
        let refresh = self.refresh_begun(process, indicator);
        [since, refresh].into_iter().flatten().min().map(|since| since.max(last_end.unwrap_or(0)))
    }

    /// Since when there are operations in flight whose age is not known: when their number last rose from zero.
    fn beyond_since(&self, process: usize, indicator: usize) -> Option<u64> {
        let (mut known, mut beyond, mut since) = (BTreeSet::new(), BTreeSet::new(), None);
        for (at, event) in &self.processes[process].events[indicator] {
            match event {
                Event::Begun if known.len() < KNOWN => _ = known.insert(*at),
                Event::Begun => {
                    since = if beyond.is_empty() { Some(*at) } else { since };
                    beyond.insert(*at);
                }
                Event::Ended { begun, .. } => {
                    known.remove(begun);
                    beyond.remove(begun);
                }
                _ => {}
            }
        }
        since.filter(|_| !beyond.is_empty())
    }

    /// The known begins of the work's operations in flight, and the number of all of them.
    fn begins_in_flight(&self, process: usize, indicator: usize) -> (Vec<u64>, usize) {
        let open = self.open(process, indicator);
        let in_flight: Vec<&Open> = open.iter().filter(|o| o.abandoned.is_none()).collect();
        (in_flight.iter().filter(|o| o.is_known).map(|o| o.begun).collect(), in_flight.len())
    }

    fn youngest(&self, process: usize, indicator: usize) -> Option<u64> {
        self.begins_in_flight(process, indicator).0.into_iter().max()
    }

    pub(super) fn seen(&self, process: usize, indicator: usize, now: u64) -> Seen {
        let failures = self.failures(process, indicator);
        Seen {
            failures: failures.len(),
            failing_since: failures.first().copied(),
            newest: self.newest(process, indicator),
            last_end: self.last_end(process, indicator),
            in_flight: self.begins_in_flight(process, indicator).1,
            waiting: self.waiting(process, indicator, now),
        }
    }

    pub(super) fn state(&self, process: usize, indicator: usize, now: u64, resumed: u64) -> State {
        let policy = &self.policies[indicator];
        let silent = |since: u64| now - since.max(resumed);
        let stall_after = span(policy.stall_after);
        let over =
            |since: Option<u64>| stall_after > 0 && since.is_some_and(|since| silent(since) > stall_after);
        let waiting = over(self.waiting(process, indicator, now));
        let capacity = self.capacity(process, indicator) as usize;
        let (begins, in_flight) = self.begins_in_flight(process, indicator);
        let oldest = begins.iter().copied().chain(self.refresh_begun(process, indicator)).min();
        let full = in_flight >= capacity && over(begins.iter().copied().max());
        let row = self.failures(process, indicator);
        let lasted = row.last().zip(row.first()).map_or(0, |(newest, first)| newest - first);
        let ttl = span(policy.ttl);
        let newest = self.newest(process, indicator);
        let is_fresh = newest.is_some_and(|newest| ttl == 0 || silent(newest) <= ttl);
        let fails_enough = row.len() >= policy.failure_threshold as usize && !row.is_empty();
        let rules = [
            (capacity == 0 && waiting, State::Stalled),
            // If not every age is known, nothing may have ended either.
            (capacity > 0 && full && (capacity <= KNOWN || waiting), State::Stalled),
            (is_fresh && fails_enough && lasted >= span(policy.failure_window), State::Failing),
            (capacity == 0 && over(oldest), State::Stuck),
            (newest.is_none(), State::Unknown),
            (!is_fresh, State::Stale),
            (row.is_empty() && !self.is_intermittent(process, indicator, now, resumed), State::Passing),
        ];
        rules.into_iter().find(|(holds, _)| *holds).map_or(State::Transient, |(_, state)| state)
    }

    fn status(&self, process: usize, indicator: usize, now: u64, resumed: u64) -> Status {
        let state = self.state(process, indicator, now, resumed);
        let saturated = state == State::Stalled && self.capacity(process, indicator) > 0;
        match (self.policies[indicator].impact, state) {
            (Impact::Informational, _) | (_, State::Unknown | State::Passing) => Status::Ok,
            (Impact::Critical, State::Failing | State::Stalled) => Status::Fault,
            (Impact::Degrading, _) if saturated => Status::Fault,
            _ => Status::Degraded,
        }
    }

    fn is_hung(&self, process: usize, now: u64, resumed: u64) -> bool {
        let ttl = span(self.progress.ttl);
        let progressed = self.processes[process].progressed.last();
        ttl > 0 && progressed.is_some_and(|at| now - (*at).max(resumed) > ttl)
    }

    /// Whether a process is a master: it says so, or it has living children and no fresh evidence from after their start.
    fn is_master(&self, process: usize, now: u64, resumed: u64) -> bool {
        let children = (0..self.processes.len()).filter(|c| self.is_alive(*c));
        let children = children.filter(|c| self.processes[*c].parent == Some(process));
        let Some(oldest) = children.map(|c| self.processes[c].started).min() else {
            return self.processes[process].watches;
        };
        let works = (0..NAMES.len()).any(|i| {
            self.newest(process, i) > Some(oldest) && self.state(process, i, now, resumed) != State::Stale
        });
        self.processes[process].watches || !works
    }

    pub(super) fn service(&self, now: u64, resumed: u64) -> Expected {
        let living = self.living();
        let is_hung = |p: &usize| self.is_hung(*p, now, resumed);
        let is_master = |p: &usize| self.is_master(*p, now, resumed);
        let mut workers: Vec<usize> = living.iter().copied().filter(|p| !is_master(p)).collect();
        if workers.is_empty() {
            workers.clone_from(&living);
        }
        let hung = match (living.iter().any(is_hung), workers.iter().all(is_hung)) {
            (false, _) => Status::Ok,
            (true, true) => Status::Fault,
            (true, false) => Status::Degraded,
        };
        let voters: Vec<usize> =
            living.iter().copied().filter(|p| hung == Status::Fault || !is_hung(p)).collect();

        let deaths = |p: &Past| p.died;
        let last_death = self.processes.iter().filter_map(deaths).max();
        let goodbye = self.processes.iter().filter_map(|p| p.said_goodbye).max();
        let stopped = living.is_empty() && goodbye.is_some() && goodbye >= last_death;
        let counts_as_dead = |p: &usize| match self.processes[*p].died {
            Some(died) if living.is_empty() => !stopped && died <= now,
            Some(died) => now - died <= DEATH_COUNTS,
            None => false,
        };
        let dead: Vec<usize> = (0..self.processes.len()).filter(counts_as_dead).collect();

        let indicators = std::array::from_fn(|i| self.indicator(i, &voters, &dead, now, resumed));
        let deaths = match (dead.is_empty(), living.is_empty()) {
            (true, _) => Status::Ok,
            (false, true) => Status::Fault,
            (false, false) => Status::Degraded,
        };
        let worst = indicators.iter().copied().max().unwrap_or(Status::Ok);
        Expected {
            status: worst.max(hung).max(deaths),
            indicators,
            stopped,
            counts: (
                living.len() as u32,
                living.iter().filter(|p| is_hung(p)).count() as u32,
                dead.len() as u32,
            ),
        }
    }

    fn indicator(&self, i: usize, voters: &[usize], dead: &[usize], now: u64, resumed: u64) -> Status {
        let state = |p: usize| self.state(p, i, now, resumed);
        let status = |p: usize| self.status(p, i, now, resumed);
        // The evidence of a master may become stale.
        let counted: Vec<usize> = voters
            .iter()
            .copied()
            .filter(|p| state(*p) != State::Stale || !self.is_master(*p, now, resumed))
            .collect();
        let others = || counted.iter().copied().filter(|p| status(*p) != Status::Fault);
        // A process that is a FAULT while no other process has evidence from the begin of its failing or later.
        let is_fault = counted.iter().copied().filter(|p| status(*p) == Status::Fault).any(|p| {
            let capacity = |p| self.capacity(p, i) > 0;
            let saturated = state(p) == State::Stalled && capacity(p);
            let began = match state(p) {
                State::Stalled if saturated => self.youngest(p, i),
                State::Stalled => self.waiting(p, i, now),
                _ => self.failures(p, i).first().copied(),
            };
            // A process with free capacity that takes more work serves.
            let serves = |o| capacity(o) && !self.processes[o].drains && !self.is_master(o, now, resumed);
            !others().any(|o| self.newest(o, i) >= began || saturated && serves(o))
        });
        // The dead count until a living process has newer evidence.
        let newest = counted.iter().map(|p| self.newest(*p, i)).max().flatten();
        let dead_failed = dead.iter().any(|p| {
            let died_of = self.failures(*p, i).last().copied();
            died_of.is_some() && died_of > newest
        });
        let problem = |p: &usize| !matches!(state(*p), State::Unknown | State::Passing | State::Stale);
        let all_stale = counted.iter().all(|p| matches!(state(*p), State::Unknown | State::Stale))
            && counted.iter().any(|p| state(*p) == State::Stale);
        match self.policies[i].impact {
            Impact::Informational => Status::Ok,
            _ if is_fault => Status::Fault,
            _ if counted.iter().any(problem) || dead_failed || all_stale => Status::Degraded,
            _ => Status::Ok,
        }
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Success,
    Failure,
    FailureByWork,
    Refreshed,
}

struct At<'a> {
    past: &'a mut Past,
    now: u64,
}

impl Lifecycle for At<'_> {
    fn progress(&mut self) {
        self.past.progressed.push(self.now);
    }

    fn watch(&mut self) {
        self.past.watches = true;
    }

    fn drain(&mut self) {
        self.past.drains = true;
    }

    fn die(&mut self) {
        // A process that is draining was told to end.
        let ended = if self.past.drains { &mut self.past.said_goodbye } else { &mut self.past.died };
        *ended = Some(self.now);
    }

    fn goodbye(&mut self) {
        self.past.said_goodbye = Some(self.now);
    }
}
