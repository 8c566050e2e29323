//! Counts what happens often, for the log.

use super::LINES_PER;
use std::time::Instant;

/// How many there were when it was last logged.
#[derive(Default)]
pub(super) struct Tally {
    said: u64,
    since: Option<Instant>,
}

impl Tally {
    /// How many to log now, if there were `total` so far: the first at once, those after it as a sum every [`LINES_PER`].
    pub(super) fn due(&mut self, total: u64, now: Instant) -> Option<u64> {
        if self.since.is_some_and(|since| now < since + LINES_PER) {
            return None;
        }
        let new = self.rest(total)?;
        self.since = Some(now);
        Some(new)
    }

    /// How many were not logged yet, if any. They count as logged from now on.
    pub(super) fn rest(&mut self, total: u64) -> Option<u64> {
        // Without users the count begins again.
        let new = total.saturating_sub(self.said);
        self.said = total;
        (new > 0).then_some(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_first_is_logged_at_once_and_the_others_as_a_sum() {
        let (mut tally, now) = (Tally::default(), Instant::now());
        let mut due = |total, seconds| tally.due(total, now + Duration::from_secs(seconds));
        assert_eq!(due(0, 0), None);
        assert_eq!(due(2, 1), Some(2));
        let said: Vec<u64> = (2..3000).filter_map(|second| due(second, second)).collect();
        assert_eq!(said, [599, 600, 600, 600]);
        assert_eq!(due(2999, 3001), Some(598));
        assert_eq!(due(2999, 9000), None);
        assert_eq!(due(3000, 9001), Some(1), "after a while without any it is logged at once");
    }
}
