//! The quotas of replication (KIP-73): what a broker moves of throttled partitions, as leader and as follower, against
//! the rate that it is allowed.
//!
//! The rate is the broker's, whichever of its shards own the partitions: one partition that moves may have all of it.
//! So every shard keeps the record of the whole broker, and tells the others at the end of a turn what it has moved
//! itself ([`take_untold`](Quota::take_untold)); each decides by its own copy. What one shard does not know yet of another
//! is what that moved in the time of one message; it is in the record after that, and is waited for.
//!
//! The rules of measuring are Kafka's (`SimpleRate` over `SampledStat`): samples of a fixed length, of which so many are
//! kept; the rate is their sum over the time since the oldest began, at least the length of one.

use crate::config::QuotaSettings;
use corelane_seam::Monotonic;
use std::collections::VecDeque;

/// What waited for its quota is looked at again so long after there is some: in pieces of this much, not in single
/// batches.
const PIECE_MS: u64 = 50;

#[derive(Clone, Copy, Debug)]
struct Sample {
    begin: Monotonic,
    last: Monotonic,
    bytes: u64,
}

/// One direction's quota, and what of it was used.
#[derive(Debug, Default)]
pub(super) struct Quota {
    settings: QuotaSettings,
    /// The oldest first.
    samples: VecDeque<Sample>,
    /// What was moved here and the other shards have not heard of.
    untold: u64,
}

impl Quota {
    /// Takes new settings. What was moved until now counts under them.
    pub fn configure(&mut self, settings: QuotaSettings) {
        self.settings = settings;
        if settings.rate.is_none() {
            self.samples.clear();
            self.untold = 0;
        }
    }

    /// Something of a throttled partition was moved by this shard.
    pub fn moved(&mut self, now: Monotonic, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.settings.rate.is_some() && bytes > 0 {
            self.untold = self.untold.saturating_add(bytes);
            self.record(now, bytes);
        }
    }

    /// Something was moved by another shard.
    pub fn moved_elsewhere(&mut self, now: Monotonic, bytes: u64) {
        if self.settings.rate.is_some() && bytes > 0 {
            self.record(now, bytes);
        }
    }

    /// What the other shards are to be told of.
    pub fn take_untold(&mut self) -> u64 {
        std::mem::take(&mut self.untold)
    }

    fn record(&mut self, now: Monotonic, bytes: u64) {
        let kept = self.kept_ms();
        self.samples.retain(|sample| now < sample.last.after_ms(kept));
        match self.samples.back_mut() {
            Some(sample) if now < sample.begin.after_ms(self.settings.sample_ms) => {
                sample.bytes = sample.bytes.saturating_add(bytes);
                sample.last = sample.last.max(now);
            }
            _ => {
                self.samples.push_back(Sample { begin: now, last: now, bytes });
                // As Kafka: one more than is kept, which may overlap the window.
                if self.samples.len() > self.settings.samples.saturating_add(1) {
                    self.samples.pop_front();
                }
            }
        }
    }

    /// After so long without anything new a sample is gone.
    fn kept_ms(&self) -> u64 {
        self.settings.sample_ms.saturating_mul(u64::try_from(self.settings.samples).unwrap_or(u64::MAX))
    }

    /// What may still be moved now; `None` without bound. Below zero (in its place: `Some(None)`) there is nothing.
    fn balance(&self, now: Monotonic) -> Option<Option<u64>> {
        let rate = u128::from(self.settings.rate?);
        let kept = self.kept_ms();
        let alive = || self.samples.iter().filter(|sample| now < sample.last.after_ms(kept));
        let moved: u128 = alive().map(|sample| u128::from(sample.bytes)).sum();
        let since = alive().next().map_or(0, |oldest| now.since(oldest.begin).as_nanos());
        let elapsed = since.max(u128::from(self.settings.sample_ms) * NS_PER_MS);
        let allowed = rate.saturating_mul(elapsed) / NS_PER_S;
        Some(allowed.checked_sub(moved).map(|left| u64::try_from(left).unwrap_or(u64::MAX)))
    }

    /// Whether more was moved than is allowed.
    pub fn is_exceeded(&self, now: Monotonic) -> bool {
        self.balance(now) == Some(None)
    }

    /// How much a reader who may read at all may read: at least one byte, for the first batch comes whole.
    pub fn room(&self, now: Monotonic) -> usize {
        let left = self.balance(now).map(Option::unwrap_or_default);
        left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX).max(1))
    }

    /// When what waits is to be looked at again: there is quota then, unless something else uses it first.
    pub fn retry_at(&self) -> Monotonic {
        self.free_at().after_ms(PIECE_MS)
    }

    /// From when on the quota is not exceeded, as long as nothing is moved.
    fn free_at(&self) -> Monotonic {
        let rate = match self.settings.rate {
            Some(rate) => u128::from(rate),
            None => return Monotonic(0),
        };
        let mut from = Monotonic(0);
        let mut rest: u128 = self.samples.iter().map(|sample| u128::from(sample.bytes)).sum();
        for oldest in &self.samples {
            let gone = oldest.last.after_ms(self.kept_ms());
            let paid = (rest * NS_PER_S)
                .checked_div(rate)
                // One more: what is allowed is rounded down.
                .and_then(|after| u64::try_from(after + NS_PER_S.checked_div(rate)? + 1).ok())
                .map_or(Monotonic(u64::MAX), |after| Monotonic(oldest.begin.0.saturating_add(after)));
            // Within the length of one sample time does not count.
            let short = rest * NS_PER_S <= rate * u128::from(self.settings.sample_ms) * NS_PER_MS;
            let free = if short { oldest.begin } else { paid };
            if free < gone {
                return free.max(from);
            }
            from = from.max(gone);
            rest -= u128::from(oldest.bytes);
        }
        from
    }
}

const NS_PER_MS: u128 = 1_000_000;
const NS_PER_S: u128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(rate: u64) -> Quota {
        let mut quota = Quota::default();
        quota.configure(QuotaSettings { rate: Some(rate), samples: 11, sample_ms: 1000 });
        quota
    }

    fn at(ms: u64) -> Monotonic {
        Monotonic(5_000_000_000).after_ms(ms)
    }

    #[test]
    fn without_a_rate_nothing_is_counted_and_nothing_is_bounded() {
        let mut quota = Quota::default();
        quota.moved(at(0), 1 << 30);
        assert!(!quota.is_exceeded(at(0)));
        assert_eq!((quota.room(at(0)), quota.take_untold()), (usize::MAX, 0));
    }

    #[test]
    fn what_was_moved_too_much_is_waited_for() {
        let mut quota = quota(1000);
        quota.moved(at(0), 600);
        assert_eq!(quota.room(at(0)), 400, "the first sample counts whole");
        quota.moved_elsewhere(at(10), 1400);
        assert!(quota.is_exceeded(at(10)));
        assert!(quota.is_exceeded(at(1999)));
        assert!(!quota.is_exceeded(at(2000)), "2000 bytes in 2 s");
        assert_eq!(quota.take_untold(), 600, "the others know what they moved themselves");
        assert_eq!(quota.take_untold(), 0);
        let free = quota.free_at();
        assert!(!quota.is_exceeded(free) && free < at(2003), "{free:?}");
    }

    #[test]
    fn a_rate_of_nothing_lets_through_what_comes_first_after_all_is_forgotten() {
        let mut quota = quota(0);
        assert_eq!((quota.is_exceeded(at(0)), quota.room(at(0))), (false, 1));
        quota.moved(at(0), 1);
        assert!(quota.is_exceeded(at(10_999)));
        assert_eq!(quota.free_at(), at(11_000));
        assert!(!quota.is_exceeded(at(11_000)));
    }

    #[test]
    fn the_time_that_is_waited_for_is_the_first_at_which_the_quota_is_free() {
        let mut random = crate::engine::Random(7);
        for case in 0..2000 {
            let rate = random.draw() % 5_000;
            let mut quota = quota(rate);
            let mut ms = 0;
            for _ in 0..random.draw() % 30 {
                ms += random.draw() % 3_000;
                quota.moved(at(ms), usize::try_from(random.draw() % 9_000).unwrap());
            }
            let free = quota.free_at();
            assert!(!quota.is_exceeded(free.max(at(ms))), "case {case}: exceeded at {free:?}");
            if quota.is_exceeded(at(ms)) {
                let slack = 1_000_000 + 2_000_000_000 / rate.max(1);
                assert!(quota.is_exceeded(Monotonic(free.0 - slack).max(at(ms))), "case {case}: free before");
            }
        }
    }

    #[test]
    fn who_takes_only_what_there_is_room_for_stays_within_the_rate_in_every_window() {
        let mut quota = quota(1000);
        let mut moved: Vec<(u64, u64)> = Vec::new();
        for ms in (0..60_000).step_by(7) {
            if !quota.is_exceeded(at(ms)) {
                let bytes = quota.room(at(ms)).min(700);
                quota.moved(at(ms), bytes);
                moved.push((ms, bytes as u64));
            }
        }
        let total: u64 = moved.iter().map(|(_, bytes)| bytes).sum();
        assert!((58_000..=62_000).contains(&total), "{total} bytes in 60 s at 1000 a second");
        for begin in (0..50_000).step_by(500) {
            let within = moved.iter().filter(|(ms, _)| (begin..begin + 10_000).contains(ms));
            let sum: u64 = within.map(|(_, bytes)| bytes).sum();
            assert!(sum <= 13_000, "{sum} bytes in the 10 s from {begin} ms");
        }
    }
}
