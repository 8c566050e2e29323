//! A slow and simple reference implementation of the rules, over the whole history of every process. The real slots,
//! readers and verdict are compared with it after each event.
//!
//! The reference knows nothing of stamps, tags and runs. It searches all past events and applies the sentences of
//! ARCHITECTURE.md, "From evidence to status". All times are whole stamps, so that nothing is rounded, and no two
//! events happen at the same time.

mod reference;
mod replay;

use crate::config::{Impact, Policy};
use crate::verdict::Moment;
use crate::verdict::state::waiting_since;
use proptest::prelude::*;
use proptest::sample::Index;
use reference::History;
use replay::Replay;
use std::time::{Duration, SystemTime};

/// One stamp, the unit of time here.
const UNIT: u64 = 1 << 22;

/// The first moment of a test, in units. It is longer after zero than any time span of a policy.
const START: u64 = 1000;

/// Indicators of each process, beside `progress`.
const NAMES: [&str; 2] = ["database", "requests"];

/// How an operation of the work ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Success,
    Failure,
    FailureByWork,
    NoEvidence,
    Abandoned,
}

/// An event of an indicator in a process. An operation is identified by the time of its begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Begun,
    Ended {
        begun: u64,
        end: End,
    },
    /// An outcome that is recorded without a begun operation.
    Recorded(End),
    RefreshBegun,
    RefreshSucceeded,
    RefreshFailed,
    RefreshUnanswered,
    RefreshDropped,
    Capacity(u32),
}

/// The next step, chosen by proptest. An action that is impossible at that point only lets time pass.
#[derive(Clone, Debug)]
struct Step {
    wait: u64,
    process: Index,
    indicator: usize,
    action: Action,
}

#[derive(Clone, Debug)]
enum Action {
    Nothing,
    Begin,
    /// More operations than the board has cells for.
    BeginMany,
    End(Index, End),
    EndAll(End),
    Record(End),
    BeginRefresh,
    EndRefresh(Event),
    Capacity(u32),
    Progress,
    Fork,
    Spawn,
    Watch,
    Drain,
    Die,
    Goodbye,
    Pause,
}

fn ends() -> impl Strategy<Value = End> {
    prop_oneof![
        3 => Just(End::Success),
        3 => Just(End::Failure),
        1 => Just(End::FailureByWork),
        1 => Just(End::NoEvidence),
        5 => Just(End::Abandoned),
    ]
}

fn actions() -> impl Strategy<Value = Action> {
    let recorded = prop_oneof![
        2 => Just(End::Success),
        3 => Just(End::Failure),
        1 => Just(End::FailureByWork),
    ];
    let refresh = prop_oneof![
        3 => Just(Event::RefreshSucceeded),
        1 => Just(Event::RefreshFailed),
        1 => Just(Event::RefreshUnanswered),
        1 => Just(Event::RefreshDropped),
    ];
    prop_oneof![
        10 => Just(Action::Nothing),
        20 => Just(Action::Begin),
        1 => Just(Action::BeginMany),
        20 => (any::<Index>(), ends()).prop_map(|(which, end)| Action::End(which, end)),
        1 => ends().prop_map(Action::EndAll),
        10 => recorded.prop_map(Action::Record),
        6 => Just(Action::BeginRefresh),
        8 => refresh.prop_map(Action::EndRefresh),
        2 => (0..4_u32).prop_map(Action::Capacity),
        1 => prop_oneof![Just(32), Just(33), Just(40)].prop_map(Action::Capacity),
        6 => Just(Action::Progress),
        2 => Just(Action::Fork),
        2 => Just(Action::Spawn),
        1 => Just(Action::Watch),
        1 => Just(Action::Drain),
        2 => Just(Action::Die),
        1 => Just(Action::Goodbye),
        1 => Just(Action::Pause),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wait = prop_oneof![6 => Just(1_u64), 3 => 1..5_u64, 1 => 1..16_u64];
    let step = (wait, any::<Index>(), 0..NAMES.len(), actions())
        .prop_map(|(wait, process, indicator, action)| Step { wait, process, indicator, action });
    prop::collection::vec(step, 1..70)
}

fn policies() -> impl Strategy<Value = Policy> {
    let spans = (0..12_u64, 0..5_u64, 0..8_u64, 0..5_u64);
    (prop::sample::select(Impact::ALL.to_vec()), spans, 1..4_u32).prop_map(
        |(impact, (ttl, window, stall, slow), failure_threshold)| Policy {
            impact,
            ttl: units(ttl * 2),
            failure_threshold,
            failure_window: units(window),
            stall_after: units(stall),
            slow_after: units(slow),
            refresh_interval: Duration::ZERO,
        },
    )
}

fn units(n: u64) -> Duration {
    Duration::from_nanos(n * UNIT)
}

/// The evidence of an indicator in a process. Times are in units.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    failures: usize,
    failing_since: Option<u64>,
    newest: Option<u64>,
    last_end: Option<u64>,
    in_flight: usize,
    waiting: Option<u64>,
}

/// A service: the whole history of its processes, and their real boards.
struct World {
    now: u64,
    resumed: u64,
    history: History,
    replay: Replay,
}

impl World {
    fn new(policies: [Policy; NAMES.len()], progress_ttl: u64) -> World {
        let progress = Policy { ttl: units(progress_ttl), ..Policy::PROGRESS };
        let mut world = World {
            now: START,
            resumed: 0,
            history: History::new(policies, progress),
            replay: Replay::new(policies, progress),
        };
        world.start(None);
        world
    }

    fn start(&mut self, parent: Option<usize>) {
        self.history.start(parent, self.now);
        self.replay.start(parent, self.now);
    }

    fn happen(&mut self, process: usize, indicator: usize, event: Event) {
        self.replay.happen(process, indicator, event, self.now);
        self.history.happen(process, indicator, event, self.now);
    }

    fn step(&mut self, step: &Step) {
        self.now += step.wait;
        let living = self.history.living();
        if let Action::Spawn = step.action {
            return if self.history.processes.len() < 5 {
                self.start(None)
            };
        }
        if let Action::Pause = step.action {
            self.resumed = self.now;
        }
        if living.is_empty() {
            return;
        }
        let process = living[step.process.index(living.len())];
        let indicator = step.indicator;
        let in_flight = self.history.in_flight(process, indicator);
        let refreshing = self.history.refreshing(process, indicator);
        match step.action {
            Action::Begin => self.happen(process, indicator, Event::Begun),
            Action::BeginMany => {
                for _ in 0..34 {
                    self.happen(process, indicator, Event::Begun);
                    self.now += 1;
                }
            }
            Action::End(which, end) if !in_flight.is_empty() => {
                let begun = in_flight[which.index(in_flight.len())];
                self.end(process, indicator, begun, end);
            }
            Action::EndAll(end) => {
                for begun in in_flight {
                    self.end(process, indicator, begun, end);
                    self.now += 1;
                }
            }
            Action::Record(end) => self.happen(process, indicator, Event::Recorded(end)),
            Action::BeginRefresh if !refreshing => self.happen(process, indicator, Event::RefreshBegun),
            Action::EndRefresh(event) if refreshing => self.happen(process, indicator, event),
            Action::Capacity(n) => self.happen(process, indicator, Event::Capacity(n)),
            Action::Fork if self.history.processes.len() < 5 => self.start(Some(process)),
            Action::Progress => self.both(process, |p| p.progress()),
            Action::Watch => self.both(process, |p| p.watch()),
            Action::Drain => self.both(process, |p| p.drain()),
            Action::Die => self.both(process, |p| p.die()),
            Action::Goodbye => self.both(process, |p| p.goodbye()),
            _ => {}
        }
    }

    /// The board does not know when an operation beyond the cells began, so the model never abandons one: it ends
    /// without evidence.
    fn end(&mut self, process: usize, indicator: usize, begun: u64, end: End) {
        let is_known = self.history.is_known(process, indicator, begun);
        let end = if end == End::Abandoned && !is_known { End::NoEvidence } else { end };
        self.happen(process, indicator, Event::Ended { begun, end });
    }

    fn both(&mut self, process: usize, change: impl Fn(&mut dyn Lifecycle)) {
        change(&mut self.history.at(process, self.now));
        change(&mut self.replay.at(process, self.now));
    }

    fn moment(&self) -> Moment {
        Moment { now_ns: self.now * UNIT, resumed_ns: self.resumed * UNIT }
    }

    /// Checks that both agree on each indicator in each process and on the service.
    fn compare(&self) -> Result<(), TestCaseError> {
        let processes = self.replay.processes();
        let at = self.moment();
        for (p, process) in processes.iter().enumerate() {
            for (i, name) in NAMES.into_iter().enumerate() {
                let observed = process.indicators.iter().find(|observed| &*observed.name == name);
                let evidence = &observed.expect("each process has every indicator").evidence;
                let policy = &self.history.policies[i];
                let seen = Seen {
                    failures: evidence.failures as usize,
                    failing_since: evidence.failing_since_ns.map(|at| at / UNIT),
                    newest: evidence.newest_ns().map(|at| at / UNIT),
                    last_end: evidence.last_end_ns.map(|at| at / UNIT),
                    in_flight: evidence.work_in_flight() as usize,
                    waiting: waiting_since(evidence, policy, at).map(|at| at / UNIT),
                };
                let evident = self.history.seen(p, i, self.now);
                prop_assert_eq!(seen, evident, "{} of process {}: {:?}, {:?}", name, p, evidence, policy);
                let expected = self.history.state(p, i, self.now, self.resumed);
                let found = crate::verdict::state(evidence, policy, at);
                prop_assert_eq!(found, expected, "{} of process {}: {:?}, {:?}", name, p, evidence, policy);
            }
        }
        let found = crate::verdict::judge("s", &processes, at, SystemTime::UNIX_EPOCH);
        let expected = self.history.service(self.now, self.resumed);
        for (i, name) in NAMES.into_iter().enumerate() {
            let status = found.details.get(name).map_or(crate::Status::Ok, |detail| detail.status);
            prop_assert_eq!(status, expected.indicators[i], "{}: {:#?}", name, &found);
        }
        prop_assert_eq!(found.status, expected.status, "{:#?}", &found);
        prop_assert_eq!(found.stopped, expected.stopped);
        let counts = (found.processes.alive, found.processes.hung, found.processes.dead);
        prop_assert_eq!(counts, expected.counts);
        Ok(())
    }
}

/// Actions of a whole process.
trait Lifecycle {
    fn progress(&mut self);
    fn watch(&mut self);
    fn drain(&mut self);
    fn die(&mut self);
    fn goodbye(&mut self);
}

proptest! {
    #[test]
    fn the_boards_agree_with_the_history(
        database in policies(),
        requests in policies(),
        progress_ttl in 0..12_u64,
        steps in steps(),
    ) {
        let mut world = World::new([database, requests], progress_ttl);
        for step in &steps {
            world.step(step);
            world.compare()?;
        }
        // Then time passes without events.
        for _ in 0..30 {
            world.now += 1;
            world.compare()?;
        }
    }
}
