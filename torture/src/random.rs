//! Random numbers of low quality.

use std::time::Duration;

/// A xorshift generator.
pub(crate) struct Random(u64);

impl Random {
    /// A different sequence for each process and each start.
    pub(crate) fn new() -> Random {
        Random((healthboard::now_ns() ^ u64::from(std::process::id()) << 32) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// Sleeps for less than this.
    pub(crate) fn sleep(&mut self, less_than: Duration) {
        std::thread::sleep(Duration::from_micros(self.below(less_than.as_micros() as u64)));
    }
}
