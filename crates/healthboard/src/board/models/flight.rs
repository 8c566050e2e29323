//! Operations in flight: begun, ended, abandoned.

use super::{LONG, T, World, race};
use crate::board::slot::{BEGUN, Cell};
use crate::read::Abandoned;

fn begin_end_and_begin(world: &World) -> Cell {
    let cell = world.slot.begin_at(T, 0);
    world.slot.end(cell);
    world.slot.begin_at(2 * T, 0)
}

/// Mutants: begin-without-exchange.
#[test]
fn two_threads_never_begin_in_one_cell() {
    let begin = |world: &World| {
        let cell = world.slot.begin_at(T, 0);
        assert!((1..=2).contains(&world.read().in_flight));
        cell
    };
    race(World::new, begin_end_and_begin, begin, |world, cells| {
        assert_eq!(world.read_last().in_flight, 2);
        cells.into_iter().for_each(|cell| world.slot.end(cell));
        assert_eq!(world.read_last().in_flight, 0);
    });
}

/// Mutants: beyond-in-two-steps, end-beyond-in-two-steps.
#[test]
fn operations_that_find_no_cell_are_all_counted() {
    let made = || World::after(|world| (0..BEGUN).for_each(|_| _ = world.slot.begin_at(T, 0)));
    race(made, begin_end_and_begin, begin_end_and_begin, |world, cells| {
        assert_eq!(world.read_last().in_flight, BEGUN as u32 + 2);
        cells.into_iter().for_each(|cell| world.slot.end(cell));
        assert_eq!(world.read_last().in_flight, BEGUN as u32);
    });
}

/// Mutants: abandoned-run-outlives-an-end.
#[test]
fn an_end_beside_an_abandoned_operation_begins_a_new_run() {
    let made = || World::after(|world| world.abandon(1, 2, LONG));
    race(
        made,
        |world| world.ok(3),
        |world| world.abandon(4, 5, LONG),
        |world, _| {
            // The operation above may not have seen the end; this one does.
            world.abandon(6, 7, LONG);
            let run = world.read_last().abandoned.unwrap();
            assert!(run.since_ns >= 4 * T && run.until_ns == 7 * T, "{run:?}");
        },
    );
}

/// Mutants: abandoned-since-its-begin.
#[test]
fn an_operation_that_began_before_the_newest_end_does_not_hide_the_run() {
    let made = || {
        World::after(|world| {
            world.ok(3);
            world.abandon(4, 5, LONG);
        })
    };
    let read = |world: &World| {
        let seen = world.read().abandoned.unwrap();
        assert!(seen.since_ns >= 3 * T && seen.until_ns >= 5 * T, "{seen:?}");
    };
    race(
        made,
        |world| world.abandon(2, 6, LONG),
        read,
        |world, _| {
            let run = Abandoned { since_ns: 3 * T, until_ns: 6 * T };
            assert_eq!(world.read_last().abandoned, Some(run));
        },
    );
}

/// Mutants: abandoned-run-spans-a-gap.
#[test]
fn abandoned_operations_far_apart_are_no_run() {
    let made = || World::after(|world| world.abandon(1, 1, 1));
    race(
        made,
        |world| world.abandon(5, 5, 1),
        |world| _ = world.read(),
        |world, _| {
            assert_eq!(world.read_last().abandoned, Some(Abandoned { since_ns: 5 * T, until_ns: 5 * T }));
        },
    );
}

/// Mutants: abandoned-is-an-end.
#[test]
fn an_abandoned_operation_is_a_failure_and_no_end() {
    let read = |world: &World| assert_eq!(world.read().last_end_ns, None);
    race(
        World::new,
        |world| world.abandon(1, 5, 2),
        read,
        |world, _| {
            let end = world.read_last();
            assert_eq!((end.failures, end.last_end_ns), (1, None));
        },
    );
}
