//! At most so many log lines a second: a hostile client must not make the log its weapon.

use corelane_seam::Monotonic;

/// Lines per second.
const LINES_PER_SECOND: u32 = 10;

/// Says which lines may be written.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    second: u64,
    written: u32,
    suppressed: u64,
}

impl LogLimit {
    /// Whether a line may be written now, and how many were left out before it.
    pub fn allow(&mut self, now: Monotonic) -> Option<u64> {
        let second = now.0 / 1_000_000_000;
        if second != self.second {
            self.second = second;
            self.written = 0;
        }
        if self.written < LINES_PER_SECOND {
            self.written += 1;
            return Some(std::mem::take(&mut self.suppressed));
        }
        self.suppressed += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_rate_are_counted_and_told_with_the_next() {
        let mut limit = LogLimit::default();
        let written = (0..15).filter(|_| limit.allow(Monotonic(5)).is_some()).count();
        assert_eq!(written, 10);
        assert_eq!(limit.allow(Monotonic(1_000_000_000)), Some(5));
    }
}
