//! Unusable directories for boards: each is named in one line, and the host runs.

use crate::player::{Player, command, must_be_root};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

/// The result of `start` with this runtime directory, and the notices.
fn start_in(runtime: &Path) -> (String, String) {
    let mut player = Player::of(command("starts", runtime), tempfile::tempdir().unwrap());
    let said = (player.line(), player.line());
    player.go_on();
    assert!(player.child.wait().unwrap().success(), "the host runs");
    said
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_unusable_directory_is_named_with_what_was_found_and_what_is_expected() {
    must_be_root();
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    std::fs::write(path("file"), "").unwrap();
    for name in ["shared", "foreign", "link-inside", "foreign-inside"] {
        std::fs::create_dir(path(name)).unwrap();
    }
    mode(&path("shared"), 0o777);
    chown(path("foreign"), Some(65534), None).unwrap();
    symlink("/tmp", path("link-inside").join("role")).unwrap();
    std::fs::create_dir(path("foreign-inside").join("role")).unwrap();
    chown(path("foreign-inside").join("role"), Some(65534), None).unwrap();
    for (name, found) in [
        ("file", "found a file, expected a directory"),
        ("shared", "of uid 0 with mode 0777, expected a directory of uid 0 or 0"),
        ("foreign", "of uid 65534 with mode 0755"),
        ("link-inside", "found a symbolic link, expected a directory"),
        ("foreign-inside", "of uid 65534 with mode 0755"),
        ("no/such/parent", "No such file or directory"),
    ] {
        let (error, notice) = start_in(&path(name));
        let path = format!("cannot keep boards in `{}", path(name).display());
        assert!(error.contains(found) && error.contains(&path), "{name}: {error}");
        assert!(error.ends_with("the board is in memory, and only this process is served"), "{error}");
        assert_eq!(notice, "-", "{name}: who starts it has the error, and logs it once");
    }
    assert_eq!(
        std::fs::read_dir("/tmp").unwrap().flatten().filter(|e| e.file_name() == "endpoint.lock").count(),
        0
    );
}

#[test]
fn no_other_user_can_write_to_the_directory_of_the_service() {
    let place = tempfile::tempdir().unwrap();
    let runtime = place.path().join("run");
    assert_eq!(start_in(&runtime), ("started".to_owned(), "-".to_owned()));
    let found = std::fs::metadata(runtime.join("role")).unwrap().permissions().mode();
    assert_eq!(found & 0o027, 0, "{found:o}");
    let board = std::fs::read_dir(runtime.join("role")).unwrap().flatten().next().unwrap();
    assert_eq!(board.metadata().unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn the_session_directory_of_another_user_is_not_used() {
    must_be_root();
    let session = tempfile::tempdir().unwrap();
    chown(session.path(), Some(65534), None).unwrap();
    let mut usual = command("finds", Path::new(""));
    usual.env("XDG_RUNTIME_DIR", session.path()).env_remove("RUNTIME_DIRECTORY");
    let mut player = Player::of(usual, tempfile::tempdir().unwrap());
    let (found, said) = (player.line(), player.line());
    assert!(!found.starts_with(session.path().to_str().unwrap()), "{found}");
    assert!(said.contains("found uid 65534") && said.contains(session.path().to_str().unwrap()), "{said}");
    assert_eq!(std::fs::read_dir(session.path()).unwrap().count(), 0);
}

#[test]
fn a_service_name_never_leads_out_of_the_runtime_directory() {
    let place = tempfile::tempdir().unwrap();
    let mut player = Player::of(command("escapes", place.path()), tempfile::tempdir().unwrap());
    assert_eq!(player.line(), "escape _.. _ a_b");
    let said = player.line();
    assert!(said.contains("name of the service: found `..`") && said.contains("using `_..`"), "{said}");
}
