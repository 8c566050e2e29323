//! A process's own memory: the table of indicators, and the page on which the board is found.

use super::{Slot, race, race_within, zeroes};
use crate::Policy;
use crate::board::descriptor;
use crate::board::layout::{Board, word};
use crate::board::page::{Claim, Page};
use crate::board::registry::{Entry, Registry};
use crate::board::sync::Ordering::Relaxed;
use loom::cell::UnsafeCell;

impl Board {
    fn new() -> Board {
        Board { header: zeroes(), slots: std::array::from_fn(|_| Slot::new()) }
    }
}

/// The keeper's data behind the page, in a cell that loom checks: written once, before the board is published.
struct KeeperData(UnsafeCell<u64>);

// SAFETY: loom itself checks that no access races with the write.
unsafe impl Sync for KeeperData {}

/// Both threads write the same dozen words of a descriptor; only what each of them sees before matters.
const PREEMPTIONS: Option<usize> = Some(1);

fn policy(entry: &Entry) -> Policy {
    entry.policy
}

fn name_of(board: &Board, index: usize) -> Option<String> {
    // Both threads may have stored the word; this reads the last store.
    let words = board.slots[index].descriptor.iter().map(|word| word.fetch_add(0, Relaxed));
    descriptor::decode(&words.collect::<Vec<_>>()).map(|(name, _)| name)
}

/// A process with a board to publish. Board and `KeeperData` are never freed in a real process; here they are freed
/// when the model has ended.
struct Process {
    registry: Registry,
    page: Page<KeeperData>,
    board: *mut Board,
    data: *mut KeeperData,
}

// SAFETY: the pointers are shared from the start and not changed; their targets are `Sync`.
unsafe impl Send for Process {}
// SAFETY: as above.
unsafe impl Sync for Process {}

impl Process {
    fn new() -> Process {
        Process {
            registry: Registry::new(),
            page: Page::new(),
            board: Box::into_raw(Box::new(Board::new())),
            data: Box::into_raw(Box::new(KeeperData(UnsafeCell::new(0)))),
        }
    }

    fn board(&self) -> &'static Board {
        // SAFETY: freed only when the threads of the model have ended.
        unsafe { &*self.board }
    }

    fn data(&self) -> &'static KeeperData {
        // SAFETY: as above.
        unsafe { &*self.data }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: from Box::into_raw in `new`, and freed here alone.
        unsafe {
            drop(Box::from_raw(self.board));
            drop(Box::from_raw(self.data));
        }
    }
}

/// Mutants: register-without-release, find-without-acquire.
#[test]
fn an_indicator_that_is_found_is_whole() {
    let register = |registry: &Registry| _ = registry.index_of("a", Policy::DEFAULT, 0);
    let find = |registry: &Registry| {
        if let Some(entry) = registry.entry(0) {
            // SAFETY: written once, before the entry was shared.
            assert_eq!(entry.contents.with(|contents| unsafe { *contents }), 1);
        }
    };
    race(Registry::new, register, find, |_, _| {});
}

/// Mutants: register-by-store.
#[test]
fn two_threads_that_register_get_one_indicator_for_each_name() {
    let register = |name| move |registry: &Registry| registry.index_of(name, Policy::DEFAULT, 0);
    race(Registry::new, register("a"), register("a"), |registry, [one, other]| {
        assert_eq!(registry.entry(one.0).unwrap().name, "a");
        assert!(one.0 == other.0 && one.1 != other.1, "{one:?} {other:?}");
    });
    race(Registry::new, register("a"), register("b"), |registry, [one, other]| {
        assert_eq!(registry.entry(one.0).unwrap().name, "a");
        assert_eq!(registry.entry(other.0).unwrap().name, "b");
        assert!(one.1 && other.1);
    });
}

/// Mutants: register-without-fence, describe-without-fence.
#[test]
fn an_indicator_registered_while_the_board_is_made_is_described_on_it() {
    let register = |process: &Process| {
        process.registry.index_of("a", Policy::DEFAULT, 0);
        process.registry.publish(|| process.page.board(), policy);
    };
    // As the keeper does it.
    let make = |process: &Process| {
        process.page.publish(process.board(), 7, process.data());
        process.registry.describe(process.board(), policy);
    };
    race_within(PREEMPTIONS, Process::new, register, make, |process, _| {
        assert_eq!(name_of(process.board(), 0).as_deref(), Some("a"));
    });
}

/// Mutants: used-by-store.
#[test]
fn two_threads_that_describe_leave_the_greater_number_of_slots() {
    let made = || {
        let process = Process::new();
        process.registry.index_of("a", Policy::DEFAULT, 0);
        process
    };
    let register = |process: &Process| {
        process.registry.index_of("b", Policy::DEFAULT, 0);
        process.registry.publish(|| Some(process.board()), policy);
    };
    race_within(
        PREEMPTIONS,
        made,
        register,
        |process| process.registry.describe(process.board(), policy),
        |process, _| {
            assert_eq!(process.board().header[word::USED].fetch_add(0, Relaxed), 2);
        },
    );
}

/// Mutants: board-without-release, board-without-acquire.
#[test]
fn a_thread_that_finds_the_board_finds_its_header_its_id_and_the_keepers_data() {
    let make = |process: &Process| {
        process.board().header[word::PID].store(42, Relaxed);
        // SAFETY: not shared before `publish`.
        process.data().0.with_mut(|data| unsafe { *data = 1 });
        process.page.publish(process.board(), 7, process.data());
    };
    let find = |process: &Process| {
        if let Some(data) = process.page.process() {
            // SAFETY: written once, before the board was published.
            assert_eq!(data.0.with(|data| unsafe { *data }), 1);
        }
        if let Some(board) = process.page.board() {
            assert_eq!((board.header[word::PID].load(Relaxed), process.page.id()), (42, 7));
        }
    };
    race(Process::new, make, find, |_, _| {});
}

/// Mutants: claim-in-two-steps.
#[test]
fn only_one_thread_makes_the_board() {
    let claim = |page: &Page<KeeperData>| matches!(page.claim(), Claim::Yours);
    race(Page::new, claim, claim, |_, [one, other]| assert!(one != other));
}

/// Mutants: go-without-in-two-steps.
#[test]
fn a_published_board_is_used_even_if_no_thread_waits_for_it() {
    let made = || {
        let process = Process::new();
        assert!(matches!(process.page.claim(), Claim::Yours));
        process
    };
    let make = |process: &Process| process.page.publish(process.board(), 7, process.data());
    race(
        made,
        make,
        |process| process.page.go_without(),
        |process, _| {
            // An exchange that fails sees the last store.
            assert!(matches!(process.page.claim(), Claim::Others));
        },
    );
}
