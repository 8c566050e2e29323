//! The evidence that calls of functions with `#[healthcheck]` record. Each test has its own indicators.

#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

use healthboard::{Directory, ErrorDetail, Evidence, Failure, Outcome, Policy, Service, healthcheck};
use std::cell::RefCell;
use std::fmt::{Debug, Display};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

static BOARDS: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let builder = Service::builder("macros").runtime_dir(directory.path());
    let builder = builder.uri("unix:///never/bound".parse().unwrap()).error_detail(ErrorDetail::Message);
    builder.start_with(|keeper| keeper.listening(Ok(Vec::new()))).unwrap();
    directory
});

fn start() {
    LazyLock::force(&BOARDS);
}

fn observed(name: &str) -> (Evidence, Policy) {
    let processes = Directory::new(BOARDS.path().join("macros")).read().unwrap();
    let indicators = processes.into_iter().flat_map(|process| process.indicators);
    let found =
        indicators.into_iter().find(|i| &*i.name == name).unwrap_or_else(|| panic!("no indicator {name}"));
    (found.evidence, *found.policy)
}

/// Compares whether there was a success, the failures in a row and the error. Nothing may be in flight.
#[track_caller]
fn assert_recorded(name: &str, success: bool, failures: u32, error: &str) {
    let (evidence, _) = observed(name);
    let found = (
        evidence.last_success_ns.is_some(),
        evidence.failures,
        evidence.in_flight,
        evidence.error.map(|error| error.to_string()).unwrap_or_default(),
    );
    assert_eq!(found, (success, failures, 0, error.to_owned()), "{name}");
}

fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn ready<T>(future: impl Future<Output = T>) -> T {
    match poll(future) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("pending"),
    }
}

#[test]
fn ok_is_a_success_and_err_a_failure_with_class_and_text() {
    #[healthcheck("result")]
    fn parse(text: &str) -> Result<u8, std::num::ParseIntError> {
        let number = text.parse()?;
        return Ok(number);
    }
    start();
    assert_eq!(parse("7"), Ok(7));
    assert_recorded("result", true, 0, "");
    assert!(parse("x").is_err());
    assert_recorded("result", true, 1, "ParseIntError: invalid digit found in string");
}

#[test]
fn an_error_without_display_is_a_failure_too() {
    struct Opaque;
    #[healthcheck("opaque")]
    fn fail() -> Result<(), Opaque> {
        Err(Opaque)
    }
    start();
    assert!(fail().is_err());
    assert_recorded("opaque", false, 1, "Opaque");
}

#[test]
fn any_value_that_is_no_result_is_a_success() {
    #[healthcheck("unit")]
    fn unit() {}
    #[healthcheck("option")]
    fn option() -> Option<u8> {
        None
    }
    #[healthcheck("iterator")]
    fn iterator(upto: u8) -> impl Iterator<Item = u8> {
        0..upto
    }
    start();
    unit();
    assert_eq!((option(), iterator(3).count()), (None, 3));
    for name in ["unit", "option", "iterator"] {
        assert_recorded(name, true, 0, "");
    }
}

#[test]
fn a_result_behind_impl_trait_is_a_result() {
    #[healthcheck("opaque-result")]
    fn parse(text: &str) -> impl Debug + use<> {
        text.parse::<u8>()
    }
    start();
    assert_eq!(format!("{:?}", parse("7")), "Ok(7)");
    assert_recorded("opaque-result", true, 0, "");
    assert!(format!("{:?}", parse("x")).starts_with("Err"));
    assert_recorded("opaque-result", true, 1, "ParseIntError: invalid digit found in string");
}

#[test]
fn a_result_behind_a_type_parameter_is_a_success() {
    #[healthcheck("generic")]
    fn same<T>(value: T) -> T {
        value
    }
    start();
    assert_eq!(same(Err::<u8, u8>(1)), Err(1));
    assert_recorded("generic", true, 0, "");
}

#[test]
fn classify_maps_errors_to_outcomes() {
    fn judge(error: &String) -> Outcome {
        match error.as_str() {
            "no such row" => Outcome::Success,
            "cancelled" => Outcome::NoEvidence,
            "refused" => Outcome::Failure(Failure { code: "111".to_owned(), ..Failure::new("Refused") }),
            _ => Outcome::Failure(Failure::of(error)),
        }
    }
    #[healthcheck("classified", classify = judge)]
    fn ask(answer: Result<u8, &str>) -> Result<u8, String> {
        Ok(answer?)
    }
    #[healthcheck("classified", classify = judge)]
    async fn ask_later(answer: &str) -> Result<u8, String> {
        Err(answer.to_owned())
    }
    start();
    assert!(ask(Err("cancelled")).is_err());
    assert_recorded("classified", false, 0, "");
    assert!(ask(Err("refused")).is_err());
    assert_recorded("classified", false, 1, "Refused 111");
    assert!(ready(ask_later("cancelled")).is_err());
    assert_recorded("classified", false, 1, "Refused 111");
    assert!(ready(ask_later("timeout")).is_err());
    assert_recorded("classified", false, 2, "String: timeout");
    assert!(ask(Err("no such row")).is_err());
    assert_eq!(observed("classified").0.failures, 0);
    assert_eq!(ask(Ok(7)), Ok(7));
    assert_recorded("classified", true, 0, "");
}

#[test]
fn a_method_can_return_a_part_of_what_it_borrows() {
    struct Store(Vec<u8>);
    impl Store {
        #[healthcheck("borrow")]
        fn first(&mut self) -> &mut u8 {
            &mut self.0[0]
        }
        #[healthcheck("borrow")]
        async fn last(&mut self) -> Result<&mut u8, String> {
            self.0.last_mut().ok_or_else(|| "empty".to_owned())
        }
    }
    start();
    let mut store = Store(vec![1, 2]);
    *store.first() = 3;
    *ready(store.last()).unwrap() = 4;
    assert_eq!(store.0, [3, 4]);
    assert_recorded("borrow", true, 0, "");
}

/// Adds its name to the list when it is dropped.
struct Noted(&'static str, Rc<RefCell<Vec<&'static str>>>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.1.borrow_mut().push(self.0);
    }
}

#[test]
fn arguments_are_dropped_when_a_plain_function_drops_them() {
    /// The body mentions some, in another order, and one of them only in part.
    macro_rules! methods {
        ($(#[$attribute:meta])*) => {
            $(#[$attribute])*
            fn call(self, a: Noted, _b: Noted, (c, _): (Noted, Noted), _: Noted, d: &Noted) -> &Noted {
                let _local = Noted("local", Rc::clone(&c.1));
                self.1.1.borrow_mut().push(self.1.0);
                a.1.borrow_mut().push("body");
                d
            }
            $(#[$attribute])*
            async fn call_later(self, a: Noted, _b: Noted, (c, _): (Noted, Noted), _: Noted) {
                let _local = Noted("local", Rc::clone(&c.1));
                self.1.1.borrow_mut().push(self.1.0);
                a.1.borrow_mut().push("body");
            }
        };
    }
    struct Plain(#[expect(dead_code, reason = "is dropped")] Noted, Noted);
    struct Recorded(#[expect(dead_code, reason = "is dropped")] Noted, Noted);
    impl Plain {
        methods! {}
    }
    impl Recorded {
        methods! { #[healthcheck("order")] }
    }
    start();
    let notes = Rc::default();
    let noted = |name| Noted(name, Rc::clone(&notes));
    let end = Noted("reference", Rc::default());
    let pair = || (noted("c"), noted("in pattern"));

    Plain(noted("self.0"), noted("self.1")).call(noted("a"), noted("_b"), pair(), noted("_"), &end);
    let plain = notes.take();
    Recorded(noted("self.0"), noted("self.1")).call(noted("a"), noted("_b"), pair(), noted("_"), &end);
    assert_eq!(notes.take(), plain);

    ready(Plain(noted("self.0"), noted("self.1")).call_later(noted("a"), noted("_b"), pair(), noted("_")));
    let plain = notes.take();
    ready(Recorded(noted("self.0"), noted("self.1")).call_later(noted("a"), noted("_b"), pair(), noted("_")));
    assert_eq!(notes.take(), plain);
}

#[test]
fn the_end_of_a_function_that_never_returns_is_a_panic() {
    #[healthcheck("never")]
    fn give_up(reason: &'static str) -> ! {
        std::panic::panic_any(reason)
    }
    #[healthcheck("never-async")]
    async fn give_up_later(reason: &'static str) -> ! {
        std::panic::panic_any(reason)
    }
    start();
    let payload = catch_unwind(|| give_up("enough")).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&"enough"));
    assert_recorded("never", false, 1, "panic");
    assert!(catch_unwind(|| poll(give_up_later("enough")).is_ready()).is_err());
    assert_recorded("never-async", false, 1, "panic");
}

#[test]
fn methods_and_generic_functions_keep_their_signatures() {
    struct Store {
        rows: Vec<String>,
    }
    impl Store {
        #[healthcheck("method")]
        fn first(&self) -> Result<&str, std::fmt::Error> {
            Ok(self.rows.first().ok_or(std::fmt::Error)?)
        }
        #[healthcheck("method")]
        fn push<'a, T: Display + ?Sized>(
            &'a mut self,
            mut row: String,
            tail: &T,
        ) -> Result<&'a mut Self, Box<dyn std::error::Error>> {
            row.push_str(&tail.to_string());
            self.rows.push(row);
            Ok(self)
        }
        #[healthcheck("method")]
        async fn into_rows<const N: usize>(self) -> Result<[String; N], Vec<String>>
        where
            [String; N]: Sized,
        {
            self.rows.try_into()
        }
    }
    start();
    let mut store = Store { rows: Vec::new() };
    assert!(store.first().is_err());
    assert_recorded("method", false, 1, "fmt::Error: an error occurred when formatting an argument");
    store.push("a".to_owned(), "b").unwrap().push("c".to_owned(), &1).unwrap();
    assert_eq!(store.first(), Ok("ab"));
    assert_recorded("method", true, 0, "");
    assert!(ready(store.into_rows::<3>()).is_err());
    assert_eq!(observed("method").0.failures, 1);
}

#[test]
fn a_future_is_recorded_when_it_ends() {
    #[healthcheck("future")]
    async fn half(number: u8) -> Result<u8, String> {
        if number % 2 == 1 {
            return Err(format!("{number} is odd"));
        }
        std::future::ready(()).await;
        Ok(number / 2)
    }
    start();
    let unpolled = half(2);
    drop(unpolled);
    assert_eq!(ready(half(2)), Ok(1));
    assert_recorded("future", true, 0, "");
    assert!(ready(half(1)).is_err());
    assert_recorded("future", true, 1, "String: 1 is odd");
}

#[test]
fn a_future_can_be_sent_to_another_thread() {
    #[healthcheck("send")]
    async fn wait() {
        std::future::ready(()).await;
    }
    fn is_send<T: Send>(_: &T) {}
    is_send(&wait());
}

#[test]
fn a_future_dropped_early_is_no_evidence() {
    #[healthcheck("dropped")]
    async fn never() {
        std::future::pending().await
    }
    start();
    {
        let mut waiting = pin!(never());
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(observed("dropped").0.in_flight, 1);
    }
    assert_recorded("dropped", false, 0, "");
}

#[test]
fn a_panic_is_a_failure_and_reaches_the_caller() {
    #[healthcheck("panic")]
    fn index(list: &[u8]) -> u8 {
        list[0]
    }
    #[healthcheck("async-panic")]
    async fn wait(list: &[u8]) -> Result<u8, String> {
        Ok(list[0])
    }
    start();
    assert!(catch_unwind(|| index(&[])).is_err());
    assert_recorded("panic", false, 1, "panic");
    assert!(catch_unwind(AssertUnwindSafe(|| poll(wait(&[])))).is_err());
    assert_recorded("async-panic", false, 1, "panic");
}

#[test]
fn a_call_made_during_another_panic_has_its_own_outcome() {
    #[healthcheck("cleanup")]
    fn close() {}
    struct Closes;
    impl Drop for Closes {
        fn drop(&mut self) {
            close();
        }
    }
    start();
    assert!(
        catch_unwind(|| {
            let _closes = Closes;
            panic!("elsewhere");
        })
        .is_err()
    );
    assert_recorded("cleanup", true, 0, "");
}

#[test]
fn arguments_become_the_policy() {
    #[healthcheck("policy", impact = "degrading", ttl = 60)]
    fn with() {}
    #[healthcheck("default")]
    fn without() {}
    start();
    with();
    without();
    let expected = Policy {
        impact: healthboard::Impact::Degrading,
        ttl: std::time::Duration::from_secs(60),
        ..Policy::DEFAULT
    };
    assert_eq!(observed("policy").1, expected);
    assert_eq!(observed("default").1, Policy::DEFAULT);
}

#[test]
fn names_of_the_expansion_do_not_clash() {
    #[healthcheck("hygiene")]
    fn add(running: u8, outcome: u8) -> u8 {
        #[allow(non_snake_case, reason = "it is the name used in the expansion")]
        let INDICATOR = 1;
        running + outcome + INDICATOR
    }
    start();
    assert_eq!(add(1, 2), 4);
}
