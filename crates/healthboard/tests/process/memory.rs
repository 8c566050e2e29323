//! The recording interface, on a service in memory with a clock that the test moves.

use healthboard::{
    Clock, ErrorDetail, Failure, Indicator, Operation, Outcome, Policy, Service, State, Status,
};
use std::io::{Error, ErrorKind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

struct World {
    clock: Clock,
    health: healthboard::Handle,
    database: Indicator,
}

fn world() -> World {
    let clock = Clock::new();
    let health = Service::builder("memory").error_detail(ErrorDetail::Message).in_memory(&clock);
    let database = health.indicator("database", Policy::DEFAULT);
    World { clock, health, database }
}

impl World {
    fn after(&self, seconds: u64) -> (Status, State) {
        self.clock.advance(Duration::from_secs(seconds));
        let report = self.health.report();
        (report.status, report.details["database"].state)
    }
}

#[test]
fn time_is_that_of_the_tests_clock() {
    let world = world();
    assert_eq!(world.after(0), (Status::Ok, State::Unknown));
    world.database.record_ok();
    assert_eq!(world.after(299), (Status::Ok, State::Passing));
    assert_eq!(world.after(2), (Status::Degraded, State::Stale));
    world.database.record_fail(&Failure::new("Gone"));
    assert_eq!(world.after(10), (Status::Degraded, State::Transient), "silence makes nothing worse");
    world.database.record_fail(&Failure::new("Gone"));
    assert_eq!(world.after(0), (Status::Fault, State::Failing));
    assert_eq!(world.health.report().message, "database: Gone, 2 failures in 10 s, last success 5 min ago");
}

#[test]
fn one_hanging_operation_is_seen_while_many_others_end() {
    let world = world();
    let hanging = world.database.begin();
    for _ in 0..30 {
        world.clock.advance(Duration::from_secs(2));
        world.database.begin().ok();
    }
    assert_eq!(world.after(0), (Status::Ok, State::Passing));
    world.clock.advance(Duration::from_secs(1));
    world.database.begin().ok();
    assert_eq!(world.after(0), (Status::Degraded, State::Stuck));
    assert_eq!(world.after(59), (Status::Degraded, State::Stuck));
    assert_eq!(world.after(2), (Status::Fault, State::Stalled));
    hanging.ok();
    assert_eq!(world.after(0), (Status::Ok, State::Passing));
}

#[test]
fn thirty_two_ages_are_known_and_more_are_counted() {
    let world = world();
    let mut operations: Vec<Operation> = (0..40).map(|_| world.database.begin()).collect();
    assert_eq!(world.health.report().details["database"].in_flight, 40);
    operations.drain(..20).for_each(Operation::ok);
    assert_eq!(world.health.report().details["database"].in_flight, 20);
    operations.into_iter().for_each(Operation::no_evidence);
    assert_eq!(world.health.report().details["database"].in_flight, 0);
}

#[test]
fn a_hanging_operation_is_noticed_after_32_others_took_the_known_ages_and_were_abandoned() {
    let world = world();
    let burst = || -> Vec<Operation> { (0..40).map(|_| world.database.begin()).collect() };
    let mut hanging = burst();
    hanging.drain(..32).for_each(drop);
    assert_eq!(world.after(59), (Status::Ok, State::Unknown));
    assert_eq!(world.after(2), (Status::Fault, State::Stalled));
    hanging.into_iter().for_each(Operation::ok);
    // After an idle time, new operations do not count as old.
    assert_eq!(world.after(200), (Status::Ok, State::Passing));
    let mut young = burst();
    young.drain(..32).for_each(drop);
    assert_eq!(world.after(20), (Status::Ok, State::Passing));
    assert_eq!(world.after(41), (Status::Fault, State::Stalled));
    young.into_iter().for_each(Operation::ok);
}

#[test]
fn an_operation_that_a_panic_drops_has_failed() {
    let world = world();
    let database = world.database;
    let panics = |work: &dyn Fn()| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_err();
    };
    panics(&|| {
        let _operation = database.begin();
        panic!("expected by the test");
    });
    assert_eq!(database.failures(), 1);
    panics(&|| {
        let future = pin!(database.observe(async { panic!("expected by the test") as Result<(), Error> }));
        let _ = future.poll(&mut Context::from_waker(Waker::noop()));
    });
    assert_eq!(database.failures(), 2);
    // A future that waits when another one's panic drops it.
    let mut waiting = Box::pin(database.observe(std::future::pending::<Result<(), Error>>()));
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    let waiting = std::cell::Cell::new(Some(waiting));
    panics(&|| {
        let _waiting = waiting.take();
        panic!("expected by the test");
    });
    assert_eq!(database.failures(), 2);
    // A refresh is not the work.
    panics(&|| {
        let _refresh = database.begin_refresh();
        panic!("expected by the test");
    });
    assert_eq!(database.failures(), 2);
}

#[test]
fn an_operation_abandoned_early_is_no_evidence_and_late_a_failure() {
    let world = world();
    let operation = world.database.begin();
    world.clock.advance(Duration::from_secs(9));
    drop(operation);
    assert_eq!(world.after(0), (Status::Ok, State::Unknown));
    let operation = world.database.begin();
    world.clock.advance(Duration::from_secs(12));
    drop(operation);
    assert_eq!(world.after(0), (Status::Degraded, State::Transient));
    assert!(world.health.report().message.starts_with("database: Abandoned after 12 s, 1 failure"));
}

#[test]
fn timeouts_that_cut_every_hang_short_do_not_hide_it() {
    let world = world();
    for _ in 0..8 {
        let operation = world.database.begin();
        world.clock.advance(Duration::from_secs(8));
        drop(operation);
    }
    assert_eq!(world.after(0), (Status::Fault, State::Stalled));
    world.database.begin().ok();
    assert_eq!(world.after(0), (Status::Ok, State::Passing));
}

#[test]
fn a_refresh_hides_no_hang_and_clears_no_failure_that_only_work_clears() {
    let world = world();
    let hanging = world.database.begin();
    for _ in 0..7 {
        world.clock.advance(Duration::from_secs(10));
        world.database.begin_refresh().ok();
    }
    assert_eq!(world.after(0), (Status::Fault, State::Stalled));
    hanging.ok();
    world.database.record_fail(&Failure::new("Gone"));
    world.clock.advance(Duration::from_secs(1));
    world.database.begin_refresh().ok();
    assert_eq!(world.after(0), (Status::Ok, State::Passing));
    world.clock.advance(Duration::from_secs(1));
    world.database.record_fail(&Failure::new("PoolTimeout").by_work());
    world.clock.advance(Duration::from_secs(1));
    world.database.begin_refresh().ok();
    assert_eq!(world.after(0), (Status::Degraded, State::Transient));
    world.database.record_ok();
    // Two failures within `failure_window`: they may come back.
    assert_eq!(world.after(0), (Status::Degraded, State::Transient));
    assert_eq!(world.after(10), (Status::Ok, State::Passing));
}

#[test]
fn a_server_whose_capacity_is_filled_by_hanging_operations_is_a_fault() {
    let clock = Clock::new();
    let health = Service::builder("memory").in_memory(&clock);
    let policy = Policy { impact: healthboard::Impact::Degrading, ..Policy::DEFAULT };
    let requests = health.indicator("requests", policy);
    requests.set_capacity(2);
    let upload = requests.begin();
    clock.advance(Duration::from_secs(65));
    assert_eq!(health.report().status, Status::Ok, "there is capacity for others");
    let second = requests.begin();
    clock.advance(Duration::from_secs(60));
    assert_eq!(health.report().status, Status::Ok);
    clock.advance(Duration::from_secs(1));
    let report = health.report();
    assert_eq!((report.status, report.details["requests"].state), (Status::Fault, State::Stalled));
    upload.ok();
    assert_eq!(health.report().status, Status::Ok);
    second.ok();
}

#[test]
fn a_result_is_recorded_with_class_and_text_of_its_error() {
    let world = world();
    let result: Result<(), Error> = Err(Error::new(ErrorKind::NotFound, "no such row"));
    world.database.record_by(&result, |_| Outcome::NoEvidence);
    assert_eq!(world.after(0), (Status::Ok, State::Unknown));
    world.database.record_by(&result, |_| Outcome::Success);
    assert_eq!(world.after(0), (Status::Ok, State::Passing));
    world.database.record(&result);
    assert_eq!(world.after(0), (Status::Degraded, State::Transient));
    let error = world.health.report().details["database"].error.clone().unwrap();
    assert_eq!((error.class.as_str(), error.text.as_str()), ("io::Error", "no such row"));
    world.database.record(&Ok::<(), Error>(()));
    assert_eq!(world.after(0), (Status::Ok, State::Passing));
}

#[test]
fn a_future_is_observed_to_its_end_or_to_its_cancellation() {
    let world = world();
    let mut context = Context::from_waker(Waker::noop());
    let failing = pin!(world.database.observe(async { Err::<(), _>(Error::other("gone")) }));
    assert!(failing.poll(&mut context).is_ready());
    assert_eq!(world.after(0), (Status::Degraded, State::Transient));
    {
        let mut pending = pin!(world.database.observe(std::future::pending::<Result<(), Error>>()));
        assert_eq!(world.health.report().details["database"].in_flight, 0, "nothing has begun");
        assert!(matches!(pending.as_mut().poll(&mut context), Poll::Pending));
        assert_eq!(world.health.report().details["database"].in_flight, 1);
        world.clock.advance(Duration::from_secs(11));
    }
    let error = world.health.report().details["database"].error.clone().unwrap();
    assert_eq!(error.to_string(), "Abandoned after 11 s");
    let by = world
        .database
        .observe_by(async { 7 }, |seven| if *seven == 7 { Outcome::Success } else { Outcome::NoEvidence });
    assert!(pin!(by).poll(&mut context).is_ready());
    assert_eq!(world.after(0), (Status::Ok, State::Passing));
}

#[test]
fn a_goodbye_is_not_undone_by_draining_again() {
    let world = world();
    world.health.drain();
    assert_eq!((world.health.report().draining, world.health.report().stopped), (true, false));
    world.health.goodbye();
    world.health.drain();
    assert!(world.health.report().stopped);
}

#[test]
fn a_policy_is_found_under_the_given_name_and_the_recorded_name() {
    let quiet = Policy { impact: healthboard::Impact::Informational, ..Policy::DEFAULT };
    for set in ["my db", "my_db"] {
        let builder = Service::builder("memory").indicator_policy(set, quiet);
        for builder in [builder, Service::builder("memory").option(&format!("{set}.impact"), "informational")]
        {
            let health = builder.in_memory(&Clock::new());
            health.indicator("my db", Policy::DEFAULT).record_fail(&Failure::new("Gone"));
            assert_eq!(health.report().status, Status::Ok, "{set}");
        }
    }
}

#[test]
fn code_that_records_may_run_under_catch_unwind() {
    let World { health, database, .. } = world();
    assert!(std::panic::catch_unwind(|| database.record_ok()).is_ok());
    assert_eq!(health.report().details["database"].state, State::Passing);
}
