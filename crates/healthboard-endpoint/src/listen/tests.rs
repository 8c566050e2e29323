use super::*;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn uri(path: &Path) -> Uri {
    format!("unix://{}", path.display()).parse().unwrap()
}

fn bind_one(path: &Path, mode: u32) -> io::Result<Listener> {
    Ok(bind(&uri(path), mode)?.pop().unwrap())
}

fn error(path: &Path) -> String {
    bind_one(path, 0o660).unwrap_err().to_string()
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn names(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Where a client of `path` ends up.
fn reaches(path: &Path, listener: &Listener) -> bool {
    let Listener::Unix { listener, .. } = listener else { panic!("no unix socket") };
    let Ok(mut client) = UnixStream::connect(path) else { return false };
    client.write_all(b"x").unwrap();
    let Ok((mut server, _)) = listener.accept() else { return false };
    server.read_exact(&mut [0]).is_ok()
}

#[test]
fn a_stale_socket_is_replaced_and_nothing_is_left_beside_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("health.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(UnixStream::connect(&path).is_err(), "stale");
    let listener = bind_one(&path, 0o660).unwrap();
    assert!(reaches(&path, &listener));
    assert_eq!(names(directory.path()), [path]);
}

#[test]
fn a_living_socket_is_left_alone_and_its_owner_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("health.sock");
    let owner = bind_one(&path, 0o660).unwrap();
    let error = error(&path);
    assert!(error.starts_with(&format!("process {} (`", std::process::id())), "{error}");
    assert!(error.contains("`) serves `") && error.contains("{binary}"), "{error}");
    assert!(owner.is_reachable());
    assert_eq!(names(directory.path()), [path]);
}

#[test]
fn a_living_socket_that_takes_no_more_connections_is_living() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("health.sock");
    let owner = UnixListener::bind(&path).unwrap();
    listen(&owner, 0).unwrap();
    let _waiting: Vec<OwnedFd> = std::iter::repeat_with(|| {
        let socket = unix_socket().unwrap();
        connect(&socket, &SocketAddrUnix::new(&path).unwrap()).map(|()| socket)
    })
    .map_while(Result::ok)
    .collect();
    assert!(error(&path).starts_with("another process serves `"), "{}", error(&path));
}

#[test]
fn whatever_is_no_socket_is_never_removed() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("precious");
    fs::write(&file, "data").unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let inner = directory.path().join("directory");
    fs::create_dir(&inner).unwrap();
    for path in [&file, &link, &inner] {
        let error = error(path);
        assert!(error.contains("exists and is no socket; move it away"), "{error}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"data");
    assert_eq!(fs::read_link(&link).unwrap(), file);
    assert_eq!(names(directory.path()).len(), 3);
}

#[test]
fn the_mode_is_as_configured_from_the_first_instant_whatever_the_umask() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("health.sock");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut widest = 0;
            while !done.load(Relaxed) {
                let entries =
                    fs::read_dir(directory.path()).unwrap().filter_map(|entry| entry.ok()?.metadata().ok());
                widest |= entries.fold(0, |widest, metadata| widest | metadata.mode());
            }
            widest & 0o7777
        });
        let binder = scope.spawn(|| {
            // SAFETY: gives this thread an umask of its own.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_FS) }, 0);
            for umask in [0, 0o077].repeat(500) {
                // SAFETY: umask only sets a number.
                unsafe { libc::umask(umask) };
                drop(bind_one(&path, 0o620).unwrap());
                assert_eq!(mode(&path), 0o620);
            }
        });
        let bound = binder.join();
        done.store(true, Relaxed);
        assert_eq!(watcher.join().unwrap() & !0o620, 0, "there was a moment with a wider mode");
        bound.unwrap();
    });
    for configured in [0o600, 0o660, 0o666, 0o777] {
        drop(bind_one(&path, configured).unwrap());
        assert_eq!(mode(&path), configured);
    }
}

#[test]
fn who_finds_the_socket_can_connect() {
    let directory = tempfile::tempdir().unwrap();
    for i in 0..500 {
        let path = directory.path().join(format!("{i}.sock"));
        std::thread::scope(|scope| {
            let client = scope.spawn(|| {
                let (client, address) = (unix_socket().unwrap(), SocketAddrUnix::new(&path).unwrap());
                loop {
                    match connect(&client, &address) {
                        Err(Errno::NOENT) => (),
                        found => return found,
                    }
                }
            });
            let _listener = bind_one(&path, 0o600).unwrap();
            assert_eq!(client.join().unwrap(), Ok(()));
        });
    }
}

#[test]
fn the_longest_path_is_bound_and_a_longer_one_is_a_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    for name in [1, 5, 60] {
        let mut inner = directory.path().to_owned();
        let room = 107 - directory.path().as_os_str().len() - 2 - name;
        inner.push("d".repeat(room));
        fs::create_dir(&inner).unwrap();
        let path = inner.join("n".repeat(name));
        assert_eq!(path.as_os_str().len(), 107);
        let listener = bind_one(&path, 0o600).unwrap();
        assert!(reaches(&path, &listener), "a name of {name} bytes");
        // The settings refuse it first; whoever makes the value by hand is told here.
        let longer = bind(&Uri::Unix(inner.join("n".repeat(name + 1))), 0o600).unwrap_err().to_string();
        assert!(longer.contains("108 bytes") && longer.contains("107"), "{longer}");
    }
}

#[test]
fn a_directory_that_is_missing_read_only_or_everybodys_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let missing = error(&directory.path().join("missing/health.sock"));
    assert!(
        missing.starts_with("there is no directory `") && missing.contains("RuntimeDirectory="),
        "{missing}"
    );

    let read_only = error(Path::new("/proc/self/health.sock"));
    assert!(read_only.starts_with("cannot make a socket in `/proc/self`: "), "{read_only}");

    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(error(&file.join("health.sock")).ends_with("` is no directory"));

    let shared = directory.path().join("shared");
    fs::create_dir(&shared).unwrap();
    for (mode, refused) in [(0o777, true), (0o702, true), (0o1777, false), (0o775, false), (0o700, false)] {
        fs::set_permissions(&shared, Permissions::from_mode(mode)).unwrap();
        match bind_one(&shared.join("health.sock"), 0o600) {
            Ok(_) => assert!(!refused, "{mode:o}"),
            Err(e) => assert!(refused && e.to_string().contains(&format!("has mode {mode:04o}")), "{e}"),
        }
    }
}

#[test]
fn a_port_in_use_is_an_error_that_says_so() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let error = bind(&format!("tcp://{address}").parse().unwrap(), 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().starts_with(&format!("{address} is in use; ")), "{error}");
    // Half of localhost is not localhost.
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    assert_eq!(bind_tcp(&[free, address]).unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn of_localhost_the_addresses_that_exist_are_bound() {
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let nowhere = SocketAddr::from(([203, 0, 113, 1], 0));
    assert_eq!(bind_tcp(&[here, nowhere]).unwrap().len(), 1);
    assert_eq!(bind_tcp(&[nowhere, here]).unwrap().len(), 1);
    assert_eq!(bind_tcp(&[here, here]).unwrap().len(), 2);
    let error = bind_tcp(&[nowhere]).unwrap_err().to_string();
    assert_eq!(error, "203.0.113.1 is no address of this host");
}

#[test]
fn a_removed_or_replaced_socket_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("health.sock");
    let listener = bind_one(&path, 0o600).unwrap();
    assert!(listener.is_reachable());
    fs::remove_file(&path).unwrap();
    assert!(!listener.is_reachable());
    let next = bind_one(&path, 0o600).unwrap();
    assert!(next.is_reachable() && !listener.is_reachable());
}

#[test]
fn an_inherited_socket_is_taken_only_for_its_own_uri() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("health.sock");
    let give = |listener: &Listener| listener.as_fd().try_clone_to_owned().unwrap();

    let listener = bind_one(&path, 0o600).unwrap();
    let taken = Listener::from_fd(&uri(&path), give(&listener)).unwrap();
    assert!(taken.is_reachable());
    drop(listener);
    // The connection by which the socket was recognised comes first.
    let Listener::Unix { listener: socket, .. } = &taken else { panic!("a unix socket") };
    drop(socket.accept().unwrap());
    assert!(reaches(&path, &taken));

    let other = bind_one(&directory.path().join("other.sock"), 0o600).unwrap();
    assert!(Listener::from_fd(&uri(&path), give(&other)).is_err(), "another path");
    let client = UnixStream::connect(&path).unwrap();
    assert!(Listener::from_fd(&uri(&path), client.into()).is_err(), "not listening");
    fs::remove_file(&path).unwrap();
    assert!(Listener::from_fd(&uri(&path), give(&taken)).is_err(), "removed");
    let _newer = bind_one(&path, 0o600).unwrap();
    assert!(Listener::from_fd(&uri(&path), give(&taken)).is_err(), "replaced");

    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let own: Uri = format!("tcp://{address}").parse().unwrap();
    let localhost: Uri = format!("tcp://localhost:{}", address.port()).parse().unwrap();
    let foreign: Uri = format!("tcp://{}:{}", address.ip(), address.port() ^ 1).parse().unwrap();
    for (uri, good) in [(own, true), (localhost, true), (foreign, false), (uri(&path), false)] {
        assert_eq!(Listener::from_fd(&uri, tcp.try_clone().unwrap().into()).is_ok(), good, "{uri}");
    }
    let _client = std::net::TcpStream::connect(address).unwrap();
    let (connection, _) = tcp.accept().unwrap();
    let own: Uri = format!("tcp://{address}").parse().unwrap();
    assert!(Listener::from_fd(&own, connection.into()).is_err(), "the right address, but not listening");
}

#[test]
fn sockets_do_not_block_and_do_not_survive_exec() {
    use rustix::fs::{OFlags, fcntl_getfl};
    use rustix::io::{FdFlags, fcntl_getfd};
    let directory = tempfile::tempdir().unwrap();
    let unix = bind_one(&directory.path().join("health.sock"), 0o600).unwrap();
    let tcp = bind_tcp(&[([127, 0, 0, 1], 0).into()]).unwrap().pop().unwrap();
    for listener in [unix, tcp] {
        assert!(fcntl_getfd(&listener).unwrap().contains(FdFlags::CLOEXEC), "{listener:?}");
        assert!(fcntl_getfl(&listener).unwrap().contains(OFlags::NONBLOCK), "{listener:?}");
    }
}
