//! Any bytes as a partition's records. What is done with an input is in `../exercise/batch.rs`.

#![no_main]

#[path = "../exercise/batch.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|data: &[u8]| exercise::exercise(data));
