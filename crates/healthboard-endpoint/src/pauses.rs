//! Pauses of the host, such as a suspended machine or a frozen container.
//!
//! During a pause no process could record anything. The holder reads the clock once a second. If much more time has passed,
//! it was paused itself, and it assumes that the other processes were as well. If only this process was paused, another
//! process has taken over and has seen no pause.

use healthboard::Moment;

/// A longer time than this between two reads of the clock, in nanoseconds, counts as a pause. A shorter one is attributed to
/// load.
const PAUSE_AFTER_NS: u64 = 5_000_000_000;

/// The newest pause that this process has seen.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pauses {
    seen_ns: u64,
    resumed_ns: u64,
}

impl Pauses {
    /// The moment of a verdict at `now_ns`. Call this once a second, even without probes.
    pub(crate) fn at(&mut self, now_ns: u64) -> Moment {
        if self.seen_ns != 0 && now_ns.saturating_sub(self.seen_ns) > PAUSE_AFTER_NS {
            self.resumed_ns = now_ns;
        }
        self.seen_ns = now_ns;
        Moment { now_ns, resumed_ns: self.resumed_ns }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn only_a_gap_between_two_calls_is_a_pause() {
        let mut pauses = Pauses::default();
        let mut resumed = |second: u64| pauses.at(second * SECOND).resumed_ns / SECOND;
        assert_eq!([resumed(1000), resumed(1001), resumed(1006)], [0, 0, 0]);
        assert_eq!([resumed(4606), resumed(4607), resumed(4612)], [4606, 4606, 4606]);
        assert_eq!(resumed(4618), 4618);
    }
}
