//! The recent changes of a service and its indicators, for a page.

use super::page::{Shown, clock};
use healthboard::{Change, Report, printable};
use std::cmp::Reverse;

/// The most changes that are listed.
const MAX_CHANGES: usize = 40;

pub(super) struct Changes {
    pub(super) lines: Vec<Line>,
    pub(super) caption: String,
}

/// What changed at one moment: an indicator, the service, or the service because of the indicator.
pub(super) struct Line {
    pub(super) time: String,
    pub(super) indicator: String,
    pub(super) now: Option<Shown>,
    pub(super) state: &'static str,
    pub(super) service: Option<Shown>,
    pub(super) cause: String,
}

struct Event<'a> {
    /// How many newer changes there are of the same indicator, or of the service.
    newer: usize,
    indicator: Option<(&'a str, &'a Change)>,
    service: Option<&'a Change>,
}

impl<'a> Event<'a> {
    fn change(&self) -> Option<&'a Change> {
        self.indicator.map(|(_, change)| change).or(self.service)
    }

    fn at_ms(&self) -> u64 {
        self.change().map_or(0, |change| change.at_ms)
    }

    /// Whether this is why the service changed.
    fn explains(&self, service: &Change) -> bool {
        self.service.is_none()
            && self.change().is_some_and(|change| {
                (change.at_ms, change.status) == (service.at_ms, service.status)
                    && service.cause.contains(&change.cause)
            })
    }

    fn line(&self) -> Option<Line> {
        let change = self.change()?;
        let (name, state) = match self.indicator {
            Some((name, change)) => (printable(name), change.state.map_or("", |state| state.name())),
            None => (String::new(), ""),
        };
        Some(Line {
            time: clock(change.time()),
            indicator: name,
            now: self.indicator.map(|(_, change)| Shown::of(change.status, change.state)),
            state,
            service: self.service.map(|change| Shown::of(change.status, None)),
            // `progress` has none of its own.
            cause: printable(match (self.service, change.cause.is_empty()) {
                (Some(service), true) => &service.cause,
                _ => &change.cause,
            }),
        })
    }
}

impl Changes {
    pub(super) fn of(report: &Report) -> Changes {
        let mut events = Vec::new();
        for (name, changes) in &report.history.indicators {
            let newest_first = changes.iter().rev().enumerate();
            events.extend(newest_first.map(|(newer, change)| Event {
                newer,
                indicator: Some((name, change)),
                service: None,
            }));
        }
        for (newer, change) in report.history.service.iter().rev().enumerate() {
            match events.iter_mut().find(|event| event.explains(change)) {
                Some(event) => event.service = Some(change),
                None => events.push(Event { newer, indicator: None, service: Some(change) }),
            }
        }
        let found = events.len();
        // Nothing that changes often pushes out the others.
        events.sort_by_key(|event| (event.newer, Reverse(event.at_ms())));
        events.truncate(MAX_CHANGES);
        events.sort_by_key(|event| Reverse((event.at_ms(), event.change().map(|change| change.status))));
        let caption = match found {
            0..=MAX_CHANGES => "The newest first, in UTC".to_owned(),
            _ => format!("{MAX_CHANGES} of {found}, in UTC; left out are older ones of what changes most"),
        };
        Changes { lines: events.iter().filter_map(Event::line).collect(), caption }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report;
    use healthboard::{Detail, History, PROGRESS, State, Status};
    use std::sync::Arc;
    use std::time::Duration;

    /// The history of these reports, a second apart.
    fn changes(reports: impl Iterator<Item = Report>) -> Changes {
        let mut history = Arc::default();
        for (second, mut report) in reports.enumerate() {
            report.time += Duration::from_secs(second as u64);
            History::observe(&mut history, &report);
        }
        Changes::of(&Report { history, ..report(Status::Ok) })
    }

    #[test]
    fn an_event_is_told_once() {
        let all = changes([Status::Degraded, Status::Fault, Status::Ok].map(report).into_iter());
        let told = all.lines.iter().map(|line| {
            let words = [&line.now, &line.service].map(|shown| shown.as_ref().map_or("", |shown| shown.word));
            (line.indicator.as_str(), words[0], words[1])
        });
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ("message_bus", "OK", "OK"),
                ("message_bus", "FAULT", "FAULT"),
                ("message_bus", "DEGRADED", "DEGRADED"),
            ]
        );
        assert!(!all.caption.contains(" of "), "{}", all.caption);
    }

    #[test]
    fn a_change_of_the_service_for_another_reason_has_a_line_of_its_own() {
        let mut dead = report(Status::Fault);
        dead.details.clear();
        dead.message = "no process is alive".to_owned();
        let all = changes([report(Status::Degraded), dead].into_iter());
        assert_eq!(all.lines.len(), 2);
        assert_eq!((&*all.lines[0].indicator, &*all.lines[0].cause), ("", "no process is alive"));
        assert!(all.lines[0].now.is_none() && all.lines[0].service.is_some());
    }

    #[test]
    fn what_made_the_service_change_is_the_indicator_with_the_same_status() {
        let mut hung = report(Status::Degraded);
        hung.status = Status::Fault;
        hung.message = format!("not progressing for 2 min; {}", hung.message);
        let progress =
            Detail { status: Status::Fault, state: State::Stale, ..hung.details["database"].clone() };
        hung.details.insert(PROGRESS.to_owned(), progress);
        let all = changes([hung.clone()].into_iter());
        let told = all.lines.iter().map(|line| (line.indicator.as_str(), line.service.is_some()));
        assert_eq!(told.collect::<Vec<_>>(), [(PROGRESS, true), ("message_bus", false)]);
        assert_eq!(all.lines[0].cause, hung.message);
    }

    #[test]
    fn an_indicator_that_flaps_pushes_out_no_other() {
        let flapping = (0..100).map(|number| {
            let mut report = report(if number % 2 == 0 { Status::Ok } else { Status::Degraded });
            if number == 0 {
                for number in 0..20 {
                    let failing = crate::testing::report(Status::Degraded).details["message_bus"].clone();
                    report.details.insert(format!("other_{number}"), failing);
                }
            }
            report
        });
        let all = changes(flapping);
        assert_eq!(all.lines.len(), MAX_CHANGES);
        for number in 0..20 {
            let name = format!("other_{number}");
            assert!(all.lines.iter().any(|line| line.indicator == name), "{name} is not listed");
        }
        assert!(all.caption.contains("40 of "), "{}", all.caption);
    }
}
