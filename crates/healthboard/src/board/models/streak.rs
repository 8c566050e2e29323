//! Streaks of failures, and what ends them.

use super::{T, World, race};

/// Mutants: tag-without-success.
#[test]
fn a_streak_from_before_a_success_is_never_taken_for_the_present_one() {
    let made = || {
        World::after(|world| {
            world.fail(1);
            world.ok(2);
        })
    };
    let read = |world: &World| {
        let seen = world.read();
        assert!(seen.failures == 0 || seen.failing_since_ns.is_none_or(|since| since == 3 * T));
    };
    race(
        made,
        |world| world.fail(3),
        read,
        |world, _| {
            let end = world.read_last();
            assert_eq!((end.failures, end.failing_since_ns), (1, Some(3 * T)));
        },
    );
}

/// Mutants: streak-restarts.
#[test]
fn a_streak_lasts_from_its_first_failure() {
    let made = || World::after(|world| world.fail(1));
    let read = |world: &World| assert_eq!(world.read().failing_since_ns, Some(T));
    race(
        made,
        |world| world.fail(2),
        read,
        |world, _| {
            let end = world.read_last();
            assert_eq!((end.failures, end.failing_since_ns, end.last_failure_ns), (2, Some(T), Some(2 * T)));
        },
    );
}

/// Mutants: failure-by-store.
#[test]
fn a_success_is_never_lost_to_a_failure_at_the_same_time() {
    let made = || World::after(|world| world.ok(1));
    race(
        made,
        |world| world.ok(3),
        |world| world.fail(2),
        |world, _| {
            let end = world.read_last();
            assert_eq!(end.last_success_ns, Some(3 * T));
            assert!(end.failures == 0 || end.failing_since_ns == Some(2 * T));
        },
    );
}

/// Mutants: success-compared-by-stamp.
#[test]
fn a_success_in_the_tick_of_a_failure_ends_the_streak() {
    let made = || World::after(|world| world.ok(1));
    race(
        made,
        |world| world.fail(1),
        |world| _ = world.read(),
        |world, _| {
            world.ok(1);
            let end = world.read_last();
            assert_eq!((end.failures, end.last_success_ns), (0, Some(T)));
        },
    );
}
