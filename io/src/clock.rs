//! The two clocks, read together.

use corelane_seam::{Monotonic, Now};

/// `CLOCK_MONOTONIC` (the one that timers of io_uring use) and the wall clock. Both come from the vDSO: no system call.
pub fn now() -> Now {
    let unix = read(libc::CLOCK_REALTIME);
    Now { monotonic: monotonic(), unix_ms: unix.tv_sec * 1_000 + unix.tv_nsec / 1_000_000 }
}

/// The monotonic clock alone.
pub(crate) fn monotonic() -> Monotonic {
    let time = read(libc::CLOCK_MONOTONIC);
    Monotonic(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec. These clocks exist on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time
}
