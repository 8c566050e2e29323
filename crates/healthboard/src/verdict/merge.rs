//! One indicator over all processes of the service.

use super::message::explain;
use super::processes::Living;
use super::report::{Detail, State};
use super::state::{Moment, state, status, waiting_since};
use crate::config::{PROGRESS, Policy};
use crate::read::{Evidence, Observed, Process};
use crate::stacks::Stacks;
use crate::status::Status;
use std::collections::BTreeMap;
use std::time::Duration;

/// The evidence of all processes, grouped by indicator. Each observation is visited once.
#[derive(Default)]
pub(super) struct Merged<'a> {
    groups: Vec<Group<'a>>,
    /// The index of the group of a name.
    places: BTreeMap<&'a str, usize>,
    /// A hint for the next group. Processes of one service mostly have the same indicators in the same order.
    next: usize,
}

/// One indicator in all processes.
#[derive(Default)]
pub(super) struct Group<'a> {
    pub(super) name: &'a str,
    policy: Policy,
    voters: u32,
    success_ns: Option<u64>,
    failure_ns: Option<u64>,
    failures: u32,
    in_flight: u32,
    oldest_ns: Option<u64>,
    newest_ns: Option<u64>,
    /// Among the evidence with failures in a row or intermittent failures, the one with the newest failure.
    failing: Option<&'a Evidence>,
    /// The worst state of any process, and how many processes have a problem. Stale ones are kept separately, since they
    /// count only if no process has fresh evidence.
    worst: Option<Judged<'a>>,
    affected: u32,
    worst_stale: Option<Judged<'a>>,
    stale: u32,
    /// Whether any process has fresh evidence.
    has_fresh: bool,
    /// The latest begin of the failing among all processes that are a FAULT.
    began_ns: Option<u64>,
    /// The same for the processes that are a FAULT because hanging operations fill their capacity.
    saturated_ns: Option<u64>,
    /// The newest evidence of processes that are not a FAULT, and whether one of them has a known capacity, which then is
    /// not filled.
    others_ns: Option<u64>,
    has_room: bool,
}

#[derive(Clone, Copy)]
struct Judged<'a> {
    status: Status,
    state: State,
    observed: &'a Observed,
    stacks: Option<&'a Stacks>,
}

impl<'a> Merged<'a> {
    /// Adds the evidence of a living process about one indicator.
    pub(super) fn add(&mut self, observed: &'a Observed, living: &Living<'a>, at: Moment) {
        let state = state(&observed.evidence, &observed.policy, at);
        // The evidence of a master may become stale: it may have used the dependency only once, at start.
        if living.is_master && state == State::Stale {
            return;
        }
        let stacks = living.process.stacks.as_deref();
        self.group(&observed.name).add(observed, stacks, state, living.takes_work(), at);
    }

    /// Adds the progress of a living process.
    pub(super) fn add_progress(&mut self, observed: &'a Observed, at: Moment) {
        let state = state(&observed.evidence, &observed.policy, at);
        self.group(&observed.name).add(observed, None, state, true, at);
    }

    /// Adds the failures of a dead process. They count until a living process has newer evidence, and are never a
    /// FAULT: a dead process cannot show that they last.
    pub(super) fn add_dead(&mut self, process: &'a Process) {
        for observed in process.indicators.iter().filter(|o| o.evidence.failures > 0 && &*o.name != PROGRESS)
        {
            let group = self.group(&observed.name);
            let failed_ns = observed.evidence.last_failure_ns;
            if group.newest_ns >= failed_ns {
                continue;
            }
            group.take_policy(&observed.policy);
            group.fail(&observed.evidence);
            group.failure_ns = group.failure_ns.max(failed_ns);
            group.newest_ns = failed_ns;
            group.voters += 1;
            let status = status(State::Transient, observed.policy.impact, false);
            group.judge(Judged { status, state: State::Transient, observed, stacks: None });
        }
    }

    /// Every indicator, in the order of the names.
    pub(super) fn into_groups(mut self) -> Vec<Group<'a>> {
        self.groups.sort_unstable_by_key(|group| group.name);
        self.groups
    }

    fn group(&mut self, name: &'a str) -> &mut Group<'a> {
        let hinted = self.groups.get(self.next).is_some_and(|group| group.name == name);
        let at = match hinted {
            true => self.next,
            false => *self.places.entry(name).or_insert(self.groups.len()),
        };
        if at == self.groups.len() {
            self.groups.push(Group { name, ..Group::default() });
        }
        self.next = if at + 1 < self.groups.len() { at + 1 } else { 0 };
        &mut self.groups[at]
    }
}

impl<'a> Group<'a> {
    fn add(
        &mut self,
        observed: &'a Observed,
        stacks: Option<&'a Stacks>,
        state: State,
        takes_work: bool,
        at: Moment,
    ) {
        let Observed { policy, evidence, .. } = observed;
        let newest_ns = evidence.newest_ns();
        self.take_policy(policy);
        self.voters += 1;
        self.success_ns = self.success_ns.max(evidence.last_success_ns);
        self.failure_ns = self.failure_ns.max(evidence.last_failure_ns);
        self.newest_ns = self.newest_ns.max(newest_ns);
        self.failures = self.failures.max(evidence.failures);
        self.in_flight = self.in_flight.saturating_add(evidence.in_flight);
        self.oldest_ns = [self.oldest_ns, evidence.longest_ns()].into_iter().flatten().min();
        if evidence.failures > 0 || state == State::Transient {
            self.fail(evidence);
        }
        let is_saturated = state == State::Stalled && evidence.capacity > 0;
        let status = status(state, policy.impact, is_saturated);
        match status {
            Status::Fault if is_saturated => self.saturated_ns = self.saturated_ns.max(evidence.youngest_ns),
            Status::Fault => {
                let began_ns = match state {
                    State::Stalled => waiting_since(evidence, policy, at),
                    _ => evidence.failing_since_ns,
                };
                self.began_ns = self.began_ns.max(began_ns);
            }
            _ => {
                self.others_ns = self.others_ns.max(newest_ns);
                self.has_room |= evidence.capacity > 0 && takes_work;
            }
        }
        self.judge(Judged { status, state, observed, stacks });
    }

    fn judge(&mut self, judged: Judged<'a>) {
        // Of processes in the same state, the one with the most failures is shown.
        let rank =
            |judged: &Judged<'_>| (judged.status, rank(judged.state), judged.observed.evidence.failures);
        let (worst, count) = match judged.state {
            State::Stale => (&mut self.worst_stale, &mut self.stale),
            _ => (&mut self.worst, &mut self.affected),
        };
        *count += u32::from(judged.state.is_problem());
        self.has_fresh |= !matches!(judged.state, State::Unknown | State::Stale);
        if worst.as_ref().is_none_or(|worst| rank(worst) < rank(&judged)) {
            *worst = Some(judged);
        }
    }

    fn take_policy(&mut self, policy: &Policy) {
        if self.worst.is_none() && self.worst_stale.is_none() || policy.impact > self.policy.impact {
            self.policy = *policy;
        }
    }

    fn fail(&mut self, evidence: &'a Evidence) {
        if self.failing.is_none_or(|failing| failing.last_failure_ns <= evidence.last_failure_ns) {
            self.failing = Some(evidence);
        }
    }

    /// The indicator's detail, with a message if there is a problem.
    ///
    /// It is a FAULT if a process is a FAULT that no other process contradicts, by evidence that is not older than the
    /// begin of the failing. A server with free capacity in one process is not saturated.
    pub(super) fn into_detail(self, at: Moment) -> Detail {
        let age = |at_ns: Option<u64>| at_ns.map(|ns| Duration::from_nanos(at.now_ns.saturating_sub(ns)));
        let error = self.failing.and_then(|evidence| evidence.error.as_deref()).cloned();
        let mut detail = Detail {
            status: Status::Ok,
            state: State::Unknown,
            impact: self.policy.impact,
            success_age: age(self.success_ns),
            failure_age: age(self.failure_ns),
            failures: self.failures,
            in_flight: self.in_flight,
            oldest_age: age(self.oldest_ns),
            error,
            ttl: self.policy.ttl,
            message: String::new(),
        };
        let stale = self.worst_stale.filter(|_| !self.has_fresh);
        let affected = self.affected + if self.has_fresh { 0 } else { self.stale };
        let worst = [self.worst, stale].into_iter().flatten().max_by_key(|w| (w.status, rank(w.state)));
        let Some(Judged { status, state, observed, stacks }) = worst else { return detail };
        // A process contradicts the FAULT of another if it has evidence that is not older than the begin of the failing.
        let uncontradicted =
            |began_ns: Option<u64>| began_ns.is_some_and(|began| self.others_ns < Some(began));
        let is_fault = uncontradicted(self.began_ns) || uncontradicted(self.saturated_ns) && !self.has_room;
        detail.state = state;
        detail.status = if status == Status::Fault && !is_fault { Status::Degraded } else { status };
        if state.is_problem() {
            detail.message = explain(observed, stacks, state, &detail, at);
            if detail.status < Status::Fault && affected < self.voters {
                detail.message.push_str(&format!(" (in {affected} of {} processes)", self.voters));
            }
        }
        detail
    }
}

/// How bad a state is among states of the same status.
fn rank(state: State) -> u8 {
    match state {
        State::Unknown => 0,
        State::Passing => 1,
        State::Stale => 2,
        State::Transient => 3,
        State::Stuck => 4,
        State::Stalled => 5,
        State::Failing => 6,
    }
}
