//! From evidence to status: pure functions of (boards, now).
//!
//! Every rule of the table in ARCHITECTURE.md is a line here. Nothing reads a clock, a file or a setting, so all of it is
//! tested with tables, its equality edges included.

use crate::report::{Detail, Processes, Report, State, Status};
use crate::{Evidence, Impact, Life, Observed, Policy, Process};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

/// The built-in indicator that the interpreter, the event loop or the hub stamps from inside, about once a second. When it
/// is stale, the whole process is hung.
pub const PROGRESS: &str = "progress";

/// At most this many reasons are in a report's message.
const REASONS: usize = 3;

/// When a verdict is given, by the coarse monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Now, in nanoseconds.
    pub now_ns: u64,
    /// When the host last came back from a pause, a suspended machine or a frozen container, in nanoseconds; 0 if it never
    /// did. Silence begins no earlier: nobody could record anything.
    pub resumed_ns: u64,
}

impl From<u64> for Moment {
    /// On a host that was never paused.
    fn from(now_ns: u64) -> Moment {
        Moment { now_ns, resumed_ns: 0 }
    }
}

impl Moment {
    fn age(self, at_ns: u64) -> Duration {
        Duration::from_nanos(self.now_ns.saturating_sub(at_ns))
    }

    /// For how long nothing has been heard since then.
    fn silence(self, at_ns: u64) -> Duration {
        self.age(at_ns.max(self.resumed_ns))
    }
}

/// The state of one indicator of one process.
///
/// An outcome is fresh while `age <= ttl`; failing begins at `failures == failure_threshold` and at
/// `failing for == failure_window`; stalled begins *after* `stall_after`. A failure that is no longer fresh is stale, not
/// failing: silence alone never makes `FAULT`. A time in the future counts as now.
pub fn state(evidence: &Evidence, policy: &Policy, at: impl Into<Moment>) -> State {
    let at = at.into();
    if let (true, false, Some(since)) =
        (evidence.in_flight > 0, policy.stall_after.is_zero(), evidence.waiting_since_ns)
        && at.silence(since) > policy.stall_after
    {
        return State::Stalled;
    }
    let Some(newest) = evidence.newest_ns() else { return State::Unknown };
    if !policy.ttl.is_zero() && at.silence(newest) > policy.ttl {
        State::Stale
    } else if evidence.failures == 0 {
        State::Passing
    } else if evidence.failures >= policy.failure_threshold
        && evidence.failing_since_ns.is_some_and(|since| at.age(since) >= policy.failure_window)
    {
        State::Failing
    } else {
        State::Transient
    }
}

/// What a state means for a service that depends on the indicator this much.
pub fn status(state: State, impact: Impact) -> Status {
    match (state, impact) {
        (_, Impact::Informational) | (State::Unknown | State::Passing, _) => Status::Ok,
        (State::Failing | State::Stalled, Impact::Critical) => Status::Fault,
        _ => Status::Degraded,
    }
}

/// The verdict of a service over all its processes.
///
/// - An indicator is `FAULT` when it is so in every process that has evidence from since the failing began, and `DEGRADED`
///   when in some. A hung process has no say while another one progresses.
/// - It is stale only when no process has newer evidence.
/// - Every process hung is `FAULT`, some are `DEGRADED`.
/// - A process that only watches over those that it forks (it says so, or has living children and has recorded nothing since
///   their start) does no work itself: by progressing it keeps no service alive, and what it has recorded may grow old.
/// - A process that died without saying goodbye is `DEGRADED` for one ttl; no process left alive is `FAULT`. What the dead
///   have said of an indicator counts, together, like one more process, until a living one knows better: workers that die of
///   a failure as soon as they start, again and again, never live for long enough to be failing themselves.
/// - No process and no indicator at all is `OK`: starting is not a fault.
///
/// `time` is for display only. Cost: linear in the indicators of all processes (`cargo xtask bench reading`).
pub fn judge(service: &str, processes: &[Process], at: impl Into<Moment>, time: SystemTime) -> Report {
    let at = at.into();
    let now_ns = at.now_ns;
    let mut reasons = Vec::new();
    let masters = masters(processes, at);
    let (counted, hung) = judge_processes(processes, &masters, at, &mut reasons);
    let mut details = BTreeMap::new();

    let live: Vec<&Process> = processes.iter().filter(|p| p.life != Life::Dead).collect();
    let progressing: Vec<&Process> = live.iter().copied().filter(|p| stuck_for(p, at).is_none()).collect();
    let voters = if progressing.is_empty() { &live } else { &progressing };

    let last_words = last_words(processes, now_ns);
    let mut by_name: BTreeMap<&str, Vec<&Observed>> = BTreeMap::new();
    for process in voters {
        let may_age = masters.contains(&process.pid);
        for observed in process.indicators.iter().filter(|i| i.name != PROGRESS) {
            if !may_age || state(&observed.evidence, &observed.policy, at) != State::Stale {
                by_name.entry(&observed.name).or_default().push(observed);
            }
        }
    }
    for (name, dead) in &last_words {
        let heard = by_name.entry(name).or_default();
        if !heard.iter().any(|living| living.evidence.newest_ns() >= dead.evidence.last_failure_ns) {
            heard.push(dead);
        }
    }
    for (name, observed) in by_name {
        let detail = judge_indicator(name, &observed, at);
        if detail.status > Status::Ok {
            reasons.push((detail.status, detail.message.clone()));
        }
        details.insert(name.to_owned(), detail);
    }
    let beats: Vec<&Observed> =
        live.iter().flat_map(|p| &p.indicators).filter(|i| i.name == PROGRESS).collect();
    if !beats.is_empty() {
        let mut detail = merge(&beats, now_ns);
        detail.status = hung;
        detail.state = if counted.hung > 0 { State::Stale } else { detail.state };
        details.insert(PROGRESS.to_owned(), detail);
    }

    // Stable: of two alike, processes come before indicators, and those in the order of their names.
    reasons.sort_by_key(|(status, _)| std::cmp::Reverse(*status));
    let status = reasons.first().map_or(Status::Ok, |(status, _)| *status);
    let more = reasons.len().saturating_sub(REASONS);
    let mut message = reasons.into_iter().take(REASONS).map(|(_, m)| m).collect::<Vec<_>>().join("; ");
    if more > 0 {
        message.push_str(&format!("; and {more} more"));
    }
    Report {
        status,
        message,
        service: service.to_owned(),
        time,
        processes: counted,
        draining: !live.is_empty() && live.iter().all(|p| p.life == Life::Draining),
        exhausted: processes.iter().map(|p| p.exhausted).max().unwrap_or(0),
        details,
    }
}

/// The processes that leave the work to others: they say so, or they have living children and nothing to say of themselves
/// that is newer than these.
fn masters(processes: &[Process], at: Moment) -> BTreeSet<u32> {
    let mut oldest_child_ns: BTreeMap<u32, u64> = BTreeMap::new();
    for child in processes.iter().filter(|p| p.life != Life::Dead && p.parent != 0) {
        let oldest = oldest_child_ns.entry(child.parent).or_insert(child.started_ns);
        *oldest = child.started_ns.min(*oldest);
    }
    let works_since = |process: &Process, since_ns: u64| {
        process.indicators.iter().any(|o| {
            o.name != PROGRESS
                && o.evidence.newest_ns() > Some(since_ns)
                && state(&o.evidence, &o.policy, at) != State::Stale
        })
    };
    let watches = |p: &&Process| {
        p.watches || oldest_child_ns.get(&p.pid).is_some_and(|since_ns| !works_since(p, *since_ns))
    };
    processes.iter().filter(watches).map(|p| p.pid).collect()
}

/// For how long a process has not progressed, if that is longer than its policy allows.
fn stuck_for(process: &Process, at: Moment) -> Option<Duration> {
    let progress = process.indicators.iter().find(|i| i.name == PROGRESS)?;
    let newest = progress.evidence.newest_ns()?;
    (state(&progress.evidence, &progress.policy, at) == State::Stale).then(|| at.silence(newest))
}

/// What those who died lately had failed at, all of them together, by indicator.
fn last_words(processes: &[Process], now_ns: u64) -> BTreeMap<String, Observed> {
    let mut words: BTreeMap<String, Observed> = BTreeMap::new();
    let dead = processes.iter().filter(|p| p.life == Life::Dead && died_ago(p, now_ns).is_some());
    let failed = |i: &&Observed| i.evidence.failures > 0 && i.name != PROGRESS;
    let mut failed: Vec<&Observed> = dead.flat_map(|p| &p.indicators).filter(failed).collect();
    // The newest failure speaks for all.
    failed.sort_by_key(|o| (o.evidence.last_failure_ns, o.policy.impact));
    for observed in failed {
        let mut newest = observed.clone();
        let evidence = &mut newest.evidence;
        evidence.in_flight = 0;
        if let Some(Observed { evidence: before, .. }) = words.remove(&observed.name) {
            evidence.failures = evidence.failures.saturating_add(before.failures);
            evidence.last_success_ns = evidence.last_success_ns.max(before.last_success_ns);
            let since = [evidence.failing_since_ns, before.failing_since_ns];
            evidence.failing_since_ns = since.into_iter().flatten().min();
        }
        words.insert(observed.name.clone(), newest);
    }
    // Failures before somebody's success are of an earlier time.
    words.retain(|_, o| o.evidence.failing_since_ns >= o.evidence.last_success_ns);
    words
}

/// How long ago a dead process last gave a sign of life, as long as that counts.
fn died_ago(process: &Process, now_ns: u64) -> Option<Duration> {
    let silent = now_ns.saturating_sub(process.newest_ns());
    (silent <= process.ttl_ns).then(|| Duration::from_nanos(silent))
}

/// How many processes are in which condition, and the status that the hung ones amount to.
fn judge_processes(
    processes: &[Process],
    masters: &BTreeSet<u32>,
    at: Moment,
    reasons: &mut Vec<(Status, String)>,
) -> (Processes, Status) {
    let mut counted = Processes::default();
    let mut stuck = Vec::new();
    let mut gone = Vec::new();
    for process in processes {
        if process.life == Life::Dead {
            gone.extend(died_ago(process, at.now_ns).map(|ago| (ago, process.pid)));
            continue;
        }
        counted.alive += 1;
        if let Some(silent) = stuck_for(process, at) {
            counted.hung += 1;
            stuck.push((process.pid, silent));
        }
    }
    let mut works = processes.iter().filter(|p| p.life != Life::Dead && !masters.contains(&p.pid));
    let hung = match counted.hung {
        0 => Status::Ok,
        _ if works.all(|p| stuck_for(p, at).is_some()) => Status::Fault,
        _ => Status::Degraded,
    };
    for (pid, silent) in stuck {
        let silent = span(silent);
        let message = if counted.alive == 1 {
            format!("not progressing for {silent}")
        } else {
            format!("process {pid} not progressing for {silent}")
        };
        reasons.push((hung, message));
    }
    counted.dead = gone.len() as u32;
    if counted.alive == 0 && counted.dead > 0 {
        reasons.push((Status::Fault, "no process is alive".to_owned()));
    }
    gone.sort_unstable();
    if let [(ago, pid), others @ ..] = &gone[..] {
        let others = match others.len() {
            0 => String::new(),
            n => format!(", and {n} before it"),
        };
        reasons.push((
            Status::Degraded,
            format!("process {pid} died {} ago without saying goodbye{others}", span(*ago)),
        ));
    }
    (counted, hung)
}

fn judge_indicator(name: &str, observed: &[&Observed], at: Moment) -> Detail {
    let now_ns = at.now_ns;
    let mut detail = merge(observed, now_ns);
    let judged: Vec<(State, Status, &Observed)> = observed
        .iter()
        .map(|o| {
            let state = state(&o.evidence, &o.policy, at);
            (state, status(state, o.policy.impact), *o)
        })
        .collect();

    // A process that asked once and then never again is stale by itself; another one with newer evidence answers for it.
    let heard = judged.iter().any(|(state, ..)| !matches!(state, State::Unknown | State::Stale));
    let counts = |state: State| !(heard && state == State::Stale);

    let failing_since =
        judged.iter().filter(|(_, s, _)| *s == Status::Fault).filter_map(|(state, _, o)| match state {
            State::Stalled => o.evidence.waiting_since_ns,
            _ => o.evidence.failing_since_ns,
        });
    let fault = failing_since.min().is_some_and(|began| {
        judged.iter().all(|(_, status, o)| {
            *status == Status::Fault || o.evidence.newest_ns().is_none_or(|newest| newest < began)
        })
    });
    let worst =
        judged.iter().filter(|(s, ..)| counts(*s)).max_by_key(|(state, status, _)| (*status, rank(*state)));
    let Some((worst_state, worst_status, deciding)) = worst else { return detail };

    detail.state = *worst_state;
    detail.status = if *worst_status == Status::Fault && !fault { Status::Degraded } else { *worst_status };
    if rank(*worst_state) > rank(State::Passing) {
        let affected = judged.iter().filter(|(s, ..)| counts(*s) && rank(*s) > rank(State::Passing)).count();
        detail.message = explain(name, *worst_state, &deciding.evidence, &detail, now_ns);
        if detail.status < Status::Fault && affected < judged.len() {
            detail.message.push_str(&format!(" (in {affected} of {} processes)", judged.len()));
        }
    }
    detail
}

/// How bad a state is among states of the same status.
fn rank(state: State) -> u8 {
    match state {
        State::Unknown => 0,
        State::Passing => 1,
        State::Stale => 2,
        State::Transient => 3,
        State::Stalled => 4,
        State::Failing => 5,
    }
}

fn merge(observed: &[&Observed], now_ns: u64) -> Detail {
    let age = |at: Option<u64>| at.map(|at| Duration::from_nanos(now_ns.saturating_sub(at)));
    let evidence = || observed.iter().map(|o| &o.evidence);
    let failing = evidence().filter(|e| e.failures > 0).max_by_key(|e| e.last_failure_ns);
    let policy = observed.iter().map(|o| o.policy).max_by_key(|p| p.impact).unwrap_or_default();
    Detail {
        status: Status::Ok,
        state: if evidence().any(|e| e.newest_ns().is_some()) { State::Passing } else { State::Unknown },
        impact: policy.impact,
        success_age: age(evidence().filter_map(|e| e.last_success_ns).max()),
        failure_age: age(evidence().filter_map(|e| e.last_failure_ns).max()),
        failures: evidence().map(|e| e.failures).max().unwrap_or(0),
        in_flight: evidence().map(|e| e.in_flight).fold(0, u32::saturating_add),
        error: failing.map(|e| e.error.clone()).filter(|error| !error.is_empty()),
        ttl: policy.ttl,
        message: String::new(),
    }
}

fn explain(name: &str, state: State, evidence: &Evidence, detail: &Detail, now_ns: u64) -> String {
    let since = |at: Option<u64>| span(Duration::from_nanos(now_ns.saturating_sub(at.unwrap_or(now_ns))));
    let plural = |n: u32| if n == 1 { "" } else { "s" };
    match state {
        State::Stalled => {
            let n = evidence.in_flight;
            let waiting = since(evidence.waiting_since_ns);
            format!("{name}: {n} operation{} in flight, none has ended for {waiting}", plural(n))
        }
        State::Stale => {
            format!("{name}: no outcome for {}, ttl {}", since(evidence.newest_ns()), span(detail.ttl))
        }
        _ => {
            let n = evidence.failures;
            let error = evidence.error.to_string();
            let error = if error.is_empty() { String::new() } else { format!("{error}, ") };
            let lasting = since(evidence.failing_since_ns.or(evidence.last_failure_ns));
            let good = match detail.success_age {
                Some(age) => format!("last success {} ago", span(age)),
                None => "no success yet".to_owned(),
            };
            match n {
                1 => format!("{name}: {error}1 failure {lasting} ago, {good}"),
                n => format!("{name}: {error}{n} failures in {lasting}, {good}"),
            }
        }
    }
}

/// A duration for people: whole units, rounded down.
fn span(duration: Duration) -> String {
    match duration.as_secs() {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests;
