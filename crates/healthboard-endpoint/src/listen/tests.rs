use super::*;
use crate::testing::{HANG, as_nobody, make_directory, own_directory, set_mode};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, connect, listen, socket_with};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

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

fn unix_socket() -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap()
}

/// Connects until the queue is full.
fn fill(path: &Path) -> Vec<OwnedFd> {
    let waiting = std::iter::repeat_with(|| {
        let socket = unix_socket();
        connect(&socket, &SocketAddrUnix::new(path).unwrap()).map(|()| socket)
    });
    waiting.map_while(Result::ok).collect()
}

/// Whether a client of `path` ends up at this listener.
fn reaches(path: &Path, listener: &Listener) -> bool {
    let Listener::Unix { listener, .. } = listener else { panic!("no unix socket") };
    let Ok(mut client) = UnixStream::connect(path) else { return false };
    client.write_all(b"x").unwrap();
    let Ok((mut server, _)) = listener.accept() else { return false };
    server.read_exact(&mut [0]).is_ok()
}

#[test]
fn a_stale_socket_is_replaced_and_nothing_is_left_beside_it() {
    let directory = own_directory();
    let path = directory.path().join("health.sock");
    drop(UnixListener::bind(&path).unwrap());
    assert!(UnixStream::connect(&path).is_err(), "stale");
    let listener = bind_one(&path, 0o660).unwrap();
    assert!(reaches(&path, &listener));
    assert_eq!(names(directory.path()), [path]);
}

#[test]
fn a_socket_in_use_is_left_alone_and_its_owner_named() {
    let directory = own_directory();
    let path = directory.path().join("health.sock");
    let owner = bind_one(&path, 0o660).unwrap();
    let error = error(&path);
    assert!(error.starts_with(&format!("process {} (`", std::process::id())), "{error}");
    assert!(error.contains("`) serves `") && error.contains("{binary}"), "{error}");
    assert!(owner.is_reachable());
    assert_eq!(names(directory.path()), [path]);
}

#[test]
fn a_socket_with_a_full_queue_is_in_use() {
    let directory = own_directory();
    let path = directory.path().join("health.sock");
    let owner = UnixListener::bind(&path).unwrap();
    listen(&owner, 0).unwrap();
    let _waiting = fill(&path);
    assert!(error(&path).starts_with("another process serves `"), "{}", error(&path));
}

#[test]
fn a_file_that_is_no_socket_is_never_removed() {
    let directory = own_directory();
    let file = directory.path().join("precious");
    fs::write(&file, "data").unwrap();
    let link = directory.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let inner = directory.path().join("directory");
    make_directory(&inner, 0o755);
    for path in [&file, &link, &inner] {
        let error = error(path);
        assert!(error.contains("exists and is not a socket; move it away"), "{error}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"data");
    assert_eq!(fs::read_link(&link).unwrap(), file);
    assert_eq!(names(directory.path()).len(), 3);
}

#[test]
fn the_mode_is_as_configured_from_the_first_instant_whatever_the_umask() {
    let directory = own_directory();
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
fn a_client_that_finds_the_socket_can_connect() {
    let directory = own_directory();
    for i in 0..500 {
        let path = directory.path().join(format!("{i}.sock"));
        std::thread::scope(|scope| {
            let client = scope.spawn(|| {
                let (client, address) = (unix_socket(), SocketAddrUnix::new(&path).unwrap());
                let begin = Instant::now();
                loop {
                    match connect(&client, &address) {
                        Err(Errno::NOENT) if begin.elapsed() < HANG => (),
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
    let directory = own_directory();
    for name in [1, 5, 60] {
        let mut inner = directory.path().to_owned();
        let room = 107 - directory.path().as_os_str().len() - 2 - name;
        inner.push("d".repeat(room));
        make_directory(&inner, 0o755);
        let path = inner.join("n".repeat(name));
        assert_eq!(path.as_os_str().len(), 107);
        let listener = bind_one(&path, 0o600).unwrap();
        assert!(reaches(&path, &listener), "a name of {name} bytes");
        // The settings refuse it first; a value made in code is refused here.
        let longer = bind(&Uri::Unix(inner.join("n".repeat(name + 1))), 0o600).unwrap_err().to_string();
        assert!(longer.contains("108 bytes") && longer.contains("107"), "{longer}");
    }
}

#[test]
fn a_missing_read_only_or_shared_directory_is_refused() {
    let directory = own_directory();
    let missing = error(&directory.path().join("missing/health.sock"));
    assert!(
        missing.starts_with("there is no directory `") && missing.contains("RuntimeDirectory="),
        "{missing}"
    );

    let read_only = error(Path::new("/proc/self/health.sock"));
    assert!(read_only.starts_with("cannot make a socket in `/proc/self`: "), "{read_only}");

    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(error(&file.join("health.sock")).ends_with("` is not a directory; choose a path in one"));

    let shared = directory.path().join("shared");
    make_directory(&shared, 0o755);
    for (mode, refused) in
        [(0o777, "anybody"), (0o702, "anybody"), (0o775, "its group"), (0o770, "its group")]
    {
        set_mode(&shared, mode);
        let error = error(&shared.join("health.sock"));
        let found = format!("`{}` belongs to uid {} and has mode {mode:04o}", shared.display(), uid());
        assert!(error.starts_with(&found) && error.contains(&format!("so that {refused} could")), "{error}");
        assert!(names(&shared).is_empty(), "{mode:o}");
    }
    for mode in [0o1777, 0o1775, 0o755, 0o700] {
        set_mode(&shared, mode);
        bind_one(&shared.join("health.sock"), 0o600).unwrap_or_else(|e| panic!("{mode:o}: {e}"));
    }
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[test]
fn a_port_in_use_is_an_error_that_says_so() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let error = bind(&format!("tcp://{address}").parse().unwrap(), 0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().starts_with(&format!("{address} is in use; ")), "{error}");
    assert!(error.to_string().contains("healthboard show"), "{error}");
    // One of two addresses is not enough.
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    assert_eq!(bind_tcp(&[free, address]).unwrap_err().kind(), ErrorKind::AddrInUse);
}

#[test]
fn existing_addresses_are_bound_and_missing_ones_skipped() {
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let nowhere = SocketAddr::from(([203, 0, 113, 1], 0));
    assert_eq!(bind_tcp(&[here, nowhere]).unwrap().len(), 1);
    assert_eq!(bind_tcp(&[nowhere, here]).unwrap().len(), 1);
    assert_eq!(bind_tcp(&[here, SocketAddr::from(([127, 0, 0, 2], 0))]).unwrap().len(), 2);
    let error = bind_tcp(&[nowhere]).unwrap_err().to_string();
    assert_eq!(error, "203.0.113.1 is not an address of this host");
}

#[test]
fn a_removed_or_replaced_socket_is_noticed() {
    let directory = own_directory();
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
    let directory = own_directory();
    let path = directory.path().join("health.sock");
    let give = |listener: &Listener| listener.as_fd().try_clone_to_owned().unwrap();

    let listener = bind_one(&path, 0o600).unwrap();
    let taken = Listener::from_fd(&uri(&path), give(&listener), 0o600).unwrap();
    assert!(taken.is_reachable());
    drop(listener);
    // The connection that checked the socket comes first.
    let Listener::Unix { listener: socket, .. } = &taken else { panic!("a unix socket") };
    drop(socket.accept().unwrap());
    assert!(reaches(&path, &taken));

    let other = bind_one(&directory.path().join("other.sock"), 0o600).unwrap();
    assert!(Listener::from_fd(&uri(&path), give(&other), 0o600).is_err(), "another path");
    let client = UnixStream::connect(&path).unwrap();
    assert!(Listener::from_fd(&uri(&path), client.into(), 0o600).is_err(), "not listening");
    fs::remove_file(&path).unwrap();
    assert!(Listener::from_fd(&uri(&path), give(&taken), 0o600).is_err(), "removed");
    let _newer = bind_one(&path, 0o600).unwrap();
    assert!(Listener::from_fd(&uri(&path), give(&taken), 0o600).is_err(), "replaced");

    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let own: Uri = format!("tcp://{address}").parse().unwrap();
    let localhost: Uri = format!("tcp://localhost:{}", address.port()).parse().unwrap();
    let foreign: Uri = format!("tcp://{}:{}", address.ip(), address.port() ^ 1).parse().unwrap();
    for (uri, good) in [(own, true), (localhost, true), (foreign, false), (uri(&path), false)] {
        assert_eq!(Listener::from_fd(&uri, tcp.try_clone().unwrap().into(), 0).is_ok(), good, "{uri}");
    }
    let _client = std::net::TcpStream::connect(address).unwrap();
    let (connection, _) = tcp.accept().unwrap();
    let own: Uri = format!("tcp://{address}").parse().unwrap();
    assert!(Listener::from_fd(&own, connection.into(), 0).is_err(), "the right address, but not listening");
}

#[test]
fn sockets_do_not_block_and_do_not_survive_exec() {
    use rustix::fs::{OFlags, fcntl_getfl};
    use rustix::io::{FdFlags, fcntl_getfd};
    let directory = own_directory();
    let unix = bind_one(&directory.path().join("health.sock"), 0o600).unwrap();
    let tcp = bind_tcp(&[([127, 0, 0, 1], 0).into()]).unwrap().pop().unwrap();
    for listener in [unix, tcp] {
        assert!(fcntl_getfd(&listener).unwrap().contains(FdFlags::CLOEXEC), "{listener:?}");
        assert!(fcntl_getfl(&listener).unwrap().contains(OFlags::NONBLOCK), "{listener:?}");
    }
}

#[test]
fn port_0_is_one_port_on_all_addresses_and_is_reported() {
    let localhost = Uri::Tcp { host: "localhost".to_owned(), port: 0 };
    let listeners = bind(&localhost, 0).unwrap();
    let uris: Vec<Uri> = listeners.iter().map(|listener| listener.local_uri().unwrap()).collect();
    let ports: Vec<u16> = uris.iter().map(|uri| uri.addresses()[0].port()).collect();
    assert!(ports[0] != 0 && ports.iter().all(|port| *port == ports[0]), "{uris:?}");
    for uri in &uris {
        std::net::TcpStream::connect(uri.addresses()[0]).unwrap();
    }
    // The process that takes it over knows it only as port 0.
    let socket = listeners[0].as_fd().try_clone_to_owned().unwrap();
    let taken = Listener::from_fd(&localhost, socket, 0).unwrap();
    assert_eq!(taken.local_uri().unwrap(), uris[0]);
    let elsewhere = Uri::Tcp { host: "127.0.0.9".to_owned(), port: 0 };
    let socket = listeners[0].as_fd().try_clone_to_owned().unwrap();
    assert!(Listener::from_fd(&elsewhere, socket, 0).is_err());

    let directory = own_directory();
    let path = directory.path().join("health.sock");
    assert_eq!(bind_one(&path, 0o600).unwrap().local_uri().unwrap(), uri(&path));
}

#[test]
fn a_privileged_port_is_refused_with_an_explanation() {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let is_refused = first.trim() != "0";
    let error = as_nobody(|| bind_tcp(&[([127, 0, 0, 1], 1).into()]).err().map(|e| e.to_string()));
    assert_eq!(error.is_some(), is_refused, "{error:?}");
    assert!(error.is_none_or(|error| {
        error.starts_with("port 1 needs privileges that this user does not have; choose one above 1023")
    }));
}

#[test]
fn a_socket_whose_queue_is_full_can_still_be_taken_over() {
    let directory = own_directory();
    let path = directory.path().join("health.sock");
    let listener = bind_one(&path, 0o600).unwrap();
    listen(&listener, 0).unwrap();
    let _waiting = fill(&path);
    let socket = listener.as_fd().try_clone_to_owned().unwrap();
    assert!(Listener::from_fd(&uri(&path), socket, 0o600).unwrap().is_reachable());
    // But not with a socket that was made for another name.
    let other = bind_one(&directory.path().join("other.sock"), 0o600).unwrap();
    let socket = other.as_fd().try_clone_to_owned().unwrap();
    assert!(Listener::from_fd(&uri(&path), socket, 0o600).is_err());
}

#[test]
fn a_socket_that_is_taken_over_gets_the_configured_mode() {
    let directory = own_directory();
    let path = directory.path().join("health.sock");
    let listener = bind_one(&path, 0o666).unwrap();
    let socket = listener.as_fd().try_clone_to_owned().unwrap();
    let taken = Listener::from_fd(&uri(&path), socket, 0o600).unwrap();
    assert_eq!(mode(&path), 0o600);
    assert!(taken.is_reachable());
}

#[test]
fn a_directory_of_another_user_is_refused_and_named() {
    let directory = own_directory();
    let theirs = directory.path().join("theirs");
    let (inner, ours) = (theirs.join("inner"), directory.path().join("ours"));
    make_directory(&theirs, 0o755);
    make_directory(&inner, 0o755);
    make_directory(&ours, 0o755);
    let nobody = as_nobody(uid);
    std::os::unix::fs::chown(&theirs, Some(nobody), None).expect("this test has to be run by root");
    for path in [theirs.join("health.sock"), inner.join("health.sock")] {
        let error = error(&path);
        let found =
            format!("`{}` belongs to uid {nobody} and has mode 0755, so that its owner", theirs.display());
        assert!(error.starts_with(&found) && error.contains("expected an owner of uid 0"), "{error}");
    }
    assert_eq!(names(&theirs), [inner]);
    // Its own user may use it, and every user may use a directory of root.
    let path = theirs.join("health.sock");
    as_nobody(move || drop(bind_one(&path, 0o660).unwrap()));
    let path = ours.join("health.sock");
    let error = as_nobody(move || bind_one(&path, 0o660).unwrap_err().to_string());
    assert!(error.starts_with("cannot make a socket in `") && error.contains("make it writable"), "{error}");
}

#[test]
fn a_link_of_another_user_in_a_shared_directory_is_refused_and_one_of_ours_is_followed() {
    let directory = own_directory();
    let (shared, real) = (directory.path().join("shared"), directory.path().join("real"));
    make_directory(&shared, 0o755);
    make_directory(&real, 0o755);
    set_mode(&shared, 0o1777);
    let link = shared.join("link");
    std::os::unix::fs::symlink("../real", &link).unwrap();
    let listener = bind_one(&link.join("health.sock"), 0o600).unwrap();
    assert!(reaches(&link.join("health.sock"), &listener) && listener.is_reachable());
    std::os::unix::fs::lchown(&link, Some(65534), None).expect("this test has to be run by root");
    let error = error(&link.join("other.sock"));
    assert!(error.starts_with(&format!("the link `{}` belongs to uid 65534", link.display())), "{error}");
    // A loop of links is an error.
    let ring = directory.path().join("ring");
    std::os::unix::fs::symlink("ring", &ring).unwrap();
    assert!(bind_one(&ring.join("health.sock"), 0o600).is_err());
}

#[test]
fn a_socket_whose_directory_was_replaced_is_not_reachable() {
    let directory = own_directory();
    let (place, away) = (directory.path().join("place"), directory.path().join("away"));
    make_directory(&place, 0o755);
    let path = place.join("health.sock");
    let listener = bind_one(&path, 0o600).unwrap();
    assert!(listener.is_reachable());
    fs::rename(&place, &away).unwrap();
    assert!(!listener.is_reachable());
    make_directory(&place, 0o755);
    assert!(!listener.is_reachable());
    let next = bind_one(&path, 0o600).unwrap();
    assert!(reaches(&path, &next) && next.is_reachable());
}

#[test]
fn a_process_that_has_dropped_root_binds_in_its_own_directory() {
    // Such a process is not dumpable, so parts of its `/proc` belong to root.
    let directory = own_directory();
    let own = directory.path().join("own");
    make_directory(&own, 0o755);
    std::os::unix::fs::chown(&own, Some(65534), None).expect("this test has to be run by root");
    let path = own.join("health.sock");
    as_nobody(move || {
        let listener = bind_one(&path, 0o660).unwrap();
        assert!(reaches(&path, &listener) && listener.is_reachable());
        assert_eq!((mode(&path), fs::metadata(&path).unwrap().uid()), (0o660, 65534));
        let socket = listener.as_fd().try_clone_to_owned().unwrap();
        Listener::from_fd(&uri(&path), socket, 0o660).unwrap();
        // Again, replacing a stale one.
        drop(listener);
        bind_one(&path, 0o600).unwrap();
    });
}

/// Runs this in a network namespace of its own, without any address.
fn in_an_empty_network<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: gives this thread a network of its own.
            let unshared = unsafe { libc::unshare(libc::CLONE_NEWNET) };
            assert_eq!(unshared, 0, "this test has to be run by root");
            run()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Configures the loopback interface of the namespace.
fn loopback(request: libc::Ioctl, set: impl FnOnce(&mut libc::ifreq)) {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // SAFETY: any bytes make an ifreq.
    let mut interface: libc::ifreq = unsafe { std::mem::zeroed() };
    interface.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    set(&mut interface);
    // SAFETY: the request reads an ifreq.
    assert_eq!(unsafe { libc::ioctl(socket.as_raw_fd(), request, &raw mut interface) }, 0);
}

#[test]
fn localhost_is_bound_on_those_of_its_addresses_that_the_host_has() {
    let localhost = Uri::Tcp { host: "localhost".to_owned(), port: 0 };
    let hosts = |listeners: Vec<Listener>| -> Vec<String> {
        let hosts = listeners.iter().map(|l| l.local_uri().unwrap().addresses()[0].ip().to_string());
        hosts.collect()
    };
    let up = || loopback(libc::SIOCSIFFLAGS, |i| i.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short);
    let bound = in_an_empty_network(|| {
        up();
        hosts(bind(&localhost, 0).unwrap())
    });
    assert_eq!(bound, ["127.0.0.1", "::1"]);
    let bound = in_an_empty_network(|| {
        up();
        // `0.0.0.0` removes the address.
        loopback(libc::SIOCSIFADDR, |interface| {
            interface.ifr_ifru.ifru_addr.sa_family = libc::AF_INET as libc::sa_family_t;
        });
        hosts(bind(&localhost, 0).unwrap())
    });
    assert_eq!(bound, ["::1"]);
    let bound = in_an_empty_network(|| {
        // A thread sees the settings of its own network namespace.
        fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").unwrap();
        up();
        hosts(bind(&localhost, 0).unwrap())
    });
    assert_eq!(bound, ["127.0.0.1"]);
}
