//! Any bytes as the files of a data directory. What is done with an input is in `../exercise/recovery.rs`.

#![no_main]

#[path = "../exercise/recovery.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    exercise::exercise(data);
});
