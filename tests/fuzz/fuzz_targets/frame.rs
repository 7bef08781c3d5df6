//! Any bytes as a request frame: header, guard and decoder, of every key that can be decoded. Fails when the guard
//! lets through what the decoder refuses, or when the way in allocates more than its budget.

#![no_main]

#[path = "../../../core/tests/wire_support/allocation.rs"]
mod allocation;

use allocation::{Counting, INCIDENTALS_BYTES, allocated_by};
use corelane_core::wire::{fuzz_frame, guard};
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fuzz_target!(|frame: &[u8]| {
    let ((), allocated) = allocated_by(|| fuzz_frame(frame));
    // The copy of the frame that `fuzz_frame` makes is not decoding's.
    let budget = frame.len() + guard::decode_budget_bytes(frame.len()) + INCIDENTALS_BYTES;
    assert!(allocated <= budget, "{allocated} bytes for a frame of {}", frame.len());
});
