use super::super::testing::{listen, received};
use super::*;

const SECOND: u64 = 1_000_000_000;

fn read(variables: &[(&str, &str)], pid: u32, ancestors: &[u32]) -> Result<Option<Watchdog>, String> {
    let value = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    Watchdog::from_env(value, pid, |pid| ancestors.contains(&pid))
}

fn of(usec: &str) -> Watchdog {
    read(&[("WATCHDOG_USEC", usec)], 7, &[]).unwrap().unwrap()
}

#[test]
fn a_time_that_systemd_does_not_set_is_refused_by_name() {
    assert_eq!(read(&[], 7, &[]), Ok(None));
    assert_eq!(read(&[("WATCHDOG_USEC", "18446744073709551615")], 7, &[]), Ok(None));
    for bad in ["0", "-1", "+1", "soon", "", " 1", "1.5", "18446744073709551616"] {
        let error = read(&[("WATCHDOG_USEC", bad)], 7, &[]).unwrap_err();
        let expected = "expected microseconds, more than 0; the watchdog is not petted";
        assert_eq!(error, format!("WATCHDOG_USEC is `{bad}`, {expected}"));
    }
}

#[test]
fn it_is_petted_only_for_the_process_it_names_and_its_descendants() {
    let asked = |pid: Option<&str>| {
        let mut variables = vec![("WATCHDOG_USEC", "1000000")];
        variables.extend(pid.map(|pid| ("WATCHDOG_PID", pid)));
        read(&variables, 7, &[5, 1])
    };
    // Its own, the master of gunicorn or uWSGI, and that one's parent.
    for pid in [None, Some("7"), Some("5"), Some("1")] {
        assert!(asked(pid).unwrap().is_some(), "{pid:?}");
    }
    assert_eq!(asked(Some("6")), Ok(None), "an unrelated process");
    for bad in ["0", "", "-7", "self", "4294967303"] {
        assert!(asked(Some(bad)).unwrap_err().starts_with(&format!("WATCHDOG_PID is `{bad}`")), "{bad}");
    }
}

#[test]
fn the_interval_is_half_of_what_is_allowed_and_at_most_a_second() {
    let interval = |usec: &str| of(usec).interval();
    assert_eq!(interval("60000000"), Duration::from_secs(1));
    assert_eq!(interval("2000000"), Duration::from_secs(1));
    assert_eq!(interval("1999999"), Duration::from_micros(999_999));
    assert_eq!(interval("500000"), Duration::from_millis(250));
    // A time that is too short to keep does not cost a core.
    assert_eq!(interval("1"), Duration::from_millis(10));
    assert_eq!(interval("18446744073709551614"), Duration::from_secs(1));
}

#[test]
fn it_is_petted_once_an_interval_and_only_while_the_service_progresses() {
    let (socket, manager) = listen("pets");
    let mut watchdog = of("2000000");
    let mut pets = |now_ns: u64, progress| {
        watchdog.pet(&manager, now_ns, progress);
        let petted = received(&socket);
        assert!(petted.as_deref().is_none_or(|message| message == "WATCHDOG=1"), "{petted:?}");
        petted.is_some()
    };
    let begin = 100 * SECOND;
    assert!(!pets(begin, Status::Fault));
    assert!(pets(begin, Status::Ok), "the first time at once");
    assert!(!pets(begin + 1, Status::Ok), "not in every turn of a loop");
    assert!(!pets(begin + SECOND / 2 - 1, Status::Ok));
    // By the coarse clock, a call once a second may come a little early.
    assert!(pets(begin + SECOND - 4_000_000, Status::Degraded));
    assert!(!pets(begin + 2 * SECOND, Status::Fault));
    assert!(!pets(begin + 9 * SECOND, Status::Fault));
    assert!(pets(begin + 9 * SECOND + 1, Status::Ok), "again at once");
    assert!(!pets(0, Status::Ok), "a clock that goes back does no harm");
}

#[test]
fn a_call_once_an_interval_never_leaves_a_gap() {
    let (socket, manager) = listen("gap");
    for (usec, allows_ns) in [("1000000", SECOND), ("3000000", 3 * SECOND), ("60000000", 60 * SECOND)] {
        let mut watchdog = of(usec);
        let interval_ns = watchdog.interval().as_nanos() as u64;
        let (mut last_ns, mut longest_ns) = (0, 0);
        for turn in 1..100 {
            // A clock of 4 ms, which the turns are not aligned with.
            let now_ns = (turn * interval_ns + turn * 1_234_567 % 3_000_000) / 4_000_000 * 4_000_000;
            watchdog.pet(&manager, now_ns, Status::Ok);
            if received(&socket).is_some() {
                longest_ns = longest_ns.max(now_ns - last_ns);
                last_ns = now_ns;
            }
        }
        assert!(longest_ns < allows_ns * 3 / 4, "{usec}: {longest_ns}");
    }
}
