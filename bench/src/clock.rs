//! Time for schedules and latencies: nanoseconds of one monotonic clock, passed in wherever a decision is made.

use std::{
    sync::OnceLock,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// One second in nanoseconds.
pub const SECOND_NS: u64 = 1_000_000_000;

/// Nanoseconds since the first call in this process: what a record carries from its producer to its consumer here.
pub fn now_ns() -> u64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let elapsed = ORIGIN.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970, as record timestamps count.
pub fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Sleeps until `until_ns` of [`now_ns`]; returns at once if that is past.
pub fn sleep_until(until_ns: u64) {
    let now = now_ns();
    if until_ns > now {
        thread::sleep(Duration::from_nanos(until_ns - now));
    }
}

/// When a run begins, from when on it counts, and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeline {
    /// Arrivals begin.
    pub start_ns: u64,
    /// What is scheduled from here on is measured; before it, caches and the peer's compiler warm up.
    pub measure_ns: u64,
    /// Arrivals end.
    pub end_ns: u64,
    /// What is not acknowledged by then counts as unacknowledged.
    pub drain_ns: u64,
}

impl Timeline {
    /// Starting at `start_ns`, with the lengths of its three parts in seconds.
    pub fn new(start_ns: u64, warmup_s: f64, seconds: f64, drain_s: f64) -> Timeline {
        let ns =
            |seconds: f64| Duration::from_secs_f64(seconds).as_nanos().try_into().unwrap_or(u64::MAX / 8);
        let measure_ns = start_ns + ns(warmup_s);
        let end_ns = measure_ns + ns(seconds);
        Timeline { start_ns, measure_ns, end_ns, drain_ns: end_ns + ns(drain_s) }
    }

    /// Whether an instant lies in the measured part.
    pub fn measures(&self, at_ns: u64) -> bool {
        (self.measure_ns..self.end_ns).contains(&at_ns)
    }

    /// Length of the measured part.
    pub fn measured_seconds(&self) -> f64 {
        Duration::from_nanos(self.end_ns - self.measure_ns).as_secs_f64()
    }
}
