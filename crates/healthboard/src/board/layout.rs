//! The file format: a header of 1 KiB and 32 slots of 1 KiB, in words of 64 bits and the machine's byte order.

use super::slot::Slot;
use super::sync::{AtomicU64, Ordering::Relaxed};

/// Indicators a board has room for; the first is `progress`.
pub(crate) const SLOTS: usize = 32;

/// Bytes of a header, and of a slot.
pub(crate) const BLOCK: usize = 1024;

/// Bytes of a board.
pub(crate) const SIZE: usize = BLOCK * (1 + SLOTS);

/// Bytes of a service's name; longer ones are cut.
pub(crate) const SERVICE: usize = 64;

/// `HEALTHBD`, read in the machine's byte order.
pub(crate) const MAGIC: u64 = u64::from_be_bytes(*b"HEALTHBD");

/// The version of this layout: its own number, not the package's.
pub(crate) const LAYOUT: u64 = 1;

/// Reads differently on a machine of the other byte order.
pub(crate) const BYTE_ORDER: u64 = 0x0102_0304_0506_0708;

/// Where each word of the header is.
pub(crate) mod word {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const BYTE_ORDER: usize = 1;
    pub(crate) const LAYOUT: usize = 2;
    pub(crate) const SIZE: usize = 3;
    pub(crate) const BOOT_ID: usize = 4;
    /// The pid, and in the high half that of the process it was forked by, if health started there.
    pub(crate) const PID: usize = 6;
    pub(crate) const STARTED_NS: usize = 7;
    pub(crate) const TTL_NS: usize = 8;
    pub(crate) const SERVICE: usize = 9;
    /// Over all words before it.
    pub(crate) const CHECKSUM: usize = 17;
    // From here on written while the board is in use.
    pub(crate) const PHASE: usize = 24;
    pub(crate) const USED: usize = 25;
    pub(crate) const EXHAUSTED: usize = 26;
    /// Not zero once the process has said that it only watches over those that it forks.
    pub(crate) const WATCHES: usize = 27;
}

/// What a process has said of itself, in `word::PHASE`.
pub(crate) mod phase {
    pub(crate) const RUNNING: u64 = 0;
    pub(crate) const DRAINING: u64 = 1;
    pub(crate) const GOODBYE: u64 = 2;
}

/// A board in memory, mapped or not: nothing but atomics.
#[repr(C, align(64))]
pub(crate) struct Board {
    pub(crate) header: [AtomicU64; BLOCK / 8],
    pub(crate) slots: [Slot; SLOTS],
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Slot>() == BLOCK && size_of::<Board>() == SIZE);

/// What is written once.
pub(crate) struct Fixed<'a> {
    pub(crate) service: &'a str,
    pub(crate) boot_id: [u64; 2],
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) started_ns: u64,
    pub(crate) ttl_ns: u64,
}

impl Board {
    /// Every word, in the order of the file.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: `Board` is `repr(C)`, SIZE bytes long, without padding, and nothing but `AtomicU64`.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), SIZE / 8) }
    }

    /// Fills the header of a board that nobody else sees yet.
    pub(crate) fn write_header(&self, fixed: &Fixed<'_>) {
        let mut words = [0; word::CHECKSUM];
        words[word::MAGIC] = MAGIC;
        words[word::BYTE_ORDER] = BYTE_ORDER;
        words[word::LAYOUT] = LAYOUT;
        words[word::SIZE] = SIZE as u64;
        words[word::BOOT_ID..word::BOOT_ID + 2].copy_from_slice(&fixed.boot_id);
        words[word::PID] = u64::from(fixed.parent) << 32 | u64::from(fixed.pid);
        words[word::STARTED_NS] = fixed.started_ns;
        words[word::TTL_NS] = fixed.ttl_ns;
        let mut name = [0; SERVICE];
        let service = &fixed.service.as_bytes()[..fixed.service.floor_char_boundary(SERVICE)];
        name[..service.len()].copy_from_slice(service);
        for (word, chunk) in words[word::SERVICE..].iter_mut().zip(name.chunks_exact(8)) {
            *word = u64::from_ne_bytes(chunk.try_into().unwrap_or_default());
        }
        for (word, value) in self.header.iter().zip(words) {
            word.store(value, Relaxed);
        }
        self.header[word::CHECKSUM].store(checksum(&words), Relaxed);
    }
}

/// The checksum of the words before [`word::CHECKSUM`].
pub(crate) fn checksum(words: &[u64]) -> u64 {
    words.iter().fold(super::SEED, |sum, word| super::mix(sum, *word))
}
