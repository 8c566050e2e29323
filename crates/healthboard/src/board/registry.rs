//! The indicators of a service, by slot. They are registered once and never removed. No lock is involved, so a fork at
//! any moment leaves the table consistent.
//!
//! # Orderings
//!
//! - The exchange that puts an entry into the table is `Release`, and the load that finds it is `Acquire`, so the reading
//!   thread sees the complete name and policy.
//! - A thread that registers an indicator stores the entry and then looks for a board; the keeper publishes the board
//!   and then reads the table. A `SeqCst` fence stands between the two steps on both sides, so at least one of them
//!   sees the other's store: every indicator gets its name on the board.

use super::descriptor;
use super::layout::{Board, SLOTS, pack, word};
use super::sync::{AtomicPtr, Ordering, fence, mutant, unless};
use crate::config::Policy;
use Ordering::{Acquire, Relaxed, Release, SeqCst};

/// The number of entries for indicators without a slot on the board. They are kept to be reported.
#[cfg(not(loom))]
const REFUSED: usize = 8;
#[cfg(loom)]
const REFUSED: usize = 1;

/// The number of entries in the table.
const ENTRIES: usize = SLOTS + REFUSED;

/// Every indicator of a service. Index 0 is `progress`; those from [`SLOTS`] on have no slot and record nothing.
pub(crate) struct Registry {
    entries: [AtomicPtr<Entry>; ENTRIES],
}

pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) policy: Policy,
    /// Represents the rest of the entry, which loom does not check: written once when the entry is made.
    #[cfg(loom)]
    pub(crate) contents: loom::cell::UnsafeCell<u64>,
}

impl Entry {
    #[cfg(not(loom))]
    fn new(name: &str, policy: Policy) -> Entry {
        Entry { name: name.to_owned(), policy }
    }

    #[cfg(loom)]
    fn new(name: &str, policy: Policy) -> Entry {
        let contents = loom::cell::UnsafeCell::new(0);
        // SAFETY: no other thread has the entry yet.
        contents.with_mut(|contents| unsafe { *contents = 1 });
        Entry { name: name.to_owned(), policy, contents }
    }
}

impl Registry {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Registry {
        Registry { entries: [const { AtomicPtr::new(std::ptr::null_mut()) }; ENTRIES] }
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Registry {
        Registry { entries: std::array::from_fn(|_| AtomicPtr::new(std::ptr::null_mut())) }
    }

    /// Finds the indicator with this name from index `first` on, or adds it. Returns its index and whether it is new. The
    /// index is that of the end of the table if the table is full.
    ///
    /// After an indicator was added the caller must call [`publish`](Registry::publish).
    pub(crate) fn index_of(&self, name: &str, policy: Policy, first: usize) -> (usize, bool) {
        let mut made: *mut Entry = std::ptr::null_mut();
        let mut index = first;
        let mut is_new = false;
        while index < ENTRIES && !is_new {
            match self.entry(index) {
                Some(entry) if entry.name == name => break,
                Some(_) => {
                    index += 1;
                    continue;
                }
                None => {}
            }
            if made.is_null() {
                made = Box::into_raw(Box::new(Entry::new(name, policy)));
            }
            // Release pairs with the Acquire in `entry`. If another thread was faster, the loop checks its entry next.
            let release = unless("register-without-release", Release);
            if mutant("register-by-store") {
                self.entries[index].store(made, Release);
                return (index, true);
            }
            is_new =
                self.entries[index].compare_exchange(std::ptr::null_mut(), made, release, Relaxed).is_ok();
        }
        if !is_new && !made.is_null() {
            // SAFETY: from Box::into_raw above, and never shared.
            drop(unsafe { Box::from_raw(made) });
        }
        (index, is_new)
    }

    /// The entry at this index, if one is registered.
    pub(crate) fn entry(&self, index: usize) -> Option<&Entry> {
        let entry = self.entries.get(index)?.load(unless("find-without-acquire", Acquire));
        // SAFETY: null, or from Box::into_raw in `index_of` and never freed.
        unsafe { entry.as_ref() }
    }

    /// The names of the indicators without a slot, up to the number that the table keeps.
    pub(crate) fn refused(&self) -> impl Iterator<Item = &str> {
        (SLOTS..ENTRIES).map_while(|index| self.entry(index)).map(|entry| entry.name.as_str())
    }

    /// Writes a new registration to the board, if the board exists by now.
    pub(crate) fn publish(
        &self,
        board: impl FnOnce() -> Option<&'static Board>,
        policy: impl Fn(&Entry) -> Policy,
    ) {
        // Pairs with the fence in `describe`.
        if !mutant("register-without-fence") {
            fence(SeqCst);
        }
        if let Some(board) = board() {
            self.write(board, policy);
        }
    }

    /// Writes the indicators that were registered in the meantime to a newly published board.
    pub(crate) fn describe(&self, board: &Board, policy: impl Fn(&Entry) -> Policy) {
        // Pairs with the fence in `publish`.
        if !mutant("describe-without-fence") {
            fence(SeqCst);
        }
        self.write(board, policy);
    }

    /// Writes all registrations to a board. Any thread may do so at any time: all write the same values.
    pub(crate) fn write(&self, board: &Board, policy: impl Fn(&Entry) -> Policy) {
        let mut used = 0;
        for (index, slot) in board.slots.iter().enumerate() {
            let Some(entry) = self.entry(index) else { break };
            for (word, value) in slot.descriptor.iter().zip(descriptor::encode(&entry.name, &policy(entry))) {
                word.store(value, Relaxed);
            }
            used += 1;
        }
        // Relaxed: a descriptor that is torn in a reader's copy fails its checksum.
        if mutant("used-by-store") {
            board.header[word::USED].store(used, Relaxed);
        } else {
            board.header[word::USED].fetch_max(used, Relaxed);
        }
        if let Some(name) = self.refused().next() {
            let mut words = [0; descriptor::NAME / 8 + 1];
            let last = words.len() - 1;
            pack(name, &mut words[..last]);
            words[last] = super::checksum(&words[..last]);
            for (word, value) in board.header[word::REFUSED_NAME..].iter().zip(words) {
                word.store(value, Relaxed);
            }
            board.header[word::REFUSED].fetch_max(self.refused().count() as u64, Relaxed);
        }
    }
}
