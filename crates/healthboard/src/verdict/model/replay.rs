//! Applies the same events to real slots, and reads the slots as a reader does.

use super::{End, Event, Lifecycle, NAMES, UNIT};
use crate::board::slot::{Cell, Ended, Slot};
use crate::board::sync::{AtomicU32, Ordering::Relaxed};
use crate::config::{PROGRESS, Policy};
use crate::read::{Life, Observed, Process, own_evidence};
use std::collections::BTreeMap;

pub(super) struct Replay {
    policies: [Policy; NAMES.len()],
    progress: Policy,
    boards: Vec<Board>,
}

struct Board {
    process: Process,
    slots: [Indicator; NAMES.len()],
    progress: Indicator,
}

struct Indicator {
    slot: Box<Slot>,
    lock: AtomicU32,
    cells: BTreeMap<u64, Cell>,
}

impl Replay {
    pub(super) fn new(policies: [Policy; NAMES.len()], progress: Policy) -> Replay {
        Replay { policies, progress, boards: Vec::new() }
    }

    pub(super) fn start(&mut self, parent: Option<usize>, now: u64) {
        let id = |index: usize| index as u64 + 100;
        let process = Process {
            // All processes have the same pid: the verdict must not depend on it.
            pid: 1,
            pid_since: id(self.boards.len()),
            id: id(self.boards.len()),
            parent_id: parent.map_or(0, id),
            watches: false,
            life: Life::Alive,
            started_ns: now * UNIT,
            kept_ns: now * UNIT,
            goodbye_ns: 0,
            ttl_ns: 20 * UNIT,
            refused: 0,
            refused_name: None,
            indicators: Vec::new(),
            stacks: None,
        };
        let slots = std::array::from_fn(|_| Indicator::new());
        self.boards.push(Board { process, slots, progress: Indicator::new() });
    }

    pub(super) fn happen(&mut self, process: usize, indicator: usize, event: Event, now: u64) {
        let slow_ns = self.policies[indicator].slow_after.as_nanos() as u64;
        self.boards[process].slots[indicator].happen(event, now * UNIT, slow_ns);
    }

    pub(super) fn at(&mut self, process: usize, now: u64) -> impl Lifecycle {
        At { board: &mut self.boards[process], now_ns: now * UNIT }
    }

    pub(super) fn processes(&self) -> Vec<Process> {
        let observe = |name: &str, policy: &Policy, indicator: &Indicator| Observed {
            name: name.into(),
            policy: (*policy).into(),
            evidence: own_evidence(&indicator.slot),
        };
        let read = |board: &Board| {
            let mut process = board.process.clone();
            process.indicators.push(observe(PROGRESS, &self.progress, &board.progress));
            for ((name, policy), indicator) in NAMES.iter().zip(&self.policies).zip(&board.slots) {
                process.indicators.push(observe(name, policy, indicator));
            }
            process
        };
        self.boards.iter().map(read).collect()
    }
}

impl Indicator {
    fn new() -> Indicator {
        // SAFETY: nothing but atomics, for which zero is a valid value; it is what a new board holds.
        let slot = Box::new(unsafe { std::mem::zeroed::<Slot>() });
        Indicator { slot, lock: AtomicU32::new(0), cells: BTreeMap::new() }
    }

    fn happen(&mut self, event: Event, now_ns: u64, slow_ns: u64) {
        let slot = &self.slot;
        match event {
            Event::Begun => {
                let thread = self.cells.len() % 3;
                self.cells.insert(now_ns, slot.begin_at(now_ns, thread));
            }
            Event::Ended { begun, end } => {
                let begun_ns = begun * UNIT;
                match end {
                    End::Abandoned => slot.abandon_at(now_ns, begun_ns, slow_ns, &self.lock, false),
                    _ => self.record(end, now_ns),
                }
                let cell = self.cells.remove(&begun_ns).expect("it has begun");
                self.slot.end(cell);
            }
            Event::Recorded(end) => self.record(end, now_ns),
            Event::RefreshBegun => slot.begin_refresh_at(now_ns),
            Event::RefreshSucceeded => {
                slot.refreshed_at(now_ns);
                slot.end_refresh();
            }
            Event::RefreshFailed => {
                slot.fail_at(now_ns, &self.lock, Ended::Refresh, None);
                slot.end_refresh();
            }
            Event::RefreshUnanswered => slot.fail_at(now_ns, &self.lock, Ended::Refresh, None),
            Event::RefreshDropped => slot.end_refresh(),
            Event::Capacity(n) => slot.capacity.store(n.into(), Relaxed),
        }
    }

    /// Records an outcome as `Operation` and `Indicator` do.
    fn record(&self, end: End, now_ns: u64) {
        let fail = |by_work| self.slot.fail_at(now_ns, &self.lock, Ended::Work { by_work }, None);
        match end {
            End::Success => self.slot.ok_at(now_ns),
            End::Failure => fail(false),
            End::FailureByWork => fail(true),
            End::NoEvidence => self.slot.last_end.store(now_ns, Relaxed),
            End::Abandoned => unreachable!("only what has begun is abandoned"),
        }
    }
}

struct At<'a> {
    board: &'a mut Board,
    now_ns: u64,
}

impl Lifecycle for At<'_> {
    fn progress(&mut self) {
        self.board.progress.slot.ok_at(self.now_ns);
    }

    fn watch(&mut self) {
        self.board.process.watches = true;
    }

    fn drain(&mut self) {
        self.board.process.life = Life::Draining;
    }

    fn die(&mut self) {
        if self.board.process.life == Life::Draining {
            return self.goodbye();
        }
        self.board.process.kept_ns = self.now_ns;
        self.board.process.life = Life::Dead;
    }

    fn goodbye(&mut self) {
        self.board.process.goodbye_ns = self.now_ns;
        self.board.process.life = Life::Stopped;
    }
}
