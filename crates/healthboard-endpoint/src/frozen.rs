//! Decides, in a standby, whether the holder is frozen.
//!
//! Only the time during which this process itself has seen the same beat counts. The clocks of other processes do not, and
//! neither does the age of a beat at the first check.

use crate::lock::Beat;
use std::time::Duration;

/// A holder whose beat has not changed for longer than this is frozen.
pub(crate) const FROZEN_AFTER: Duration = Duration::from_secs(3);

/// Checks are made once a second. At most this much of the time between two checks counts: a standby that checks later was
/// itself kept from running, by a pause of the host or by load, and so may the holder have been.
const MAX_COUNTED: Duration = Duration::from_millis(1500);

/// What a standby has seen of the holder so far.
#[derive(Debug, Default)]
pub(crate) struct HolderWatch {
    beat: Option<Beat>,
    checked_ns: u64,
    unchanged: Duration,
}

impl HolderWatch {
    /// Call this once a second with the newest beat, or `None` if it could not be read. Returns that beat if the holder
    /// counts as frozen.
    ///
    /// The first check never finds the holder frozen. At exactly [`FROZEN_AFTER`] it is not frozen yet.
    pub(crate) fn observe(&mut self, now_ns: u64, beat: Option<Beat>) -> Option<Beat> {
        let since = Duration::from_nanos(now_ns.saturating_sub(self.checked_ns));
        self.checked_ns = now_ns;
        // A check without a beat neither counts nor resets the time.
        let beat = beat?;
        if self.beat == Some(beat) {
            self.unchanged += since.min(MAX_COUNTED);
        } else {
            self.beat = Some(beat);
            self.unchanged = Duration::ZERO;
        }
        self.beat.filter(|_| self.unchanged > FROZEN_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Identity;
    use std::ffi::OsStr;

    /// A beat at this time; `file` stands for the lock file, or another one.
    fn beat(file: &str, time: i64) -> Option<Beat> {
        Some(Beat::At(Identity::named(rustix::fs::CWD, OsStr::new(file)).unwrap(), time, 0))
    }

    /// The index of the check at which the holder is frozen. Each check consists of the milliseconds since the previous one
    /// and a beat.
    fn frozen_at(looks: &[(u64, Option<Beat>)]) -> Option<usize> {
        let mut watch = HolderWatch::default();
        let mut now_ms = 1_000_000;
        looks.iter().position(|(after_ms, beat)| {
            now_ms += after_ms;
            watch.observe(now_ms * 1_000_000, *beat).is_some()
        })
    }

    #[test]
    fn a_holder_is_frozen_when_its_beat_was_seen_unchanged_for_more_than_three_seconds() {
        let old = beat("/", 7);
        // At 3 s exactly it is not yet.
        assert_eq!(frozen_at(&[(0, old), (1000, old), (1000, old), (1000, old), (1, old)]), Some(4));
        assert_eq!(frozen_at(&[(0, old), (1001, old), (1000, old), (1000, old)]), Some(3));
        // The age of the beat at the first check does not count.
        assert_eq!(frozen_at(&[(3_600_000, old)]), None);
        assert_eq!(frozen_at(&[(3_600_000, old), (1, old)]), None);
    }

    #[test]
    fn any_change_restarts_the_time() {
        let steps = [0, 1000, 1000, 1000, 1000, 1000, 1000, 1000];
        let beats = |at: usize, other| {
            let looks = steps.iter().enumerate();
            looks.map(|(i, ms)| (*ms, if i < at { beat("/", 7) } else { other })).collect::<Vec<_>>()
        };
        assert_eq!(frozen_at(&beats(8, None)), Some(4));
        assert_eq!(frozen_at(&beats(3, beat("/", 8))), Some(7), "a beat");
        assert_eq!(frozen_at(&beats(3, beat("/", 6))), Some(7), "a beat, by a clock that was set back");
        assert_eq!(frozen_at(&beats(3, beat("/proc", 7))), Some(7), "another holder's file");
        assert_eq!(frozen_at(&beats(3, Some(Beat::Missing))), Some(7), "no file");
        assert_eq!(frozen_at(&beats(0, Some(Beat::Missing))), Some(4), "no file all the time");
    }

    #[test]
    fn a_pause_of_the_standby_counts_for_little_more_than_one_check() {
        let old = beat("/", 7);
        // Seen once, then a suspend of an hour: the holder has another second and a half for a beat.
        assert_eq!(frozen_at(&[(0, old), (3_600_000, old), (1000, old)]), None);
        assert_eq!(frozen_at(&[(0, old), (3_600_000, old), (1000, old), (1000, old)]), Some(3));
        // A standby that is late every time detects it nevertheless.
        assert_eq!(frozen_at(&[(0, old), (9000, old), (9000, old), (9000, old)]), Some(3));
    }

    #[test]
    fn a_check_without_a_beat_proves_nothing() {
        let old = beat("/", 7);
        assert_eq!(frozen_at(&[(0, None), (1000, None), (1000, None), (1000, None), (1000, None)]), None);
        let look = (1000, old);
        assert_eq!(frozen_at(&[look, look, (1000, None), look, look, look]), Some(5));
    }

    #[test]
    fn a_clock_that_seems_to_go_back_does_no_harm() {
        let mut watch = HolderWatch::default();
        for now_ns in [u64::MAX, 0, 5, 0, u64::MAX] {
            assert_eq!(watch.observe(now_ns, beat("/", 7)), None);
        }
    }
}
