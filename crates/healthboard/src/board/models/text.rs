//! The text of a failure, and the lock under which it is written.

use super::{World, race, race_within};

/// Eight bytes each, so that class and text are each a word of their own.
const TEXTS: [&str; 3] = ["aaaaaaaa", "bbbbbbbb", "cccccccc"];

/// A text is a dozen stores. A reader can see every mixture of them after one preemption of the writer, since its loads
/// are relaxed.
const PREEMPTIONS: Option<usize> = Some(1);

/// Two failures have been recorded; the third overwrites the text of the first.
fn two_texts() -> World {
    World::after(|world| {
        world.fail_with(1, TEXTS[0]);
        world.fail_with(2, TEXTS[1]);
    })
}

/// Mutants: lock-without-acquire, lock-without-release, lock-without-exclusion.
#[test]
fn of_two_failures_at_once_both_are_counted_and_the_later_text_has_the_greater_number() {
    race(
        World::new,
        |world| world.fail_with(1, TEXTS[0]),
        |world| world.fail_with(1, TEXTS[1]),
        |world, _| {
            assert_eq!(world.read_last().failures, 2);
            let [one, other] = [world.slot.texts[0].number(), world.slot.texts[1].number()];
            assert_eq!(one.max(other), 2);
        },
    );
}

/// Mutants: one-text-buffer.
#[test]
fn while_a_text_is_written_the_one_before_is_read() {
    let read = |world: &World| assert!(world.read().error.is_some());
    race_within(
        PREEMPTIONS,
        two_texts,
        |world| world.fail_with(3, TEXTS[2]),
        read,
        |world, _| {
            assert_eq!(world.read_last().error.map(|error| error.class).as_deref(), Some(TEXTS[2]));
        },
    );
}

/// Mutants: text-without-checksum.
#[test]
fn a_torn_text_is_never_read() {
    let read = |world: &World| {
        let seen = world.read().error.unwrap_or_default();
        assert_eq!(seen.class, seen.text);
    };
    race_within(PREEMPTIONS, two_texts, |world| world.fail_with(3, TEXTS[2]), read, |_, _| {});
}
