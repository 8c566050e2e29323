//! Services of a host that hide, change and get in each other's way.

use super::*;
use crate::now_ns;

fn reports(host: &mut Host) -> Vec<(String, Status, String)> {
    let reports = host.reports(now_ns(), SystemTime::now());
    reports.into_iter().map(|report| (report.service, report.status, report.message)).collect()
}

#[test]
fn what_is_expected_and_has_no_board_was_never_started() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("nova-api")).unwrap();
    let mut host = Host::new(vec![root.path().to_owned()], vec!["nova-compute".to_owned()]);
    let expected =
        ("nova-compute".to_owned(), Status::Fault, "never started: no board of it was found".to_owned());
    assert_eq!(reports(&mut host), [expected]);
    assert!(host.problems().is_empty(), "{:?}", host.problems());
}

#[test]
fn whatever_lies_where_boards_are_expected_is_named_once_and_harms_nobody() {
    let root = tempfile::tempdir().unwrap();
    let service = root.path().join("nova-api");
    std::fs::create_dir(&service).unwrap();
    for number in 0..2000 {
        let bytes: Vec<u8> = (0..number % 3000).map(|byte| (byte * number) as u8).collect();
        std::fs::write(service.join(format!("{number}-x\n.board")), bytes).unwrap();
    }
    std::os::unix::fs::symlink("/etc", root.path().join("link")).unwrap();
    std::fs::write(root.path().join("file"), "").unwrap();
    let named = root.path().join("a name");
    std::fs::create_dir(&named).unwrap();
    std::fs::write(named.join("1-1.board"), "").unwrap();
    let mut host = Host::new(vec![root.path().to_owned(), "/nonexistent".into()], Vec::new());
    let why = "found more than 1024 boards".to_owned();
    let expected = [("nova-api".to_owned(), Status::Degraded, why)];
    assert_eq!(reports(&mut host), expected);
    assert_eq!(host.problems().len(), 1024 + 3);
    assert!(
        host.problems()
            .contains(&format!("`{}` has boards, and a name that no service can have", named.display()))
    );
    assert!(host.problems().iter().all(|problem| !problem.contains('\n')));
    assert!(host.problems().contains("cannot read `/nonexistent`: No such file or directory (os error 2)"));
    assert_eq!(reports(&mut host), expected);
    assert_eq!(host.problems().len(), 1024 + 3, "the same ones again");
    std::fs::remove_dir_all(&service).unwrap();
    assert_eq!(reports(&mut host), []);
    assert_eq!(host.problems().len(), 2);
}

/// A service that is kept by the returned handle.
fn start(name: &str, root: &Path) -> crate::Handle {
    let builder = crate::Service::builder(name).runtime_dir(root).option("uri", "board");
    let handle = builder.start_with(|keeper| keeper.listening(Ok(Vec::new()))).unwrap();
    handle.attach();
    handle.tick();
    handle
}

#[test]
fn a_directory_that_cannot_be_listed_hides_no_service() {
    let parent = tempfile::tempdir().unwrap();
    let (root, away) = (parent.path().join("nova"), parent.path().join("away"));
    std::fs::create_dir(&root).unwrap();
    let service = start("nova-hidden", &root);
    service.indicator("database", crate::Policy::DEFAULT).record_fail(&crate::Failure::new("Gone"));
    let expected = vec!["nova-hidden".to_owned(), "nova-other".to_owned()];
    let mut host = Host::new(vec![root.clone()], expected);
    assert_eq!(reports(&mut host)[1].1, Status::Fault, "never started");
    assert!(!host.is_incomplete());
    std::fs::rename(&root, &away).unwrap();
    std::fs::write(&root, "not a directory").unwrap();
    let found = reports(&mut host);
    assert!(found[0].2.starts_with("cannot read its boards: "), "{found:?}");
    let unknown = format!("not known: `{}` cannot be read", root.display());
    assert_eq!(found[1], ("nova-other".to_owned(), Status::Degraded, unknown));
    assert!(host.is_incomplete());
    std::fs::remove_file(&root).unwrap();
    std::fs::create_dir(&root).unwrap();
    assert_eq!(reports(&mut host)[0].1, Status::Fault, "its directory is empty now");
}

#[test]
fn nobody_takes_over_the_name_of_another_users_service() {
    let root = tempfile::tempdir().unwrap();
    std::fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let (first, own) = (root.path().join("mysqld"), root.path().join("nova"));
    std::fs::create_dir(&own).unwrap();
    let service = start("nova-named", &own);
    service.indicator("database", crate::Policy::DEFAULT).record_fail(&crate::Failure::new("Gone"));
    let mut knows = Host::new(vec![root.path().join("*")], Vec::new());
    assert_eq!(reports(&mut knows).len(), 1);
    std::fs::create_dir_all(first.join("nova-named")).unwrap();
    let mut board = std::fs::read_dir(own.join("nova-named")).unwrap().flatten().map(|entry| entry.path());
    let board = board.find(|path| path.extension().is_some_and(|kind| kind == "board")).unwrap();
    std::fs::copy(&board, first.join("nova-named").join(board.file_name().unwrap())).unwrap();
    for host in [&mut knows, &mut Host::new(vec![root.path().join("*")], Vec::new())] {
        let found = reports(host);
        assert_eq!((found[0].0.as_str(), found[1].0.as_str()), ("nova-named", "nova-named@mysqld"));
        assert!(found[0].2.starts_with("database: Gone"), "{found:?}");
    }
    // As if the name came to another user first.
    let other = root.path().join("a-first");
    std::fs::rename(&own, root.path().join("b-second")).unwrap();
    std::fs::rename(&first, &other).unwrap();
    let owned = [other.join("nova-named"), other.join("nova-named").join(board.file_name().unwrap())];
    if owned.iter().any(|path| std::os::unix::fs::chown(path, Some(65534), None).is_err()) {
        // Only root can give them to another user.
        return;
    }
    let found = reports(&mut Host::new(vec![root.path().join("*")], Vec::new()));
    let of = |name: &str| found.iter().find(|found| found.0 == name).unwrap();
    assert!(of("nova-named@b-second").2.starts_with("database: Gone"), "{found:?}");
    assert_eq!(of("nova-named").1, Status::Fault, "the copy's process is dead: {found:?}");
}

#[test]
fn what_others_put_beside_a_service_does_not_hide_it() {
    let root = tempfile::tempdir().unwrap();
    std::fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let _service = start("host-beside", root.path());
    std::fs::write(root.path().join("x.board"), "").unwrap();
    std::fs::create_dir(root.path().join("y.board")).unwrap();
    (0..1100).for_each(|number| std::fs::create_dir(root.path().join(format!("aa{number}"))).unwrap());
    (0..4200).for_each(|number| std::fs::write(root.path().join(format!("x{number}")), "").unwrap());
    let mut host = Host::new(vec![root.path().to_owned()], Vec::new());
    let is_ok = |(name, status, _): &(String, Status, String)| name == "host-beside" && *status == Status::Ok;
    assert!(reports(&mut host).iter().any(is_ok));
    assert_eq!(host.problems().len(), 2, "{:?}", host.problems());
}

#[test]
fn where_everybody_may_write_only_services_of_this_user_and_of_root_count() {
    let root = tempfile::tempdir().unwrap();
    let _service = start("host-own", root.path());
    let foreign = root.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("1.board"), "").unwrap();
    if std::os::unix::fs::chown(&foreign, Some(65534), None).is_err() {
        // Only root can make the foreign one.
        return;
    }
    let names = |host: &mut Host| host.reports(now_ns(), SystemTime::now()).len();
    let mut host = Host::new(vec![root.path().join("*"), root.path().to_owned()], Vec::new());
    std::fs::set_permissions(root.path(), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    assert_eq!(names(&mut host), 1);
    assert!(host.problems().is_empty(), "{:?}", host.problems());
    let mut host = Host::new(vec![foreign], Vec::new());
    assert_eq!(names(&mut host), 0);
    assert!(host.problems().iter().any(|problem| problem.contains("belongs to another user")));
}

#[test]
fn a_history_of_any_content_is_no_harm_and_what_only_a_reader_sees_is_counted_once() {
    let root = tempfile::tempdir().unwrap();
    let service = start("host-history", root.path());
    let database = service
        .indicator("database", crate::Policy { impact: crate::Impact::Critical, ..crate::Policy::DEFAULT });
    let file = root.path().join("host-history/history.json");
    let write = |history: &History| std::fs::write(&file, serde_json::to_vec(history).unwrap()).unwrap();
    let mut host = Host::new(vec![root.path().to_owned()], Vec::new());
    let history = |host: &mut Host| host.reports(now_ns(), SystemTime::now())[0].history.clone();
    database.record_ok();
    assert_eq!(history(&mut host).count, 0);
    database.record_fail(&crate::Failure::new("Gone"));
    let seen = history(&mut host);
    assert_eq!((seen.count, seen.service.len()), (1, 1), "seen before the holder has written it");
    let mut written = History { count: 7, ..History::clone(&seen) };
    write(&written);
    let read = history(&mut host);
    assert_eq!((read.count, read.service.len()), (7, 1), "the holder has seen the same");
    database.record_ok();
    assert_eq!(history(&mut host).count, 8);
    // Later than anything that was seen.
    written.service.push_back(Change { at_ms: u64::MAX, ..written.service[0].clone() });
    written.count = u64::MAX;
    write(&written);
    assert_eq!(history(&mut host).count, u64::MAX);
    database.record_ok();
    assert_eq!(history(&mut host).count, u64::MAX);
}

#[test]
fn a_clock_that_was_set_back_makes_no_changes_of_its_own() {
    let root = tempfile::tempdir().unwrap();
    let service = start("host-clock", root.path());
    let policy = crate::Policy { impact: crate::Impact::Critical, ..crate::Policy::DEFAULT };
    let file = root.path().join("host-clock/history.json");
    let mut written = History::default();
    // Two hours ahead.
    let at_ms =
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as u64 + 7_200_000;
    written.service.push_back(Change { at_ms, status: Status::Ok, state: None, cause: String::new() });
    let mut host = Host::new(vec![root.path().to_owned()], Vec::new());
    let mut history = |written: &mut History| {
        // Another size, so the file is read again.
        written.count += 1000;
        std::fs::write(&file, serde_json::to_vec(written).unwrap()).unwrap();
        let report = host.reports(now_ns(), SystemTime::now()).remove(0);
        (report.status, report.history.service.iter().map(|change| change.status).collect::<Vec<_>>())
    };
    assert_eq!(history(&mut written), (Status::Ok, vec![Status::Ok]));
    service.indicator("database", policy).record_fail(&crate::Failure::new("Gone"));
    for _ in 0..3 {
        assert_eq!(history(&mut written), (Status::Degraded, vec![Status::Ok, Status::Degraded]));
    }
}
