//! The clock that recorded disks and clients share.

/// `CLOCK_MONOTONIC` in nanoseconds: comparable between processes of one machine.
pub fn monotonic_ns() -> u64 {
    corelane_io::now().monotonic.0
}

/// Milliseconds since 1970.
pub fn unix_ms() -> i64 {
    corelane_io::now().unix_ms
}
