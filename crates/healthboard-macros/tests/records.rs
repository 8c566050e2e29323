//! What calls of functions with `#[healthcheck]` leave on the board. Each test has an indicator of its own.

#![allow(clippy::unwrap_used, reason = "in a test it is an assertion")]

use healthboard::{Directory, Evidence, Policy, Settings, healthcheck};
use std::fmt::Display;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

static BOARDS: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings::new("macros");
    settings.set("uri", "unix:///never/bound").unwrap();
    settings.set("error_detail", "message").unwrap();
    settings.runtime_dir = Some(directory.path().to_owned());
    assert!(healthboard::start(settings, |_| ()));
    directory
});

fn start() {
    LazyLock::force(&BOARDS);
}

fn observed(name: &str) -> (Evidence, Policy) {
    let processes = Directory::new(BOARDS.path().join("macros")).read().unwrap();
    let indicators = processes.into_iter().flat_map(|process| process.indicators);
    let found =
        indicators.into_iter().find(|i| i.name == name).unwrap_or_else(|| panic!("no indicator {name}"));
    (found.evidence, found.policy)
}

/// Successes or not, failures, in flight, and the error.
#[track_caller]
fn assert_recorded(name: &str, success: bool, failures: u32, error: &str) {
    let (evidence, _) = observed(name);
    let found = (
        evidence.last_success_ns.is_some(),
        evidence.failures,
        evidence.in_flight,
        evidence.error.to_string(),
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
fn whatever_is_no_result_is_a_success() {
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
fn a_dropped_future_is_no_evidence() {
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
fn a_panic_is_a_failure_and_goes_on() {
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
fn a_call_made_while_another_panics_is_judged_by_itself() {
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
fn names_of_the_expansion_are_not_in_the_way() {
    #[healthcheck("hygiene")]
    fn add(running: u8, outcome: u8) -> u8 {
        #[allow(non_snake_case, reason = "it is the name used in the expansion")]
        let INDICATOR = 1;
        running + outcome + INDICATOR
    }
    start();
    assert_eq!(add(1, 2), 4);
}
