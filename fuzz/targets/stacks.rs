//! A file that may say where threads stand, and every answer that is made of it.

#![no_main]

use healthboard::{Stacks, Traced, format, judge, printable};
use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use std::time::SystemTime;

fuzz_target!(|bytes: &[u8]| {
    let Some(stacks) = Stacks::parse(bytes) else { return };
    for place in [stacks.main_place(), stacks.work_place()].into_iter().flatten() {
        assert_eq!(printable(&place), place);
        assert!(place.len() < 500, "{place}");
    }
    let written = stacks.encode();
    assert!(written.len() <= Stacks::MAX_BYTES);
    assert_eq!(Stacks::parse(&written).as_ref(), Some(&stacks), "what is written is what is read");
    let mut report = judge("fuzzed", &[], 1, SystemTime::UNIX_EPOCH);
    report.stacks.push(Traced { pid: 1, stacks: Arc::new(stacks) });
    format::parse(&format::verbose_json(&report)).expect("an answer that the command can read");
    for line in format::verbose_text(&report).lines() {
        assert_eq!(printable(line), line);
    }
});
