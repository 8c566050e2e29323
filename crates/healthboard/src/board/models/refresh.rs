//! Which failures the success of a refresh clears.

use super::{T, World, race};

/// Mutants: tag-without-refresh.
#[test]
fn a_streak_from_before_a_refresh_is_never_taken_for_the_present_one() {
    let made = || {
        World::after(|world| {
            world.fail(1);
            world.refreshed(2);
        })
    };
    let read = |world: &World| {
        let seen = world.read();
        assert!(seen.failures == 0 || seen.failing_since_ns.is_none_or(|since| since == 3 * T));
    };
    race(made, |world| world.fail(3), read, |_, _| {});
}

/// Mutants: refresh-clears-newer.
#[test]
fn a_refresh_clears_no_newer_failure() {
    let made = || World::after(|world| world.fail(1));
    race(
        made,
        |world| world.refreshed(2),
        |world| world.fail(3),
        |world, _| {
            let end = world.read_last();
            assert!((1..=2).contains(&end.failures));
            assert_eq!(end.last_success_ns, Some(2 * T));
        },
    );
}

/// Mutants: orphaned-streak-stays.
#[test]
fn failures_after_a_refresh_that_raced_with_a_failure_are_a_streak_again() {
    let made = || World::after(|world| world.fail(1));
    race(
        made,
        |world| world.refreshed(2),
        |world| world.fail(3),
        |world, _| {
            world.fail(4);
            let end = world.read_last();
            assert!(end.failures == 0 || end.failing_since_ns.is_some());
        },
    );
}

/// Mutants: refresh-clears-work-failure.
#[test]
fn a_refresh_clears_no_failure_that_only_work_clears() {
    race(
        World::new,
        |world| world.refreshed(3),
        |world| world.fail_by_work(2),
        |world, _| {
            assert_eq!(world.read_last().failures, 1);
        },
    );
}

/// Mutants: ineffective-refresh-changes-the-tag.
#[test]
fn a_refresh_that_clears_nothing_leaves_the_streak_as_it_is() {
    let made = || World::after(|world| world.fail_by_work(1));
    let read = |world: &World| assert_eq!(world.read().failing_since_ns, Some(T));
    race(
        made,
        |world| world.refreshed(2),
        read,
        |world, _| {
            let end = world.read_last();
            assert_eq!((end.failing_since_ns, end.last_success_ns), (Some(T), Some(2 * T)));
        },
    );
}

/// Mutants: refresh-is-an-end.
#[test]
fn a_refresh_is_no_end_of_the_works_operations() {
    let made = || World::after(|world| _ = world.slot.begin_at(T, 0));
    let refresh = |world: &World| {
        world.slot.begin_refresh_at(2 * T);
        world.refreshed(3);
        world.slot.end_refresh();
    };
    let read = |world: &World| {
        let seen = world.read();
        assert_eq!((seen.last_end_ns, seen.oldest_ns), (None, Some(T)));
    };
    race(made, refresh, read, |world, _| {
        let end = world.read_last();
        assert_eq!((end.last_end_ns, end.in_flight, end.last_success_ns), (None, 1, Some(3 * T)));
    });
}
