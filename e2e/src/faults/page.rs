//! Writes `docs/faults.md` from the measurements.

mod details;
mod goals;

use std::time::Duration;

use self::details::details;
use super::{Drained, Outcome, Period, Scenario};

/// The limit for 99 of 100 probes.
const MAX_PROBE_TIME: Duration = Duration::from_millis(50);

/// The whole page. `head` says how and where it was measured.
pub fn page(
    head: &str,
    scenarios: &[Scenario],
    outcomes: &[Outcome],
    periods: &[Period],
    drained: &[Drained],
) -> String {
    let mut text = format!("# Faults\n\n{head}\n");
    text += &goals::of_faults(scenarios, outcomes);
    text += &goals::of_all(scenarios, outcomes, periods);
    text += &goals::of_ends(drained);
    for scenario in scenarios {
        let own: Vec<&Outcome> =
            outcomes.iter().filter(|outcome| outcome.scenario == scenario.name).collect();
        if !own.is_empty() {
            text += &format!("\n## {}\n", scenario.title);
        }
        own.into_iter().for_each(|outcome| text += &details(outcome));
    }
    text
}

pub(super) fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "**no**" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::{Finding, Times, scenarios};
    use crate::watch::{Seen, Status};

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A worker is frozen at 5 s and thawed at 35 s. nova-conductor is DEGRADED `alarm` seconds after the freeze.
    fn outcome(alarm: u64) -> Outcome {
        let times = Times { fault: s(5), repair: s(35), end: s(50) };
        let mut seen = Seen { service: String::from("nova-conductor"), ..Seen::default() };
        for (at, status) in [(0, Status::Ok), (5 + alarm, Status::Degraded), (36, Status::Ok)] {
            seen.ours.record(s(at), status, "process 7 not progressing for 10 s");
        }
        seen.pgrep.record(s(0), Status::Ok, "");
        Outcome {
            scenario: String::from("worker-frozen"),
            mode: String::from("eventlet"),
            lasted: s(30),
            findings: vec![Finding::of(&seen, times, Duration::from_secs(5))],
            impossible: None,
            started_anew: None,
        }
    }

    fn row(alarm: u64) -> String {
        let page = page("head", &scenarios(s(60)), &[outcome(alarm)], &[], &[]);
        let row = page.lines().find(|line| line.contains("worker frozen | DEGRADED"));
        row.unwrap_or_else(|| panic!("the goal is not in\n{page}")).to_owned()
    }

    #[test]
    fn a_goal_is_met_at_its_limit_and_missed_after_it() {
        let head = "| one conductor worker frozen | DEGRADED or worse within | 15.0 s | – |";
        assert_eq!(row(15), format!("{head} 15.0 s (nova-conductor) | yes |"));
        assert_eq!(row(16), format!("{head} 16.0 s (nova-conductor) | **no** |"));
    }

    #[test]
    fn the_results_of_other_checks_are_beside_ours() {
        let page = page("head", &scenarios(s(60)), &[outcome(9)], &[], &[]);
        let row = "| nova-conductor | 9.0 s | – | 1.0 s | – | ok | – | 0 ms |";
        assert!(page.contains(row), "{page}");
    }
}
