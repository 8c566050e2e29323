use super::*;
use crate::testing::{make_directory, own_directory, set_mode};
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

#[test]
fn a_directory_is_used_only_if_no_other_user_could_replace_its_files() {
    let (root, us, other) = (0, 1000, 1001);
    let good =
        [(us, 0o755), (us, 0o700), (root, 0o755), (root, 0o1777), (us, 0o1777), (us, 0o1770), (us, 0o3775)];
    for (owner, mode) in good {
        assert!(check(Path::new("/run/x"), owner, mode, us).is_ok(), "{owner} {mode:o}");
    }
    let bad = [
        (other, 0o755, "so that its owner could"),
        (other, 0o700, "so that its owner could"),
        // The sticky bit does not bind the owner.
        (other, 0o1777, "so that its owner could"),
        (us, 0o775, "so that its group could"),
        (root, 0o770, "so that its group could"),
        (root, 0o2775, "so that its group could"),
        (us, 0o777, "so that anybody could"),
        (root, 0o702, "so that anybody could"),
    ];
    for (owner, mode, why) in bad {
        let error = check(Path::new("/run/x"), owner, mode, us).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let error = error.to_string();
        let found =
            format!("`/run/x` belongs to uid {owner} and has mode {mode:04o}, {why} replace the socket; ");
        assert!(error.starts_with(&found) && error.contains("expected an owner of uid 1000 or 0"), "{error}");
    }
    assert!(check(Path::new("/run/x"), us, 0o755, root).is_err(), "root trusts only root");
}

#[test]
fn a_directory_above_that_others_may_write_to_is_found_and_named() {
    let directory = own_directory();
    let (open, inner) = (directory.path().join("open"), directory.path().join("open/inner"));
    make_directory(&open, 0o755);
    make_directory(&inner, 0o755);
    open_directory(&inner).unwrap();
    set_mode(&open, 0o777);
    let error = open_directory(&inner).unwrap_err().to_string();
    assert!(error.starts_with(&format!("`{}` belongs to uid ", open.display())), "{error}");
    // A path through it is refused as well.
    let link = directory.path().join("link");
    make_directory(&directory.path().join("closed"), 0o755);
    symlink("open/../closed", &link).unwrap();
    assert!(open_directory(&link).is_err());
}

#[test]
fn the_opened_directory_is_the_one_the_path_leads_to() {
    let directory = own_directory();
    let path = directory.path();
    make_directory(&path.join("a"), 0o755);
    make_directory(&path.join("a/b"), 0o755);
    symlink("a", path.join("relative")).unwrap();
    symlink(path.join("a/b"), path.join("absolute")).unwrap();
    symlink("../relative", path.join("a/chain")).unwrap();
    for way in [
        "a/b",
        "a/./b/",
        "a/b/../b",
        "relative/b",
        "absolute",
        "a/chain/b",
        "absolute/../b",
        "a/chain/chain/b",
    ] {
        let opened = fstat(open_directory(&path.join(way)).unwrap()).unwrap();
        assert_eq!(opened.st_ino, fs::metadata(path.join(way)).unwrap().ino(), "{way}");
    }
    open_directory(Path::new("/")).unwrap();
    fs::write(path.join("file"), "").unwrap();
    symlink("nowhere", path.join("dangling")).unwrap();
    symlink("ring", path.join("ring")).unwrap();
    for (way, kind) in [
        ("missing/b", ErrorKind::NotFound),
        ("dangling", ErrorKind::NotFound),
        ("file", ErrorKind::NotADirectory),
        ("file/b", ErrorKind::NotADirectory),
    ] {
        assert_eq!(open_directory(&path.join(way)).unwrap_err().kind(), kind, "{way}");
    }
    let ring = open_directory(&path.join("ring")).unwrap_err().to_string();
    assert!(ring.starts_with("cannot open the directory `") && ring.contains("/ring`: "), "{ring}");
}

#[test]
fn the_descriptor_is_closed_on_exec() {
    use rustix::io::{FdFlags, fcntl_getfd};
    let directory = own_directory();
    let opened = open_directory(directory.path()).unwrap();
    assert!(fcntl_getfd(&opened).unwrap().contains(FdFlags::CLOEXEC));
}
