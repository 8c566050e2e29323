use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn settings(runtime: &Path) -> Settings {
    let mut settings = Settings::new("nova-api");
    settings.set("runtime_dir", runtime.to_str().unwrap()).unwrap();
    settings
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_service_has_a_directory_that_nobody_else_writes_to() {
    let place = tempfile::tempdir().unwrap();
    let runtime = place.path().join("run");
    let directory = prepare(&settings(&runtime)).unwrap();
    assert_eq!(directory, runtime.join("nova-api"));
    assert_eq!(directory.metadata().unwrap().mode() & 0o027, 0);
    assert_eq!(prepare(&settings(&runtime)).unwrap(), directory);
}

#[test]
fn a_place_that_others_can_change_is_refused_by_name() {
    let place = tempfile::tempdir().unwrap();
    let refused = |found: &str, expected: &str| {
        let error = prepare(&settings(place.path())).unwrap_err().to_string();
        assert!(error.contains(found) && error.contains(expected), "{error}");
    };
    mode(place.path(), 0o777);
    refused("mode 0777", "expected a directory of uid");
    mode(place.path(), 0o1777);
    let directory = prepare(&settings(place.path())).unwrap();
    mode(&directory, 0o775);
    refused("mode 0775", "that nobody else writes to");
    std::fs::remove_dir(&directory).unwrap();
    symlink("/tmp", &directory).unwrap();
    refused("no directory", "that nobody else writes to");
    std::fs::remove_file(&directory).unwrap();
    std::fs::write(&directory, "").unwrap();
    refused("no directory", "that nobody else writes to");
}

#[test]
fn a_directory_of_another_user_is_refused() {
    // SAFETY: geteuid has no preconditions.
    if unsafe { libc::geteuid() } != 0 {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(place.path(), Some(65534), None).unwrap();
    let error = prepare(&settings(place.path())).unwrap_err().to_string();
    assert!(error.contains("of uid 65534"), "{error}");
}
