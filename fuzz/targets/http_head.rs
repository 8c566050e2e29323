//! The head of a request: whether it is read the same however it is cut on its way.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| healthboard_endpoint::fuzz_head(bytes));
