use super::*;
use crate::options::HttpOptions;
use crate::testing::{Endpoint, HANG, any_port, code, report, rest_of, serve};
use healthboard::Status;
use rustix::process::{Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// As many idle clients as this process may have descriptors for, at most ten thousand.
fn crowd() -> usize {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    limit.maximum.map_or(10_000, |most| usize::try_from(most).unwrap().saturating_sub(500).min(10_000))
}

#[test]
fn a_good_probe_is_answered_at_once_among_ten_thousand_idle_connections() {
    let endpoint = Endpoint::of(report(Status::Ok));
    let mut idle: Vec<TcpStream> = Vec::new();
    let mut slowest = Duration::ZERO;
    for i in 0..crowd() {
        idle.push(TcpStream::connect(endpoint.address).unwrap());
        if i % 500 == 499 {
            let began = Instant::now();
            assert_eq!(code(&endpoint.ask_and_wait("GET /health HTTP/1.0\r\n\r\n")), 200);
            slowest = slowest.max(began.elapsed());
        }
    }
    // A probe on another machine gives up after a second.
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[test]
fn the_connection_that_has_waited_longest_makes_room() {
    let endpoint = Endpoint::of(report(Status::Ok));
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"HEAD /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        stream.read(&mut [0; 1024]).unwrap()
    };
    let answered = || {
        let mut stream = endpoint.connect();
        assert_ne!(ask(&mut stream), 0);
        stream
    };
    let mut used = answered();
    let mut first = answered();
    let mut others: Vec<TcpStream> = (0..MAX_CONNECTIONS - 2).map(|_| answered()).collect();
    // This one was there before all others, but it has just been answered again.
    assert_ne!(ask(&mut used), 0);
    let mut last = answered();
    assert_eq!(first.read(&mut [0]).unwrap(), 0, "the one that waits longest is closed");
    for stream in [&mut used, &mut last].into_iter().chain(&mut others) {
        assert_ne!(ask(stream), 0, "all others are served");
    }
}

#[test]
fn a_good_probe_amid_a_burst_is_answered_before_it_can_be_pushed_out() {
    let (listener, address) = any_port();
    let crowd = || (0..2 * MAX_CONNECTIONS).map(|_| TcpStream::connect(address).unwrap());
    let mut burst: Vec<TcpStream> = crowd().collect();
    let mut probe = TcpStream::connect(address).unwrap();
    probe.set_read_timeout(Some(HANG)).unwrap();
    probe.write_all(b"GET /health HTTP/1.0\r\n\r\n").unwrap();
    burst.extend(crowd());
    serve(listener, HttpOptions::default(), Limits::DEFAULT, report(Status::Ok));
    assert_eq!(code(&rest_of(probe)), 200);
}

#[test]
fn connections_that_have_ended_take_no_places() {
    let endpoint = Endpoint::of(report(Status::Ok));
    let mut idle = endpoint.connect();
    for _ in 0..2 * MAX_CONNECTIONS {
        assert_eq!(code(&endpoint.ask_and_wait("GET /livez HTTP/1.0\r\n\r\n")), 200);
    }
    idle.write_all(b"GET /livez HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(code(&rest_of(idle)), 200);
}

#[test]
fn without_descriptors_it_rests_and_comes_back() {
    crowd();
    let (full, is_full) = std::sync::mpsc::channel();
    let (answered, is_answered) = std::sync::mpsc::channel();
    let serving = std::thread::spawn(move || {
        // As the keeper's thread: a descriptor table of its own, which keeps nothing of other tests open.
        // SAFETY: this thread owns no descriptors.
        let unshared =
            unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE) };
        assert_eq!(unshared, 0);
        let (listener, address) = any_port();
        let mut server = Server::new(Answers::new(HttpOptions::default()), Limits::DEFAULT).unwrap();
        server.listen(listener.as_fd()).unwrap();
        let mut serve_for = |time: Duration| {
            let end = Instant::now() + time;
            while Instant::now() < end {
                server.turn(end, &mut || report(Status::Ok)).unwrap();
            }
        };
        let fill: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
        full.send(address).unwrap();
        let before = clock_gettime(ClockId::ThreadCPUTime);
        serve_for(Duration::from_millis(500));
        let after = clock_gettime(ClockId::ThreadCPUTime);
        assert!(is_answered.try_recv().is_err(), "there was a descriptor left");
        let spent = Duration::try_from(after - before).unwrap();
        assert!(spent < Duration::from_millis(50), "spins: {spent:?} of 500 ms");
        drop(fill);
        while is_answered.try_recv().is_err() {
            serve_for(Duration::from_millis(1));
        }
    });
    let mut probe = TcpStream::connect(is_full.recv().unwrap()).unwrap();
    probe.set_read_timeout(Some(HANG)).unwrap();
    probe.write_all(b"GET /health HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(code(&rest_of(probe)), 200);
    answered.send(()).unwrap();
    serving.join().unwrap();
}

#[test]
fn a_crowd_at_one_socket_leaves_the_other_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("health.sock");
    let uri = format!("unix://{}", path.display()).parse().unwrap();
    let [listener] = crate::listen::bind(&uri, 0o600).unwrap().try_into().unwrap();
    serve(listener, HttpOptions::default(), Limits::DEFAULT, report(Status::Ok));
    let mut unix = std::os::unix::net::UnixStream::connect(&path).unwrap();
    unix.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert_ne!(unix.read(&mut [0; 1024]).unwrap(), 0);

    let endpoint = Endpoint::of(report(Status::Ok));
    let _idle: Vec<TcpStream> = (0..2 * MAX_CONNECTIONS).map(|_| endpoint.connect()).collect();
    assert_eq!(code(&endpoint.get("/livez")), 200);
    unix.write_all(b"GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    assert_eq!(code(&rest_of(unix)), 200);
}
