use super::*;

fn holder(directory: &Path) -> Lock {
    Lock::try_take(directory).unwrap().unwrap()
}

#[test]
fn one_holds_and_the_next_one_when_it_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = holder(directory.path());
    assert!(Lock::try_take(directory.path()).unwrap().is_none());
    assert!(first.is_held().unwrap());
    drop(first);
    holder(directory.path());
}

#[test]
fn a_lock_file_that_somebody_removed_is_put_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = holder(directory.path());
    std::fs::remove_file(directory.path().join("endpoint.lock")).unwrap();
    assert!(first.is_held().unwrap());
    assert!(Lock::try_take(directory.path()).unwrap().is_none());
    // Somebody put an empty one there.
    std::fs::write(directory.path().join("other"), "").unwrap();
    std::fs::rename(directory.path().join("other"), directory.path().join("endpoint.lock")).unwrap();
    assert!(first.is_held().unwrap());
    assert!(Lock::try_take(directory.path()).unwrap().is_none());
}

#[test]
fn a_frozen_holder_loses_its_place_and_learns_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut frozen = holder(directory.path());
    assert!(silence(directory.path()).unwrap() < FROZEN);
    let long_ago = healthboard::now_ns() - 10_000_000_000;
    frozen.file.write_all_at(&long_ago.to_ne_bytes(), 0).unwrap();
    assert!(silence(directory.path()).unwrap() > FROZEN);

    let mut next = Lock::take_from_frozen(directory.path()).unwrap();
    assert!(silence(directory.path()).unwrap() < FROZEN);
    assert!(next.is_held().unwrap());
    assert!(!frozen.is_held().unwrap());
    drop(frozen);
    assert!(next.is_held().unwrap());
}

#[test]
fn what_is_no_file_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("endpoint.lock");
    std::fs::create_dir(&path).unwrap();
    assert!(Lock::try_take(directory.path()).is_err());
    std::fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
    assert!(Lock::try_take(directory.path()).is_err());
}
