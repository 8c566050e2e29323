use super::*;
use crate::listen::bind_tcp;
use crate::testing::{HANG, as_nobody, own_directory, set_mode};
use rustix::io::{FdFlags, fcntl_getfd};
use std::fs;
use std::io::{PipeReader, Read, Write, pipe};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;
use tempfile::TempDir;

struct Place {
    directory: TempDir,
    open: fs::File,
}

impl Place {
    fn new() -> Place {
        let directory = own_directory();
        let open = fs::File::open(directory.path()).unwrap();
        Place { directory, open }
    }

    fn dir(&self) -> BorrowedFd<'_> {
        self.open.as_fd()
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join(SOCKET)
    }

    fn standby_socket(&self) -> StandbySocket {
        StandbySocket::open(self.dir()).unwrap()
    }

    fn take(&self) -> io::Result<(UnixStream, Vec<Inherited>)> {
        take(self.dir(), HANG)
    }

    /// The error of [`take`] for a holder that does this with the connection.
    fn error(&self, holder: impl FnOnce(UnixStream) + Send + 'static) -> Error {
        let _ = fs::remove_file(self.socket());
        let listener = UnixListener::bind(self.socket()).unwrap();
        let thread = thread::spawn(move || holder(listener.accept().unwrap().0));
        let error = self.take().unwrap_err();
        thread.join().unwrap();
        error
    }
}

/// Waits for a standby and accepts it.
fn admit(standby_socket: &StandbySocket) -> (UnixStream, Peer) {
    let begin = Instant::now();
    loop {
        match standby_socket.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
            accepted => return accepted.unwrap(),
        }
        assert!(begin.elapsed() < HANG, "no standby connects");
    }
}

fn tcp() -> (Uri, Listener, SocketAddr) {
    let listener = bind_tcp(&[([127, 0, 0, 1], 0).into()]).unwrap().pop().unwrap();
    let uri = listener.local_uri().unwrap();
    let address = uri.addresses()[0];
    (uri, listener, address)
}

/// Sends these bytes, and this descriptor `times` times.
fn send(to: &UnixStream, text: &[u8], descriptor: impl AsFd, times: usize) {
    let all = vec![descriptor.as_fd(); times];
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(250))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    if times > 0 {
        assert!(message.push(SendAncillaryMessage::ScmRights(&all)));
    }
    sendmsg(to, &[IoSlice::new(text)], &mut message, SendFlags::NOSIGNAL).unwrap();
}

/// Checks that all descriptors of the other half are closed.
fn assert_closed(mut reader: PipeReader) {
    let (done, is_done) = std::sync::mpsc::channel();
    thread::spawn(move || done.send(reader.read(&mut [0]).unwrap()));
    assert_eq!(is_done.recv_timeout(HANG), Ok(0), "a descriptor has leaked");
}

#[test]
fn a_standby_gets_the_sockets_with_their_uris_and_sees_the_end_of_the_holder() {
    let place = Place::new();
    let standby_socket = place.standby_socket();
    let listeners = [tcp(), tcp()];
    let addresses = listeners.each_ref().map(|(_, _, address)| *address);
    let given: Vec<(Uri, Listener)> =
        listeners.into_iter().map(|(uri, listener, _)| (uri, listener)).collect();
    let holder = thread::scope(|scope| {
        let takes = scope.spawn(|| place.take().unwrap());
        let (stream, peer) = admit(&standby_socket);
        assert_eq!(peer, Peer { pid: Some(std::process::id()), uid: rustix::process::geteuid().as_raw() });
        give(&stream, &given).unwrap();
        let (holder, inherited) = takes.join().unwrap();
        assert_eq!(wait_for_end(&holder, Duration::from_millis(1)), Wait::TimedOut);
        drop(stream);
        assert_eq!(inherited.len(), 2);
        for (inherited, (uri, _)) in inherited.iter().zip(&given) {
            assert_eq!(inherited.uri, uri.to_string());
            assert!(fcntl_getfd(&inherited.socket).unwrap().contains(FdFlags::CLOEXEC));
        }
        drop(given);
        // Each socket can be used, for the right URI.
        for (i, inherited) in inherited.into_iter().enumerate() {
            let uri = inherited.uri.parse().unwrap();
            Listener::from_fd(&uri, inherited.socket, 0).unwrap();
            assert_eq!(uri.addresses(), [addresses[i]]);
        }
        holder
    });
    assert_eq!(wait_for_end(&holder, HANG), Wait::Ended);
    assert!(addresses.iter().all(|address| TcpStream::connect(address).is_err()), "all are closed");
}

#[test]
fn a_holder_without_sockets_is_accepted() {
    let place = Place::new();
    let standby_socket = place.standby_socket();
    thread::scope(|scope| {
        let takes = scope.spawn(|| place.take().unwrap());
        let (stream, _) = admit(&standby_socket);
        give(&stream, &[]).unwrap();
        let (_, inherited) = takes.join().unwrap();
        assert!(inherited.is_empty());
    });
}

#[test]
fn any_paths_arrive_whole_up_to_the_limit() {
    let directory = own_directory();
    let name = |i: usize| format!("{i:02}{}", "\n,".repeat(60));
    let listeners: Vec<(Uri, Listener)> = (0..MAX_SOCKETS + 3)
        .map(|i| {
            let mut path = directory.path().join(name(i)).into_os_string().into_string().unwrap();
            path.truncate(107);
            let uri = Uri::Unix(path.into());
            let listener = crate::listen::bind(&uri, 0o600).unwrap().pop().unwrap();
            (uri, listener)
        })
        .collect();
    let (ours, theirs) = UnixStream::pair().unwrap();
    give(&ours, &listeners).unwrap();
    let inherited = receive(&theirs).unwrap();
    assert_eq!(inherited.len(), MAX_SOCKETS);
    for (inherited, (uri, _)) in inherited.into_iter().zip(&listeners) {
        assert_eq!(inherited.uri, uri.to_string());
        Listener::from_fd(uri, inherited.socket, 0o600).unwrap();
    }
}

#[test]
fn without_a_holder_there_is_an_error_at_once() {
    let place = Place::new();
    assert_eq!(place.take().unwrap_err().kind(), ErrorKind::NotFound);
    drop(place.standby_socket());
    assert_eq!(place.take().unwrap_err().kind(), ErrorKind::ConnectionRefused);
    assert_eq!(place.error(drop).kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn a_holder_that_sends_nothing_is_waited_for_until_the_timeout() {
    let place = Place::new();
    let timeout = Duration::from_millis(20);
    let standby_socket = place.standby_socket();
    assert_eq!(take(place.dir(), timeout).unwrap_err().kind(), ErrorKind::TimedOut);
    // The same for one whose queue is full.
    rustix::net::listen(&standby_socket.listener, 0).unwrap();
    let entry = Entry::open(place.dir(), OsStr::new(SOCKET)).unwrap();
    let _waiting: Vec<OwnedFd> = std::iter::repeat_with(|| entry.connect()).map_while(Result::ok).collect();
    let begin = Instant::now();
    assert_eq!(take(place.dir(), timeout).unwrap_err().kind(), ErrorKind::TimedOut);
    assert!(begin.elapsed() >= timeout, "it returned early, and the caller would spin");
}

#[test]
fn an_invalid_handover_is_refused_and_its_descriptors_are_closed() {
    let place = Place::new();
    let greeting = |rest: &str| [GREETING, rest.as_bytes()].concat();
    let mut cases: Vec<(Vec<u8>, usize)> = vec![
        (b"tcp://127.0.0.1:1\n".to_vec(), 1),
        (b"x".to_vec(), 0),
        (vec![0; 9000], 1),
        (b"healthboard endpoint 2\0tcp://127.0.0.1:1".to_vec(), 1),
        (greeting("0\0tcp://127.0.0.1:1"), 1),
        (greeting(""), 1),
        (greeting("\0tcp://127.0.0.1:1"), 0),
        (greeting("\0tcp://127.0.0.1:1"), 2),
        (greeting("\0tcp://127.0.0.1:1\0tcp://127.0.0.1:2"), 1),
        (greeting(&"\0a".repeat(250)), 250),
        ([GREETING, b"\0\xff"].concat(), 1),
    ];
    // As many names as descriptors fit.
    cases.extend((MAX_SOCKETS..MAX_SOCKETS + 4).map(|names| (greeting(&"\0a".repeat(names)), 250)));
    for (text, descriptors) in cases {
        let (reader, writer) = pipe().unwrap();
        let shown = format!("{:?} with {descriptors}", String::from_utf8_lossy(&text[..text.len().min(60)]));
        let error = place.error(move |stream| send(&stream, &text, writer, descriptors));
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{shown}: {error}");
        assert!(error.to_string().contains("stop the service's other processes"), "{error}");
        assert_closed(reader);
    }
}

#[test]
fn a_descriptor_that_is_no_listening_socket_is_not_used() {
    let place = Place::new();
    let (uri, _listener, _) = tcp();
    let (reader, writer) = pipe().unwrap();
    let text = [GREETING, b"\0", uri.to_string().as_bytes()].concat();
    let listener = UnixListener::bind(place.socket()).unwrap();
    let thread = thread::spawn(move || send(&listener.accept().unwrap().0, &text, writer, 1));
    let (_, mut inherited) = place.take().unwrap();
    thread.join().unwrap();
    assert!(Listener::from_fd(&uri, inherited.remove(0).socket, 0).is_err());
    assert_closed(reader);
}

#[test]
fn a_standby_that_never_reads_does_not_keep_the_holder_waiting() {
    let (uri, listener, address) = tcp();
    let listeners = [(uri, listener)];
    let (ours, theirs) = UnixStream::pair().unwrap();
    let refused = (0..1_000_000).find_map(|_| give(&ours, &listeners).err()).unwrap();
    let expected = [Errno::AGAIN, Errno::TOOMANYREFS].map(|errno| Error::from(errno).kind());
    assert!(expected.contains(&refused.kind()), "{refused}");
    // The descriptors in the queue are closed with it.
    drop(theirs);
    drop(listeners);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_standby_that_has_ended_is_an_error_and_no_signal() {
    // A blocked signal stays pending, even if it is ignored otherwise.
    // SAFETY: signal sets are plain data, and the mask is this thread's.
    let pending = || unsafe {
        let mut set = std::mem::zeroed();
        libc::sigpending(&mut set);
        libc::sigismember(&set, libc::SIGPIPE)
    };
    // SAFETY: as above.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGPIPE);
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()), 0);
    }
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    assert_eq!(give(&ours, &[]).unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(pending(), 0);
}

#[test]
fn a_process_of_another_user_gets_nothing() {
    let place = Place::new();
    let standby_socket = place.standby_socket();
    assert_eq!(fs::metadata(place.socket()).unwrap().permissions().mode() & 0o777, 0o600);
    set_mode(place.directory.path(), 0o755);
    let socket = place.socket();
    let refused = as_nobody(move || UnixStream::connect(socket).unwrap_err());
    assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
    // Nor if the socket's mode was widened.
    set_mode(&place.socket(), 0o666);
    let socket = place.socket();
    let mut stranger = as_nobody(move || UnixStream::connect(socket).unwrap());
    let error = standby_socket.accept().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(error.to_string(), "a process of uid 65534 cannot be a standby of this service");
    stranger.set_read_timeout(Some(HANG)).unwrap();
    assert_eq!(stranger.read(&mut [0]).unwrap(), 0, "the connection is closed");
    assert_eq!(standby_socket.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn nothing_is_taken_from_a_process_of_another_user() {
    let place = Place::new();
    set_mode(place.directory.path(), 0o777);
    let socket = place.socket();
    let listener = as_nobody(move || UnixListener::bind(socket).unwrap());
    let error = place.take().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().starts_with("`endpoint.sock` is served by uid 65534, "), "{error}");
    drop(listener);
}

#[test]
fn a_link_in_place_of_the_socket_is_not_followed() {
    let place = Place::new();
    let elsewhere = Place::new();
    let _door = elsewhere.standby_socket();
    std::os::unix::fs::symlink(elsewhere.socket(), place.socket()).unwrap();
    assert!(place.take().is_err());
    // The next holder replaces the link and leaves its target alone.
    let standby_socket = place.standby_socket();
    assert!(standby_socket.is_found(place.dir()) && !standby_socket.is_found(elsewhere.dir()));
    assert!(elsewhere.socket().exists());
}

#[test]
fn a_removed_or_replaced_socket_is_noticed() {
    let place = Place::new();
    let first = place.standby_socket();
    assert!(first.is_found(place.dir()));
    let second = place.standby_socket();
    assert!(!first.is_found(place.dir()) && second.is_found(place.dir()));
    fs::remove_file(place.socket()).unwrap();
    assert!(!second.is_found(place.dir()));
    assert!(fs::read_dir(place.directory.path()).unwrap().next().is_none(), "nothing is left");
}

#[test]
fn data_from_the_holder_counts_as_its_end() {
    let (holder, mut other) = UnixStream::pair().unwrap();
    other.write_all(b"x").unwrap();
    assert_eq!(wait_for_end(&holder, HANG), Wait::Ended);
}
