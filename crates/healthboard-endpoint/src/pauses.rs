//! Pauses of the host: a machine that was suspended, a container that was frozen.
//!
//! Everybody stood still, so nobody's silence means anything. Who serves looks at the clock once a second; when much more
//! has gone by, it has been paused itself, and takes the others to have been, too. Where only this one was, another process
//! has taken over and has seen no pause.

use healthboard::Moment;

/// A look at the clock that comes later than this, in nanoseconds, is a pause; the rest is a busy machine.
const LATE: u64 = 5_000_000_000;

/// The newest pause, seen from within.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pauses {
    seen_ns: u64,
    resumed_ns: u64,
}

impl Pauses {
    /// The moment of a verdict that is given now. To be asked once a second, whether or not there is a probe.
    pub(crate) fn at(&mut self, now_ns: u64) -> Moment {
        if self.seen_ns != 0 && now_ns.saturating_sub(self.seen_ns) > LATE {
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
    fn only_a_gap_between_two_looks_is_a_pause() {
        let mut pauses = Pauses::default();
        let mut resumed = |second: u64| pauses.at(second * SECOND).resumed_ns / SECOND;
        assert_eq!([resumed(1000), resumed(1001), resumed(1006)], [0, 0, 0]);
        assert_eq!([resumed(4606), resumed(4607), resumed(4612)], [4606, 4606, 4606]);
        assert_eq!(resumed(4618), 4618);
    }
}
