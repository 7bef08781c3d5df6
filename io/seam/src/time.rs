//! Time as a value that is passed in: nothing behind the seam reads a clock.

use std::{
    ops::{Add, Sub},
    time::Duration,
};

/// A point on the monotonic clock of the process, in nanoseconds. It says nothing about the calendar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// Time since `earlier`; zero when `earlier` is later (clocks of two cores may be apart by some ns).
    pub fn since(self, earlier: Monotonic) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// The later point, saturating: a deadline of `u64::MAX` ms must not wrap into the past.
    pub fn after_ms(self, ms: u64) -> Monotonic {
        Monotonic(self.0.saturating_add(ms.saturating_mul(1_000_000)))
    }
}

impl Add<Duration> for Monotonic {
    type Output = Monotonic;
    fn add(self, rhs: Duration) -> Monotonic {
        Monotonic(self.0.saturating_add(u64::try_from(rhs.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Monotonic {
    type Output = Duration;
    fn sub(self, rhs: Monotonic) -> Duration {
        self.since(rhs)
    }
}

/// Both clocks at one moment, read once per completion by the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For time-outs and intervals.
    pub monotonic: Monotonic,
    /// Wall clock in milliseconds since 1970, for record timestamps and retention. It may jump.
    pub unix_ms: i64,
}
