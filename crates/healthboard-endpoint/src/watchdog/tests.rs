use super::*;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::id;
use std::time::Instant;

const SECOND: u64 = 1_000_000_000;

fn read(variables: &[(&str, &str)], pid: u32, ancestors: &[u32]) -> Option<Watchdog> {
    let value = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    Watchdog::from_env(value, pid, |pid| ancestors.contains(&pid))
}

fn of(usec: &str, socket: &str) -> Option<Watchdog> {
    read(&[("WATCHDOG_USEC", usec), ("NOTIFY_SOCKET", socket)], 7, &[])
}

/// A socket in place of systemd's, and its address.
fn manager(name: &str) -> (UnixDatagram, String) {
    let name = format!("healthboard-{name}-{}", id());
    let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    socket.set_nonblocking(true).unwrap();
    (socket, format!("@{name}"))
}

fn received(manager: &UnixDatagram) -> Option<String> {
    let mut bytes = [0; 64];
    manager.recv(&mut bytes).ok().map(|n| String::from_utf8_lossy(&bytes[..n]).into_owned())
}

#[test]
fn there_is_no_watchdog_unless_both_time_and_socket_are_given() {
    assert_eq!(read(&[], 7, &[]), None);
    assert_eq!(read(&[("WATCHDOG_USEC", "3000000")], 7, &[]), None);
    assert_eq!(read(&[("NOTIFY_SOCKET", "/run/s")], 7, &[]), None);
    for bad in ["0", "-1", "+1", "soon", "", " 1", "1.5", "18446744073709551615", "18446744073709551616"] {
        assert_eq!(of(bad, "/run/s"), None, "{bad}");
    }
    let long = format!("/{}", "s".repeat(108));
    for bad in ["relative", "", "@", "vsock:2:1", &long] {
        assert_eq!(of("1000000", bad), None, "{bad}");
    }
    assert!(of("1000000", "/run/systemd/notify").is_some() && of("1000000", "@notify").is_some());
}

#[test]
fn it_is_petted_only_for_the_process_it_names_and_its_descendants() {
    let asked = |pid: Option<&str>| {
        let mut variables = vec![("WATCHDOG_USEC", "1000000"), ("NOTIFY_SOCKET", "/run/s")];
        variables.extend(pid.map(|pid| ("WATCHDOG_PID", pid)));
        read(&variables, 7, &[5, 1]).is_some()
    };
    for (pid, accepted) in [
        (None, true),
        (Some("7"), true),
        // The master of gunicorn or uWSGI, and its own parent.
        (Some("5"), true),
        (Some("1"), true),
        (Some("6"), false),
        (Some("0"), false),
        (Some(""), false),
        (Some("-7"), false),
        (Some("self"), false),
        (Some("4294967303"), false),
    ] {
        assert_eq!(asked(pid), accepted, "{pid:?}");
    }
}

#[test]
fn the_interval_is_half_of_what_is_allowed_and_at_most_a_second() {
    let interval = |usec: &str| of(usec, "/run/s").unwrap().interval();
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
    let (manager, address) = manager("pets");
    let mut watchdog = of("2000000", &address).unwrap();
    let mut pets = |now_ns: u64, progress| {
        watchdog.pet(now_ns, progress);
        let petted = received(&manager);
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
    let (manager, address) = manager("gap");
    for (usec, allows_ns) in [("1000000", SECOND), ("3000000", 3 * SECOND), ("60000000", 60 * SECOND)] {
        let mut watchdog = of(usec, &address).unwrap();
        let interval_ns = watchdog.interval().as_nanos() as u64;
        let (mut last_ns, mut longest_ns) = (0, 0);
        for turn in 1..100 {
            // A clock of 4 ms, which the turns are not aligned with.
            let now_ns = (turn * interval_ns + turn * 1_234_567 % 3_000_000) / 4_000_000 * 4_000_000;
            watchdog.pet(now_ns, Status::Ok);
            if received(&manager).is_some() {
                longest_ns = longest_ns.max(now_ns - last_ns);
                last_ns = now_ns;
            }
        }
        assert!(longest_ns < allows_ns * 3 / 4, "{usec}: {longest_ns}");
    }
}

#[test]
fn a_manager_that_does_not_read_is_not_waited_for() {
    let (manager, address) = manager("deaf");
    let mut watchdog = of("1", &address).unwrap();
    let begin = Instant::now();
    for turn in 0..5000 {
        watchdog.pet(turn * SECOND, Status::Ok);
    }
    assert!(begin.elapsed() < crate::testing::HANG);
    let queued = std::iter::from_fn(|| received(&manager)).count();
    assert!(queued > 0 && queued < 5000, "{queued}");
    // Nor one that has ended.
    drop(manager);
    watchdog.pet(9000 * SECOND, Status::Ok);
}

#[test]
fn a_socket_with_a_path_gets_notifications_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_nonblocking(true).unwrap();
    of("1000000", path.to_str().unwrap()).unwrap().pet(SECOND, Status::Ok);
    assert_eq!(received(&manager).as_deref(), Some("WATCHDOG=1"));
}

#[test]
fn ancestors_are_found_and_others_are_not() {
    let parent = std::os::unix::process::parent_id();
    assert!(is_ancestor(parent));
    assert!(!is_ancestor(id()), "no process is its own ancestor");
    assert!(!is_ancestor(0));
    assert!(!is_ancestor(u32::MAX));
    // The parent's parent, as long as this process sees one.
    let above = super::parent(parent).unwrap();
    assert_eq!(is_ancestor(above), above > 0);
}
