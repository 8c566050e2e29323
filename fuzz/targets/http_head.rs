//! The head of a request must be parsed the same however its bytes are split.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| healthboard_endpoint::fuzz_head(bytes));
