//! Whether the holder is frozen, as a process that stands by sees it.
//!
//! No clock of another process is trusted, and nothing that was written before this process began to look. What counts is
//! how long this process has itself seen one and the same beat.

use crate::lock::Beat;
use std::time::Duration;

/// A holder whose beat has not changed for longer than this is frozen.
pub(crate) const FROZEN_AFTER: Duration = Duration::from_secs(3);

/// One look is to come a second after the other. Of what goes by between two looks no more than this counts: whoever comes
/// later than that was kept from running itself, by a pause of the host or by a crowd on it, and so may have been the holder.
const MAX_COUNTED: Duration = Duration::from_millis(1500);

/// What has been seen of the holder so far.
#[derive(Debug, Default)]
pub(crate) struct HolderWatch {
    beat: Option<Beat>,
    looked_ns: u64,
    unchanged: Duration,
}

impl HolderWatch {
    /// Takes note of the newest beat, `None` if it could not be seen. Returns the beat for which the holder counts as frozen.
    ///
    /// To be called once a second. A first look never finds anybody frozen. At [`FROZEN_AFTER`] exactly the holder still works.
    pub(crate) fn look(&mut self, now_ns: u64, beat: Option<Beat>) -> Option<Beat> {
        let since = Duration::from_nanos(now_ns.saturating_sub(self.looked_ns));
        self.looked_ns = now_ns;
        // A look that saw nothing neither counts nor makes the others void.
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

    /// A beat of the lock file, or of another one.
    fn beat(file: &str, time: i64) -> Option<Beat> {
        Some(Beat::At(Identity::named(rustix::fs::CWD, OsStr::new(file)).unwrap(), time, 0))
    }

    /// After how many of these looks, each so many milliseconds after the one before, the holder is frozen.
    fn frozen_at(looks: &[(u64, Option<Beat>)]) -> Option<usize> {
        let mut watch = HolderWatch::default();
        let mut now_ms = 1_000_000;
        looks.iter().position(|(after_ms, beat)| {
            now_ms += after_ms;
            watch.look(now_ms * 1_000_000, *beat).is_some()
        })
    }

    #[test]
    fn frozen_is_who_was_seen_unchanged_for_more_than_three_seconds() {
        let old = beat("/", 7);
        // At 3 s exactly it is not yet.
        assert_eq!(frozen_at(&[(0, old), (1000, old), (1000, old), (1000, old), (1, old)]), Some(4));
        assert_eq!(frozen_at(&[(0, old), (1001, old), (1000, old), (1000, old)]), Some(3));
        // However old the beat was at the first look, and however late that came.
        assert_eq!(frozen_at(&[(3_600_000, old)]), None);
        assert_eq!(frozen_at(&[(3_600_000, old), (1, old)]), None);
    }

    #[test]
    fn any_change_begins_anew() {
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
        assert_eq!(frozen_at(&beats(0, Some(Beat::Missing))), Some(4), "no file for all the time");
    }

    #[test]
    fn a_pause_of_the_observer_counts_for_hardly_more_than_a_look() {
        let old = beat("/", 7);
        // Seen once, then a suspend of an hour: the holder has a second and a half to show that it is back.
        assert_eq!(frozen_at(&[(0, old), (3_600_000, old), (1000, old)]), None);
        assert_eq!(frozen_at(&[(0, old), (3_600_000, old), (1000, old), (1000, old)]), Some(3));
        // An observer that is late every time finds out nevertheless.
        assert_eq!(frozen_at(&[(0, old), (9000, old), (9000, old), (9000, old)]), Some(3));
    }

    #[test]
    fn a_look_that_sees_nothing_proves_nothing() {
        let old = beat("/", 7);
        assert_eq!(frozen_at(&[(0, None), (1000, None), (1000, None), (1000, None), (1000, None)]), None);
        let look = (1000, old);
        assert_eq!(frozen_at(&[look, look, (1000, None), look, look, look]), Some(5));
    }

    #[test]
    fn a_clock_that_seems_to_go_back_does_no_harm() {
        let mut watch = HolderWatch::default();
        for now_ns in [u64::MAX, 0, 5, 0, u64::MAX] {
            assert_eq!(watch.look(now_ns, beat("/", 7)), None);
        }
    }
}
