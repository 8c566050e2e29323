use super::*;
use crate::testing::own_directory;
use rustix::net::getsockname;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use tempfile::TempDir;

fn open_temporary() -> (TempDir, fs::File) {
    let directory = own_directory();
    let open = fs::File::open(directory.path()).unwrap();
    (directory, open)
}

fn name() -> &'static OsStr {
    OsStr::new("health.sock")
}

fn names(directory: &Path) -> Vec<OsString> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

fn new_socket(directory: &fs::File) -> NewSocket<'_> {
    NewSocket::listen(directory.as_fd(), name(), 0o600).unwrap()
}

fn stale(path: &Path) -> Identity {
    drop(UnixListener::bind(path).unwrap());
    Identity::named(rustix::fs::CWD, path.as_os_str()).unwrap()
}

#[test]
fn a_file_that_came_after_the_check_is_not_replaced() {
    let (directory, open) = open_temporary();
    let path = directory.path().join(name());
    fs::write(&path, "precious").unwrap();
    // The check found nothing, or a stale socket.
    let gone = stale(&directory.path().join("gone"));
    fs::remove_file(directory.path().join("gone")).unwrap();
    for seen in [None, Some(gone)] {
        let result = new_socket(&open).place(name(), seen);
        assert!(matches!(result, Err(NotPlaced::Taken)), "{result:?}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        assert_eq!(names(directory.path()), [name()]);
    }
}

#[test]
fn a_stale_socket_is_replaced_and_a_missing_one_is_no_error() {
    let (directory, open) = open_temporary();
    let path = directory.path().join(name());
    let seen = stale(&path);
    let (_socket, identity) = new_socket(&open).place(name(), Some(seen)).unwrap();
    assert_eq!(Identity::named(&open, name()).unwrap(), identity);
    assert_eq!(names(directory.path()), [name()]);
    fs::remove_file(&path).unwrap();
    let (_socket, identity) = new_socket(&open).place(name(), Some(seen)).unwrap();
    assert_eq!(Identity::named(&open, name()).unwrap(), identity);
    UnixStream::connect(&path).unwrap();
    assert_eq!(names(directory.path()), [name()]);
}

#[test]
fn a_dropped_socket_leaves_no_file() {
    let (directory, open) = open_temporary();
    let new = new_socket(&open);
    assert_eq!(names(directory.path()).len(), 1);
    drop(new);
    assert!(names(directory.path()).is_empty());
}

#[test]
fn no_link_is_followed() {
    let (directory, open) = open_temporary();
    let (target, link) = (directory.path().join("target"), directory.path().join(name()));
    let listener = UnixListener::bind(&target).unwrap();
    let mode = || fs::metadata(&target).unwrap().mode();
    let before = mode();
    symlink(&target, &link).unwrap();
    let entry = Entry::open(&open, name()).unwrap();
    assert!(!entry.is_socket());
    assert!(entry.connect().is_err(), "no connection through a link");
    assert!(entry.set_mode(0o620).is_err(), "no mode through a link");
    assert_eq!(mode(), before);
    // A file that is replaced by a link after it was opened stays the same file.
    let entry = Entry::open(&open, OsStr::new("target")).unwrap();
    fs::rename(&target, directory.path().join("moved")).unwrap();
    symlink("/dev/null", &target).unwrap();
    entry.set_mode(0o640).unwrap();
    assert_eq!(fs::metadata(directory.path().join("moved")).unwrap().mode() & 0o7777, 0o640);
    entry.connect().unwrap();
    listener.accept().unwrap();
}

#[test]
fn a_temporary_name_is_recognised_fits_and_is_different_each_time() {
    let long = "n".repeat(107);
    for name in ["h", "health.sock", "..", "-", &long] {
        let name = OsStr::new(name);
        let (one, two) = (temporary(name), temporary(name));
        assert_ne!(one, two);
        // Descriptors have at most seven digits.
        let address = format!("/proc/thread-self/fd/1234567/{}", one.display());
        assert!(address.len() <= 107, "{}", address.len());
        assert!(is_temporary_of(address.as_bytes(), name));
        assert!(!is_temporary_of(address.as_bytes(), OsStr::new("other.sock")));
        assert!(!is_temporary_of(name.as_bytes(), name));
    }
    assert!(!is_temporary_of(b"/run/.health.sock.0123.tmp", name()));
    assert!(!is_temporary_of(b"/run/.health.sock.0123456789abcdeg.tmp", name()));
    assert!(!is_temporary_of(b"", name()));
}

#[test]
fn both_ends_know_a_socket_by_its_temporary_name() {
    let (directory, open) = open_temporary();
    let (socket, _) = new_socket(&open).place(name(), None).unwrap();
    let own = SocketAddrUnix::try_from(getsockname(&socket).unwrap()).unwrap();
    assert!(is_temporary_of(own.path_bytes().unwrap(), name()), "{own:?}");
    assert!(directory.path().join(name()).exists());
}
