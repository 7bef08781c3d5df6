//! Any text as the sources of a configuration. What is done with an input is in `../exercise/config.rs`.

#![no_main]

#[path = "../exercise/config.rs"]
mod exercise;

libfuzzer_sys::fuzz_target!(|data: &[u8]| exercise::exercise(data));
