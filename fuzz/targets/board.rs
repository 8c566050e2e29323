//! A file that may be a board, its verdict, and every answer for it.
//!
//! Each input is read as it is, and again with its checksums corrected. The last eight bytes are the time of the
//! verdict.

#![no_main]

use healthboard::{Life, Process, format, fuzz_board, judge, printable, repair_board};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::time::{Duration, SystemTime};

fuzz_target!(|bytes: &[u8]| {
    let Some((board, now)) = bytes.split_last_chunk() else { return };
    let now_ns = u64::from_ne_bytes(*now);
    let as_it_is = fuzz_board(board);
    let mut board = board.to_vec();
    repair_board(&mut board);
    let repaired = fuzz_board(&board);
    assert_eq!(repaired.is_some(), board.len() >= 1024, "a board with correct checksums is accepted");
    for process in [as_it_is, repaired].into_iter().flatten() {
        verdict(process, now_ns);
    }
});

/// The verdict of one process, and of the same process beside a dead one with the same evidence.
fn verdict(process: Process, now_ns: u64) {
    for indicator in &process.indicators {
        assert_eq!(printable(&indicator.name), *indicator.name);
        let error = indicator.evidence.error.as_ref().map(ToString::to_string).unwrap_or_default();
        assert_eq!(printable(&error), error);
    }
    let dead = Process { life: Life::Dead, id: process.id.wrapping_add(1), ..process.clone() };
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(now_ns >> 20);
    for processes in [&[process.clone()][..], &[process, dead]] {
        let report = judge("fuzzed", processes, now_ns, time);
        format::parse(&format::json(&report)).expect("an answer that the command can read");
        serde_json::from_str::<Value>(&format::health_json(&report)).expect("JSON");
        let line = format::text(&report);
        assert_eq!(format!("{}\n", printable(line.trim_end_matches('\n'))), line);
        format::livez(&report, true);
        format::readyz(&report, &[], true);
    }
}
