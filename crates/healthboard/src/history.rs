//! The file beside the boards that keeps a service's [`History`].

use crate::board::place::Place;
use crate::read::open;
use crate::verdict::History;
use rustix::fs::OFlags;
use std::collections::BTreeMap;
use std::io::{self, Read};

/// The name of the file.
pub(crate) const FILE: &str = "history.json";

/// The largest file that is written or read, in bytes. Nine indicators with 32 changes each take a sixth of it.
const MAX_BYTES: usize = 256 << 10;

/// The recent changes of the service whose boards are here. Empty if there is no file or it cannot be read: a history must
/// never prevent an answer.
pub fn read_history(place: &Place) -> History {
    let Ok(file) = open(place, FILE, OFlags::RDONLY) else { return History::default() };
    let mut text = String::new();
    match file.take(MAX_BYTES as u64).read_to_string(&mut text) {
        Ok(_) => serde_json::from_str(&text).map(History::bounded).unwrap_or_default(),
        Err(_) => History::default(),
    }
}

/// Replaces the file. Only a holder does this.
///
/// # Errors
///
/// Errors of the file system. The previous file stays then.
pub fn write_history(place: &Place, history: &History) -> io::Result<()> {
    let mut bytes = serde_json::to_vec(history)?;
    if bytes.len() > MAX_BYTES {
        // This takes more indicators than any known service has. Their changes are dropped.
        bytes = serde_json::to_vec(&History { indicators: BTreeMap::new(), ..history.clone() })?;
    }
    place.write_whole(FILE, &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Detail, Impact, PROGRESS, Report, State, Status, judge};
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};

    fn place() -> (tempfile::TempDir, Place) {
        let directory = tempfile::tempdir().unwrap();
        let place = Place::open(directory.path()).unwrap();
        (directory, place)
    }

    fn report(second: u64, status: Status) -> Report {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        Report { status, message: "why\nnot".to_owned(), ..judge("service", &[], second, time) }
    }

    #[test]
    fn the_newest_32_changes_are_kept_and_the_count_of_all() {
        let (_directory, place) = place();
        let mut history = Arc::default();
        assert!(!History::observe(&mut history, &report(0, Status::Ok)), "a service begins OK");
        for second in 1..=40 {
            let status = if second % 2 == 0 { Status::Ok } else { Status::Fault };
            assert!(History::observe(&mut history, &report(second, status)));
            assert!(!History::observe(&mut history, &report(second, status)));
        }
        write_history(&place, &history).unwrap();
        let read = read_history(&place);
        assert_eq!(read, *history);
        assert_eq!((read.count, read.service.len(), read.service[0].at_ms), (40, 32, 9000));
        assert!(!read.service[0].cause.contains('\n'));
        let at = |second, status| Report { history: history.clone(), ..report(second, status) }.since();
        assert_eq!(at(50, Status::Ok), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(40)));
        assert_eq!(at(50, Status::Fault), None, "a change that is not in the history yet");
    }

    #[test]
    fn a_change_that_no_process_could_notice_has_the_time_at_which_it_happened() {
        let unobserved_for = Duration::from_secs(75);
        let mut history = Arc::default();
        History::observe(&mut history, &Report { unobserved_for, ..report(100, Status::Fault) });
        assert_eq!(history.service[0].at_ms, 25_000);
        let (mut hung, mut changed) = (report(100, Status::Fault), Arc::default());
        let beat = Detail {
            status: Status::Fault,
            state: State::Stale,
            impact: Impact::Critical,
            success_age: None,
            failure_age: None,
            failures: 0,
            in_flight: 0,
            oldest_age: None,
            error: None,
            ttl: Duration::from_secs(10),
            message: String::new(),
        };
        hung.details.insert(PROGRESS.to_owned(), beat);
        History::observe(&mut changed, &Report { unobserved_for, ..hung });
        let times = (changed.service[0].at_ms, changed.indicators[PROGRESS][0].at_ms);
        assert_eq!(times, (25_000, 25_000), "one event, one time");
        History::observe(&mut history, &report(110, Status::Ok));
        History::observe(&mut history, &Report { unobserved_for, ..report(120, Status::Fault) });
        assert_eq!(history.service[2].at_ms, 110_000, "not before the change before it");
        History::observe(&mut history, &report(5, Status::Ok));
        assert_eq!(history.service[3].at_ms, 5_000, "the clock was set back");
    }

    #[test]
    fn any_file_is_read_and_a_bad_one_is_an_empty_history() {
        let (directory, place) = place();
        assert_eq!(read_history(&place), History::default());
        let file = directory.path().join(FILE);
        for text in ["", "{", "[]", "{\"count\":-1}", "\u{0}\u{1}", &"[".repeat(200_000)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read_history(&place), History::default(), "{text:.20}");
        }
        std::fs::write(&file, b"\xff\xfe").unwrap();
        assert_eq!(read_history(&place), History::default());
        let change =
            r#"{"at_ms":1,"status":"FAULT","cause":"\u0007CAUSE"}"#.replace("CAUSE", &"x".repeat(5000));
        std::fs::write(&file, format!(r#"{{"service":[{}]}}"#, vec![change; 40].join(","))).unwrap();
        let read = read_history(&place);
        assert_eq!(read.service.len(), 32);
        assert!(
            read.service.iter().all(|change| change.cause.len() <= 160 && !change.cause.contains('\u{7}'))
        );
        // A field of a later version.
        std::fs::write(&file, r#"{"service":[{"at_ms":1,"status":"OK","later":[1]}],"later":{"a":1}}"#)
            .unwrap();
        assert_eq!(read_history(&place).service.len(), 1);
        // A time that no calendar has.
        std::fs::write(&file, format!(r#"{{"service":[{{"at_ms":{},"status":"OK"}}]}}"#, u64::MAX)).unwrap();
        let history = Arc::new(read_history(&place));
        assert!(
            crate::format::json(&Report { history, ..report(1, Status::Ok) }).contains(r#""since":"9999-"#)
        );
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &file).unwrap();
        assert_eq!(read_history(&place), History::default());
    }
}
