//! The file format: a header of 1 KiB and 32 slots of 1 KiB, in words of 64 bits in the machine's byte order.

use super::slot::Slot;
use super::sync::{AtomicU64, Ordering::Relaxed};

/// The number of indicators that a board has room for. The first is `progress`.
#[cfg(not(loom))]
pub(crate) const SLOTS: usize = 32;
#[cfg(loom)]
pub(crate) const SLOTS: usize = 2;

/// Bytes of the header, and of a slot.
pub(crate) const BLOCK: usize = 1024;

/// Bytes of a board.
pub(crate) const SIZE: usize = BLOCK * (1 + SLOTS);

/// `HEALTHBD`, read in the machine's byte order.
pub(crate) const MAGIC: u64 = u64::from_be_bytes(*b"HEALTHBD");

/// The version of this layout. It is independent of the package's version.
pub(crate) const LAYOUT: u64 = 2;

/// Tells the byte order: a machine of the other byte order reads a different value.
pub(crate) const BYTE_ORDER: u64 = 0x0102_0304_0506_0708;

/// Where each word of the header is.
pub(crate) mod word {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const BYTE_ORDER: usize = 1;
    pub(crate) const LAYOUT: usize = 2;
    pub(crate) const SIZE: usize = 3;
    pub(crate) const BOOT_ID: usize = 4;
    pub(crate) const PID: usize = 6;
    pub(crate) const STARTED_NS: usize = 7;
    /// For how long a death without goodbye counts, in nanoseconds.
    pub(crate) const TTL_NS: usize = 8;
    /// A number that no other board has, in any pid namespace.
    pub(crate) const ID: usize = 9;
    /// The id of the board of the process that forked this one, if health ran there; else 0.
    pub(crate) const PARENT_ID: usize = 10;
    /// When the process with this pid began, in clock ticks since the boot. `exec` changes neither.
    pub(crate) const PID_SINCE: usize = 11;
    pub(crate) const SERVICE: usize = 12;
    /// The checksum of all words before it.
    pub(crate) const CHECKSUM: usize = 20;
    // The words from here on are written while the board is in use.
    pub(crate) const PHASE: usize = 24;
    pub(crate) const USED: usize = 25;
    /// Not zero once the process has said that it only watches over the processes it forks.
    pub(crate) const WATCHES: usize = 26;
    /// When the process said goodbye; 0 if it has not.
    pub(crate) const GOODBYE_NS: usize = 27;
    /// When its keeper last checked the board.
    pub(crate) const KEPT_NS: usize = 28;
    /// The number of indicators for which there was no slot.
    pub(crate) const REFUSED: usize = 29;
    /// The name of the first of them, and its checksum.
    pub(crate) const REFUSED_NAME: usize = 32;
}

/// The values of `word::PHASE`: what the process has announced about itself. 0 means nothing so far.
pub(crate) mod phase {
    pub(crate) const DRAINING: u64 = 1;
    pub(crate) const GOODBYE: u64 = 2;
}

/// A board in memory, mapped from a file or not. It consists of atomics only.
#[repr(C, align(64))]
pub(crate) struct Board {
    pub(crate) header: [AtomicU64; BLOCK / 8],
    pub(crate) slots: [Slot; SLOTS],
}

const _: () = assert!(crate::config::MAX_SERVICE_NAME == (word::CHECKSUM - word::SERVICE) * 8);
#[cfg(not(loom))]
const _: () = assert!(size_of::<Slot>() == BLOCK && size_of::<Board>() == SIZE);

/// The content of the header words that are written once.
#[derive(Clone)]
pub(crate) struct Fixed {
    pub(crate) service: String,
    pub(crate) boot_id: [u64; 2],
    pub(crate) pid: u32,
    pub(crate) pid_since: u64,
    pub(crate) started_ns: u64,
    pub(crate) ttl_ns: u64,
    pub(crate) id: u64,
    pub(crate) parent_id: u64,
}

impl Fixed {
    /// The words of the header up to and including its checksum.
    pub(crate) fn words(&self) -> [u64; word::CHECKSUM + 1] {
        let mut words = [0; word::CHECKSUM + 1];
        words[word::MAGIC] = MAGIC;
        words[word::BYTE_ORDER] = BYTE_ORDER;
        words[word::LAYOUT] = LAYOUT;
        words[word::SIZE] = SIZE as u64;
        words[word::BOOT_ID..word::BOOT_ID + 2].copy_from_slice(&self.boot_id);
        words[word::PID] = u64::from(self.pid);
        words[word::PID_SINCE] = self.pid_since;
        words[word::STARTED_NS] = self.started_ns;
        words[word::TTL_NS] = self.ttl_ns;
        words[word::ID] = self.id;
        words[word::PARENT_ID] = self.parent_id;
        pack(&self.service, &mut words[word::SERVICE..word::CHECKSUM]);
        words[word::CHECKSUM] = super::checksum(&words[..word::CHECKSUM]);
        words
    }
}

impl Board {
    /// Every word, in the order of the file.
    #[cfg(not(loom))]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        // SAFETY: `Board` is `repr(C)`, SIZE bytes long, without padding, and nothing but `AtomicU64`.
        unsafe { std::slice::from_raw_parts(std::ptr::from_ref(self).cast(), SIZE / 8) }
    }

    /// Fills the header of a board that is not published yet.
    pub(crate) fn write_header(&self, fixed: &Fixed) {
        for (word, value) in self.header.iter().zip(fixed.words()) {
            word.store(value, Relaxed);
        }
    }
}

/// Stores a text in these words, padded with NUL bytes. A longer text is cut at a character boundary.
pub(crate) fn pack(text: &str, words: &mut [u64]) {
    let text = &text.as_bytes()[..text.floor_char_boundary(words.len() * 8)];
    words.fill(0);
    for (word, chunk) in words.iter_mut().zip(text.chunks(8)) {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_ne_bytes(bytes);
    }
}

/// The text in these words up to the first NUL, without control characters.
pub(crate) fn unpack(words: &[u64]) -> String {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).take_while(|b| *b != 0).collect();
    crate::scrub::printable(&String::from_utf8_lossy(&bytes))
}
