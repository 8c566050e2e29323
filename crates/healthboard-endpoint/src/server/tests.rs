use super::*;
use crate::options::HttpOptions;
use crate::testing::{Endpoint, HANG, any_port, code, report, rest_of, serve, turn};
use crate::tune::tune;
use healthboard::Status;
use rustix::process::{Rlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

const PROBE: &[u8] = b"GET /livez HTTP/1.0\r\n\r\n";
const KEPT: &[u8] = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A server whose turns the test runs, so that nothing depends on the load of the machine.
struct Stage {
    server: Server,
    address: SocketAddr,
    listener: crate::listen::Listener,
    id: ListenerId,
}

impl Stage {
    fn with_places(places: usize) -> Stage {
        Stage::within(places, Limits::DEFAULT)
    }

    fn within(places: usize, limits: Limits) -> Stage {
        let mut server = Server::new(Answers::new(&HttpOptions::default()), limits).unwrap();
        server.max_connections = places;
        let (listener, address) = any_port();
        let id = server.listen(listener.as_fd()).unwrap();
        Stage { server, address, listener, id }
    }

    fn turn(&mut self) {
        turn(&mut self.server, Instant::now(), &mut || report(Status::Ok)).unwrap();
    }

    /// Runs turns until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.turn();
        }
    }

    /// Runs turns until the condition holds.
    fn until(&mut self, what: &str, mut condition: impl FnMut() -> bool) {
        let end = Instant::now() + HANG;
        while !condition() {
            assert!(Instant::now() < end, "waited in vain: {what}");
            turn(&mut self.server, Instant::now() + Duration::from_millis(5), &mut || report(Status::Ok))
                .unwrap();
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }

    /// A client that has had an answer and may send another request.
    fn answered(&mut self) -> TcpStream {
        let mut stream = self.connect();
        self.ask(&mut stream);
        stream
    }

    fn ask(&mut self, stream: &mut TcpStream) {
        stream.write_all(KEPT).unwrap();
        self.until("an answer", || reads(stream) > 0);
    }

    /// Runs turns for longer than [`GRACE`].
    fn rest(&mut self) {
        let end = Instant::now() + 2 * GRACE;
        while Instant::now() < end {
            turn(&mut self.server, end, &mut || report(Status::Ok)).unwrap();
        }
    }
}

/// How many bytes have arrived. Panics at the end of the connection.
fn reads(stream: &mut TcpStream) -> usize {
    let mut bytes = [0; 4096];
    match stream.read(&mut bytes) {
        Ok(0) => panic!("closed"),
        Ok(count) => count,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => panic!("{error}"),
    }
}

fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 4096]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

fn is_answered(stream: &mut TcpStream) -> bool {
    stream.read(&mut [0; 4096]).is_ok_and(|count| count > 0)
}

/// Tests that need nearly all descriptors run one after the other.
static CROWD: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Raises the limit of descriptors as far as possible. Returns how many clients it allows, at most ten thousand,
/// besides the descriptors of a server and of other tests, and a guard to hold meanwhile.
fn crowd() -> (usize, std::sync::MutexGuard<'static, ()>) {
    let alone = CROWD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let most = limit.maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap());
    (most.saturating_sub(MAX_CONNECTIONS + 1000).min(10_000), alone)
}

#[test]
fn a_good_probe_is_answered_among_ten_thousand_idle_connections() {
    let endpoint = Endpoint::of(report(Status::Ok));
    let mut idle: Vec<TcpStream> = Vec::new();
    let (crowd, _alone) = crowd();
    for i in 0..crowd {
        idle.push(TcpStream::connect(endpoint.address).unwrap());
        if i % 500 == 499 {
            assert_eq!(code(&endpoint.ask_and_wait("GET /health HTTP/1.0\r\n\r\n")), 200);
        }
    }
}

#[test]
fn the_connection_that_has_waited_longest_is_closed_for_a_new_one() {
    let mut stage = Stage::with_places(5);
    let mut used = stage.answered();
    let mut first = stage.answered();
    let mut others: Vec<TcpStream> = (0..3).map(|_| stage.answered()).collect();
    // This one is the oldest, but it has just been answered again.
    stage.ask(&mut used);
    stage.rest();
    let mut last = stage.answered();
    assert!(is_closed(&mut first), "the connection that has waited longest");
    for stream in [&mut used, &mut last].into_iter().chain(&mut others) {
        stage.ask(stream);
    }
}

#[test]
fn a_probe_that_ends_at_once_takes_no_place() {
    let mut stage = Stage::with_places(4);
    let mut idle: Vec<TcpStream> = (0..4).map(|_| stage.answered()).collect();
    stage.rest();
    for _ in 0..20 {
        let mut probe = stage.connect();
        probe.write_all(PROBE).unwrap();
        stage.until("an answer", || is_answered(&mut probe));
    }
    for stream in &mut idle {
        stage.ask(stream);
    }
}

#[test]
fn no_connection_whose_request_has_arrived_is_closed() {
    let mut stage = Stage::with_places(3);
    let mut busy: Vec<TcpStream> = (0..3).map(|_| stage.answered()).collect();
    stage.rest();
    // All have sent another request, which the server has not read yet.
    busy.iter_mut().for_each(|stream| stream.write_all(KEPT).unwrap());
    assert_eq!(stage.server.longest_waiting(0..=0, Instant::now()), None);
    let mut newcomer = stage.connect();
    newcomer.write_all(KEPT).unwrap();
    for stream in &mut busy {
        stage.until("an answer", || reads(stream) > 0);
    }
    stage.until("an answer to the newcomer", || is_answered(&mut newcomer));
    // When these have waited for a while, others get their places.
    let _others: Vec<TcpStream> = (0..10).map(|_| stage.answered()).collect();
    assert!(stage.server.connections() <= 4, "{}", stage.server.connections());
}

#[test]
fn sending_a_head_byte_by_byte_does_not_keep_a_place() {
    let mut stage = Stage::with_places(3);
    let mut drips = stage.connect();
    drips.write_all(b"GET /livez HTTP/1.1\r\nX-Slow: ").unwrap();
    stage.settle();
    let mut idle: Vec<TcpStream> = (0..2).map(|_| stage.answered()).collect();
    let end = Instant::now() + 2 * GRACE;
    while Instant::now() < end {
        drips.write_all(b"x").unwrap();
        stage.turn();
    }
    let mut newcomer = stage.answered();
    assert!(is_closed(&mut drips));
    for stream in idle.iter_mut().chain([&mut newcomer]) {
        stage.ask(stream);
    }
}

#[test]
fn new_connections_wait_while_all_are_active_and_nothing_spins() {
    // All connections have just begun a request.
    let mut stage = Stage::with_places(2);
    let mut active: Vec<TcpStream> = (0..2).map(|_| stage.answered()).collect();
    active.iter_mut().for_each(|stream| stream.write_all(b"GET /li").unwrap());
    stage.settle();
    let mut newcomer = stage.connect();
    newcomer.write_all(PROBE).unwrap();
    let (begin, mut turns) = (Instant::now(), 0);
    while !is_answered(&mut newcomer) {
        assert!(begin.elapsed() < HANG, "no connection is closed for it");
        turn(&mut stage.server, Instant::now() + HANG, &mut || report(Status::Ok)).unwrap();
        turns += 1;
    }
    assert!(turns < 20, "{turns} turns until one of them has owed its head for {GRACE:?}");
}

#[test]
fn pipelining_connections_get_equal_shares_and_a_new_one_is_answered_in_a_few_turns() {
    let mut stage = Stage::with_places(1000);
    let mut flood: Vec<TcpStream> = (0..200).map(|_| stage.connect()).collect();
    let requests = KEPT.repeat(100);
    flood.iter_mut().for_each(|stream| stream.write_all(&requests).unwrap());
    while stage.server.connections() < flood.len() {
        stage.turn();
    }
    flood.iter_mut().for_each(|stream| while reads(stream) > 0 {});
    // From here on each has requests to be answered; an answer has about 200 bytes.
    let mut shares = vec![0; flood.len()];
    while shares.iter().sum::<usize>() < flood.len() * 5 * 200 {
        stage.turn();
        shares.iter_mut().zip(&mut flood).for_each(|(share, stream)| *share += reads(stream));
    }
    let mut probe = stage.connect();
    probe.write_all(PROBE).unwrap();
    let mut turns = 0;
    while !is_answered(&mut probe) {
        stage.turn();
        turns += 1;
    }
    assert!(turns <= 10, "answered after {turns} turns");
    let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
    assert!(*least > 0 && most <= &(least * 3), "between {least} and {most} bytes");
    assert!(stage.server.ready.len() >= 200, "the flood is not over");
}

#[test]
fn new_connections_are_accepted_in_batches_while_another_keeps_the_server_busy() {
    let mut stage = Stage::with_places(1000);
    // They have waited, so they are watched, and send more than is read at once: each turn finds events.
    let mut busy: Vec<TcpStream> = (0..100).map(|_| stage.answered()).collect();
    busy.iter_mut().for_each(|stream| stream.write_all(&KEPT.repeat(400)).unwrap());
    let mut probes: Vec<TcpStream> = (0..90).map(|_| stage.connect()).collect();
    probes.iter_mut().for_each(|probe| probe.write_all(PROBE).unwrap());
    let mut turns = 0;
    while !is_answered(probes.last_mut().unwrap()) {
        stage.turn();
        turns += 1;
    }
    assert!(!stage.server.ready.is_empty(), "the server is no longer busy");
    assert!(turns < 45, "{turns} turns");
}

#[test]
fn an_expensive_answer_ends_the_turn() {
    let mut stage = Stage::with_places(100);
    let mut clients: Vec<TcpStream> = (0..8).map(|_| stage.answered()).collect();
    // Requests that differ, so that each is rendered.
    for (number, client) in clients.iter_mut().enumerate() {
        client
            .write_all(format!("GET /livez?{number} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
            .unwrap();
    }
    let mut expensive = || {
        std::thread::sleep(2 * MAX_TURN);
        report(Status::Ok)
    };
    turn(&mut stage.server, Instant::now(), &mut expensive).unwrap();
    let answered = clients.iter_mut().filter_map(|client| (reads(client) > 0).then_some(())).count();
    assert_eq!(answered, 1);
}

#[test]
fn one_thousand_busy_clients_keep_their_connections_beside_a_crowd_of_idle_ones() {
    let (crowd, _alone) = crowd();
    assert!(crowd >= 2900, "this test needs a limit of 6000 descriptors (`ulimit -Hn 6000`)");
    let (listener, address) = any_port();
    serve(listener, HttpOptions::default(), Limits::DEFAULT, report(Status::Ok));
    let connect = || TcpStream::connect(address).unwrap();
    let mut busy: Vec<TcpStream> = (0..1000).map(|_| connect()).collect();
    busy.iter().for_each(|stream| stream.set_read_timeout(Some(HANG)).unwrap());
    let mut idle = Vec::new();
    for round in 0..20 {
        busy.iter_mut().for_each(|stream| stream.write_all(KEPT).unwrap());
        // In the end there are more than places.
        idle.extend((0..90).map(|_| connect()));
        for stream in &mut busy {
            let answered = stream.read(&mut [0; 4096]).expect("a client that was active was reset");
            assert_ne!(answered, 0, "a client that was active was closed in round {round}");
        }
        let mut probe = connect();
        probe.set_read_timeout(Some(HANG)).unwrap();
        probe.write_all(PROBE).unwrap();
        assert_eq!(code(&rest_of(probe)), 200);
    }
}

#[test]
fn ended_connections_take_no_places() {
    let mut stage = Stage::with_places(2);
    let mut idle = stage.answered();
    for _ in 0..10 {
        drop(stage.answered());
        let mut probe = stage.connect();
        probe.write_all(PROBE).unwrap();
        stage.until("an answer", || is_answered(&mut probe));
    }
    stage.ask(&mut idle);
    stage.until("their end", || true);
    stage.settle();
    assert_eq!(stage.server.connections(), 1);
}

#[test]
fn a_crowd_at_one_socket_leaves_the_other_alone() {
    let mut stage = Stage::with_places(3);
    let (other, address) = any_port();
    stage.server.listen(other.as_fd()).unwrap();
    let mut alone = TcpStream::connect(address).unwrap();
    alone.set_nonblocking(true).unwrap();
    stage.ask(&mut alone);
    stage.rest();
    let _crowd: Vec<TcpStream> = (0..20).map(|_| stage.connect()).collect();
    stage.rest();
    stage.settle();
    stage.ask(&mut alone);
}

#[test]
fn accepted_connections_are_served_after_accepting_has_stopped() {
    let mut stage = Stage::with_places(10);
    let mut kept = stage.answered();
    stage.server.unlisten(stage.id);
    let mut late = stage.connect();
    late.write_all(PROBE).unwrap();
    stage.ask(&mut kept);
    let (begin, mut turns) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_millis(200) {
        turn(&mut stage.server, begin + Duration::from_millis(200), &mut || report(Status::Ok)).unwrap();
        turns += 1;
    }
    assert!(turns < 10, "{turns} turns for a connection that must not be accepted");
    assert!(!is_answered(&mut late));
    // The next server continues with the same socket.
    let mut next = Server::new(Answers::new(&HttpOptions::default()), Limits::DEFAULT).unwrap();
    next.listen(stage.listener.as_fd()).unwrap();
    stage.server = next;
    stage.until("an answer", || is_answered(&mut late));
}

#[test]
fn a_panic_loses_only_the_connections_of_that_server() {
    let mut stage = Stage::with_places(10);
    let mut unlucky = stage.connect();
    unlucky.write_all(b"GET /health HTTP/1.0\r\n\r\n").unwrap();
    let served = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        for _ in 0..1000 {
            turn(&mut stage.server, Instant::now() + HANG, &mut || panic!("a bug")).unwrap();
        }
    }));
    assert!(served.is_err());
    stage.server = Server::new(Answers::new(&HttpOptions::default()), Limits::DEFAULT).unwrap();
    stage.server.listen(stage.listener.as_fd()).unwrap();
    assert!(is_closed(&mut unlucky));
    drop(stage.answered());
}

/// Peers that stop in the middle of an exchange for good.
#[test]
fn no_unfinished_exchange_makes_the_server_spin() {
    let long_limits = Limits { head: HANG, answer: HANG, linger: HANG, ..Limits::DEFAULT };
    let mut stage = Stage::within(100, long_limits);
    let mut unread = stage.connect();
    while unread.write(&KEPT.repeat(100)).is_ok() {
        stage.turn();
    }
    let mut half_closed = stage.connect();
    while half_closed.write(&KEPT.repeat(100)).is_ok() {
        stage.turn();
    }
    half_closed.shutdown(Shutdown::Write).unwrap();
    let mut refused = stage.connect();
    refused.write_all(b"nonsense\r\n").unwrap();
    let mut unfinished = stage.connect();
    unfinished.write_all(b"GET /health HT").unwrap();
    let _silent = stage.connect();
    let _idle = stage.answered();
    // Everything that can be answered is answered first.
    while !stage.server.ready.is_empty() {
        stage.turn();
    }
    stage.settle();
    let (begin, mut turns) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_millis(300) {
        let until = begin + Duration::from_millis(300);
        turn(&mut stage.server, until, &mut || report(Status::Ok)).unwrap();
        turns += 1;
    }
    assert!(turns < 10, "{turns} turns with nothing to do");
    assert_eq!(stage.server.connections(), 6);
}

#[test]
fn a_listening_socket_shut_down_by_another_process_makes_nothing_spin() {
    let mut stage = Stage::with_places(10);
    let mut kept = stage.answered();
    rustix::net::shutdown(&stage.listener, rustix::net::Shutdown::Both).unwrap();
    let (begin, mut turns) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_millis(300) {
        let until = begin + Duration::from_millis(300);
        turn(&mut stage.server, until, &mut || report(Status::Ok)).unwrap();
        turns += 1;
    }
    assert!(turns < 20, "{turns} turns");
    stage.ask(&mut kept);
}

#[test]
fn a_peer_that_does_not_wait_for_its_answer_raises_no_signal() {
    static RAISED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    extern "C" fn raised(_: libc::c_int) {
        RAISED.store(true, std::sync::atomic::Ordering::SeqCst);
    }
    // SAFETY: the handler only stores to an atomic. Nothing in this process relies on the signal.
    unsafe { libc::signal(libc::SIGPIPE, raised as *const () as libc::sighandler_t) };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("health.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let mut stage = Stage::with_places(10);
    stage.server.listen(listener.as_fd()).unwrap();
    for _ in 0..10 {
        let mut peer = std::os::unix::net::UnixStream::connect(&path).unwrap();
        peer.write_all(&KEPT.repeat(3)).unwrap();
        drop(peer);
        stage.until("its end", || true);
    }
    stage.settle();
    assert_eq!(stage.server.connections(), 0);
    assert!(!RAISED.load(std::sync::atomic::Ordering::SeqCst));
}

#[test]
fn answers_to_pipelined_requests_do_not_wait_for_each_other() {
    let mut stage = Stage::with_places(10);
    tune(&stage.listener);
    let mut stream = stage.connect();
    stream.write_all(b"GET").unwrap();
    let (id, ..) = loop {
        stage.turn();
        let waiting = stage.server.places.first(0, Phase::Head);
        if let Some(waiting) = waiting {
            break waiting;
        }
    };
    assert!(rustix::net::sockopt::tcp_nodelay(stage.server.places.get(id).unwrap()).unwrap());
}

#[test]
fn a_tuned_listening_socket_answers_among_silent_connections() {
    let mut stage = Stage::with_places(100);
    tune(&stage.listener);
    let mut late = stage.connect();
    let mut silent = Vec::new();
    let (crowd, _alone) = crowd();
    for i in 0..crowd.min(5000) {
        silent.push(stage.connect());
        if i % 100 == 0 {
            stage.settle();
        }
    }
    for _ in 0..10 {
        let mut probe = stage.connect();
        probe.write_all(PROBE).unwrap();
        stage.until("an answer", || is_answered(&mut probe));
    }
    // A connection that has been silent for a while is answered when it sends a request, unless it was closed for
    // another.
    late.write_all(PROBE).unwrap();
    stage.until("an answer to the late one", || is_answered(&mut late) || is_closed(&mut late));
    let mut half_closed = stage.connect();
    half_closed.shutdown(Shutdown::Write).unwrap();
    stage.until("the end of a connection without a request", || is_closed(&mut half_closed));
}

#[test]
fn a_connection_that_has_waited_only_briefly_is_not_closed_for_a_new_one() {
    let mut stage = Stage::with_places(2);
    let _waiting = [stage.connect(), stage.answered()];
    stage.settle();
    let first = [Phase::Head, Phase::Idle].map(|phase| stage.server.places.first(0, phase).unwrap());
    let [(id, since, _), _] = first;
    let mut at = |moment| stage.server.longest_waiting(0..=0, moment);
    assert_eq!(at(since + Duration::from_millis(10)), None);
    assert_eq!(at(since + GRACE - Duration::from_nanos(1)), None);
    assert_eq!(at(since + GRACE), Some(id));
}

#[test]
fn without_descriptors_the_server_pauses_and_recovers() {
    let (_, _alone) = crowd();
    let (full, is_full) = std::sync::mpsc::channel();
    let (answered, is_answered) = std::sync::mpsc::channel();
    let serving = std::thread::spawn(move || {
        // A descriptor table of its own, like that of the keeper, which shares nothing with other tests.
        // SAFETY: this thread owns no descriptors.
        let unshared =
            unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE) };
        assert_eq!(unshared, 0);
        let (listener, address) = any_port();
        let mut server = Server::new(Answers::new(&HttpOptions::default()), Limits::DEFAULT).unwrap();
        server.listen(listener.as_fd()).unwrap();
        let mut serve_for = |time: Duration| {
            let end = Instant::now() + time;
            while Instant::now() < end {
                turn(&mut server, end, &mut || report(Status::Ok)).unwrap();
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
fn a_good_probe_is_answered_when_idle_clients_have_all_descriptors() {
    let (_, _alone) = crowd();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let serving = std::thread::spawn(move || {
        // SAFETY: this thread owns no descriptors.
        let unshared =
            unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_UNSHARE) };
        assert_eq!(unshared, 0);
        let (listener, address) = any_port();
        // No time limit closes a connection.
        let long_limits = Limits { head: 100 * HANG, idle: 100 * HANG, ..Limits::DEFAULT };
        let mut server = Server::new(Answers::new(&HttpOptions::default()), long_limits).unwrap();
        server.listen(listener.as_fd()).unwrap();
        let mut fill: Vec<_> = std::iter::from_fn(|| std::fs::File::open("/dev/null").ok()).collect();
        fill.truncate(fill.len() - 10);
        ready.send(address).unwrap();
        while is_done.try_recv().is_err() {
            turn(&mut server, Instant::now() + Duration::from_millis(1), &mut || report(Status::Ok)).unwrap();
        }
    });
    let address = is_ready.recv().unwrap();
    let _idle: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    for _ in 0..10 {
        let mut probe = TcpStream::connect(address).unwrap();
        probe.set_read_timeout(Some(HANG)).unwrap();
        probe.write_all(PROBE).unwrap();
        assert_eq!(code(&rest_of(probe)), 200);
    }
    done.send(()).unwrap();
    serving.join().unwrap();
}
