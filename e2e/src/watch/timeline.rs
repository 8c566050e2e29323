//! The statuses from one source over time, and its response times.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The status of a service according to one source. Process checks and the like know only `Ok` and `Fault`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// As in a report.
    Ok,
    /// As in a report.
    Degraded,
    /// As in a report, or a failed check.
    Fault,
    /// No answer.
    Silent,
}

impl Status {
    /// Parses the status of a report. An unknown word is `Silent`.
    pub fn parse(word: &str) -> Self {
        match word {
            "OK" => Self::Ok,
            "DEGRADED" => Self::Degraded,
            "FAULT" => Self::Fault,
            _ => Self::Silent,
        }
    }

    /// Whether it is an answer other than `Ok`.
    pub fn is_alarm(self) -> bool {
        matches!(self, Self::Degraded | Self::Fault)
    }
}

/// A change of the status at `at`, measured from the start of the watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When it happened.
    pub at: Duration,
    /// The new status.
    pub status: Status,
    /// The first message or explanation with this status.
    pub note: String,
}

/// The statuses from one source over time. Only changes are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline(Vec<Change>);

impl Timeline {
    /// Adds the status at `at`, which must not be earlier than the previous one.
    pub fn record(&mut self, at: Duration, status: Status, note: &str) {
        if self.0.last().is_none_or(|last| last.status != status) {
            self.0.push(Change { at, status, note: note.to_owned() });
        }
    }

    /// All changes, in order.
    pub fn changes(&self) -> &[Change] {
        &self.0
    }

    /// The newest change.
    pub fn last(&self) -> Option<&Change> {
        self.0.last()
    }

    /// The status at `at`; none before the first change.
    pub fn at(&self, at: Duration) -> Option<Status> {
        self.0.iter().rfind(|change| change.at <= at).map(|change| change.status)
    }

    /// The time from `from` until the status was first `wanted`; zero if it was already.
    pub fn first(&self, from: Duration, wanted: impl Fn(Status) -> bool) -> Option<Duration> {
        if self.at(from).is_some_and(&wanted) {
            return Some(Duration::ZERO);
        }
        self.0.iter().find(|change| change.at >= from && wanted(change.status)).map(|change| change.at - from)
    }

    /// The time from `from` until the status was `Ok` and stayed so for `lasting`, or to the end.
    pub fn recovered_after(&self, from: Duration, lasting: Duration) -> Option<Duration> {
        let ends = self.0.iter().skip(1).map(|next| next.at).chain([Duration::MAX]);
        let ok = self.0.iter().zip(ends).filter(|(change, _)| change.status == Status::Ok);
        // A period that began before `from` counts from there.
        let mut periods = ok.map(|(change, end)| (change.at.max(from), end));
        periods.find(|(begin, end)| end > begin && *end - *begin >= lasting).map(|(begin, _)| begin - from)
    }

    /// The changes to a status other than `Ok` from `from` until before `to`.
    pub fn not_ok(&self, from: Duration, to: Duration) -> impl Iterator<Item = &Change> {
        self.0.iter().filter(move |change| change.status != Status::Ok && (from..to).contains(&change.at))
    }
}

/// The response times of an endpoint, and the longest time without an answer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Pace {
    micros: Vec<u32>,
    waiting_since: Option<Duration>,
    longest_wait: Duration,
}

impl Pace {
    /// Adds one probe, from `begin` to `end`.
    pub fn record(&mut self, begin: Duration, end: Duration, answered: bool) {
        self.micros.push(u32::try_from((end - begin).as_micros()).unwrap_or(u32::MAX));
        let since = *self.waiting_since.get_or_insert(begin);
        self.longest_wait = self.longest_wait.max(end - since);
        if answered {
            self.waiting_since = None;
        }
    }

    /// The longest wait for an answer, by a client that retries at once.
    pub fn longest_wait(&self) -> Duration {
        self.longest_wait
    }

    /// How long each probe took, in microseconds, answered or not.
    pub fn micros(&self) -> &[u32] {
        &self.micros
    }
}

/// The 99th percentile of `micros`; zero if there are none.
pub fn p99(micros: impl IntoIterator<Item = u32>) -> Duration {
    let mut sorted: Vec<u32> = micros.into_iter().collect();
    sorted.sort_unstable();
    let index = (sorted.len() * 99).div_ceil(100).saturating_sub(1);
    Duration::from_micros(sorted.get(index).copied().unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// OK from 0, DEGRADED from 12, FAULT from 20, OK from 31.
    fn outage() -> Timeline {
        let mut timeline = Timeline::default();
        for (at, status) in [
            (0, Status::Ok),
            (11, Status::Ok),
            (12, Status::Degraded),
            (15, Status::Degraded),
            (20, Status::Fault),
            (31, Status::Ok),
        ] {
            timeline.record(s(at), status, &format!("said at {at}"));
        }
        timeline
    }

    #[test]
    fn only_changes_are_kept_with_the_first_note() {
        let notes: Vec<_> = outage().changes().iter().map(|change| change.note.clone()).collect();
        assert_eq!(notes, ["said at 0", "said at 12", "said at 20", "said at 31"]);
    }

    #[test]
    fn the_first_alarm_is_counted_from_the_fault() {
        assert_eq!(outage().first(s(10), Status::is_alarm), Some(s(2)));
        assert_eq!(outage().first(s(10), |status| status == Status::Fault), Some(s(10)));
        assert_eq!(outage().first(s(25), |status| status == Status::Ok), Some(s(6)));
    }

    #[test]
    fn a_status_that_is_reached_already_takes_no_time() {
        assert_eq!(outage().first(s(13), Status::is_alarm), Some(s(0)));
        assert_eq!(outage().first(s(12), Status::is_alarm), Some(s(0)));
    }

    #[test]
    fn a_short_ok_is_no_recovery() {
        let mut timeline = outage();
        timeline.record(s(33), Status::Degraded, "");
        timeline.record(s(34), Status::Ok, "");
        timeline.record(s(39), Status::Fault, "");
        assert_eq!(timeline.recovered_after(s(30), s(2)), Some(s(1)));
        assert_eq!(timeline.recovered_after(s(30), s(3)), Some(s(4)));
        assert_eq!(timeline.recovered_after(s(36), s(3)), Some(s(0)));
        assert_eq!(timeline.recovered_after(s(37), s(3)), None);
        assert_eq!(timeline.recovered_after(s(40), s(0)), None);
        assert_eq!(outage().recovered_after(s(30), s(100)), Some(s(1)));
    }

    #[test]
    fn a_status_that_is_never_reached_has_no_time() {
        assert_eq!(outage().first(s(0), |status| status == Status::Silent), None);
        assert_eq!(Timeline::default().first(s(0), Status::is_alarm), None);
    }

    #[test]
    fn an_alarm_belongs_to_the_time_it_begins_in() {
        let timeline = outage();
        assert_eq!(timeline.not_ok(s(0), s(12)).count(), 0);
        assert_eq!(timeline.not_ok(s(12), s(13)).count(), 1);
        assert_eq!(timeline.not_ok(s(13), s(40)).count(), 1);
    }

    #[test]
    fn a_wait_lasts_from_the_first_probe_to_the_next_answer() {
        let mut pace = Pace::default();
        for (begin, end, answered) in
            [(0, 1, true), (10, 11, false), (20, 22, false), (30, 31, true), (40, 41, true)]
        {
            pace.record(s(begin), s(end), answered);
        }
        assert_eq!(pace.longest_wait(), s(21));
    }

    #[test]
    fn a_wait_without_an_answer_lasts_to_the_last_probe() {
        let mut pace = Pace::default();
        pace.record(s(0), s(1), false);
        pace.record(s(8), s(9), false);
        assert_eq!(pace.longest_wait(), s(9));
    }

    #[test]
    fn one_slow_answer_in_a_hundred_does_not_show_in_p99_and_two_do() {
        let mut micros = vec![100; 99];
        micros.push(9000);
        assert_eq!(p99(micros.clone()), Duration::from_micros(100));
        micros.push(9000);
        assert_eq!(p99(micros), Duration::from_micros(9000));
        assert_eq!(p99([]), Duration::ZERO);
    }
}
