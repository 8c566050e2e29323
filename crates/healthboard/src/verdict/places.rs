//! Where a process hangs. Stacks count only if they belong to the current hang and not to an earlier one.

use super::processes::Living;
use super::report::{State, Traced};
use super::state::{Moment, state};
use crate::config::PROGRESS;
use crate::read::{Evidence, Observed, Process};
use crate::stacks::Stacks;
use std::sync::Arc;

/// Where the main thread stands in a process that does not progress, from stacks taken since it last recorded progress.
pub(super) fn of_main(process: &Process) -> Option<String> {
    let progress = process.indicators.iter().find(|observed| &*observed.name == PROGRESS)?;
    let stacks = process.stacks.as_deref()?;
    is_since(stacks, progress.evidence.newest_ns()).then(|| stacks.main_place())?
}

/// Where most workers of a saturated server stand, from stacks taken since the newest of its operations began.
pub(super) fn of_work(stacks: Option<&Stacks>, evidence: &Evidence) -> Option<String> {
    let stacks = stacks.filter(|stacks| is_since(stacks, evidence.youngest_ns))?;
    stacks.work_place()
}

/// The stacks of a process that hangs or whose operations hang.
pub(super) fn traced(living: &Living<'_>, at: Moment) -> Option<Traced> {
    let Process { pid, stacks, indicators, .. } = living.process;
    let stacks = stacks.as_ref()?;
    let hangs = |Observed { name, policy, evidence }: &Observed| match state(evidence, policy, at) {
        State::Stale if **name == *PROGRESS => is_since(stacks, evidence.newest_ns()),
        State::Stalled if evidence.capacity > 0 => is_since(stacks, evidence.youngest_ns),
        State::Stalled | State::Stuck => is_since(stacks, evidence.longest_ns()),
        _ => false,
    };
    indicators.iter().any(hangs).then(|| Traced { pid: *pid, stacks: Arc::clone(stacks) })
}

fn is_since(stacks: &Stacks, at_ns: Option<u64>) -> bool {
    Some(stacks.taken_ns) >= at_ns
}
