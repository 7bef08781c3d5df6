//! When each record arrives: fixed in advance, whatever the broker does (open loop).

use crate::clock::{SECOND_NS, Timeline};
use std::num::NonZeroU64;

/// At which rate records arrive, over all producers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// So many records per second, evenly spaced, whether or not earlier ones are acknowledged.
    PerSecond(NonZeroU64),
    /// As many as the connections take: a closed loop. Its latencies say how deep the queues are, not how a user
    /// would fare.
    Max,
}

/// The arrivals of one of several producers that share a rate: every `producers`-th record of the whole, beginning
/// with number `index`.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    rate: Rate,
    index: u64,
    producers: u64,
    timeline: Timeline,
    total: u64,
}

impl Schedule {
    /// The share of producer `index` of `producers`.
    ///
    /// # Panics
    /// When `index` is not below `producers`.
    pub fn new(rate: Rate, index: usize, producers: usize, timeline: Timeline) -> Schedule {
        assert!(index < producers, "producer {index} of {producers}");
        let (index, producers) = (index as u64, producers as u64);
        let mut schedule = Schedule { rate, index, producers, timeline, total: u64::MAX };
        if let (Rate::PerSecond(_), Some(last)) = (rate, timeline.end_ns.checked_sub(1)) {
            schedule.total = schedule.arrived(last);
        }
        schedule
    }

    /// Records of this producer over the whole run; under [`Rate::Max`] more than can ever be sent.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// When record `number` (from 0) of this producer arrives; under [`Rate::Max`] always the start.
    pub fn at(&self, number: u64) -> u64 {
        match self.rate {
            Rate::Max => self.timeline.start_ns,
            Rate::PerSecond(rate) => {
                let overall = u128::from(number) * u128::from(self.producers) + u128::from(self.index);
                let offset = overall * u128::from(SECOND_NS) / u128::from(rate.get());
                self.timeline.start_ns.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX))
            }
        }
    }

    /// How many records of this producer have arrived by `now_ns`, that instant included.
    pub fn arrived(&self, now_ns: u64) -> u64 {
        let Some(elapsed) = now_ns.checked_sub(self.timeline.start_ns) else { return 0 };
        match self.rate {
            Rate::Max => u64::MAX,
            Rate::PerSecond(rate) => {
                // Record g arrives at floor(g * second / rate): by `elapsed` those below (elapsed + 1) * rate / second.
                let scaled = (u128::from(elapsed) + 1) * u128::from(rate.get());
                let overall = scaled.div_ceil(u128::from(SECOND_NS));
                let mine =
                    overall.saturating_sub(u128::from(self.index)).div_ceil(u128::from(self.producers));
                u64::try_from(mine).unwrap_or(u64::MAX).min(self.total)
            }
        }
    }

    /// Whether arrivals are fixed in advance.
    pub fn is_open_loop(&self) -> bool {
        matches!(self.rate, Rate::PerSecond(_))
    }

    /// The run's parts.
    pub fn timeline(&self) -> Timeline {
        self.timeline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(rate: u64, index: usize, producers: usize) -> Schedule {
        let timeline = Timeline::new(5 * SECOND_NS, 1.0, 2.0, 1.0);
        Schedule::new(Rate::PerSecond(NonZeroU64::new(rate).unwrap()), index, producers, timeline)
    }

    #[test]
    fn arrived_counts_a_record_from_the_nanosecond_of_its_arrival() {
        for (rate, producers) in [(1, 1), (7, 3), (1000, 2), (333_333, 5), (999_999_937, 4)] {
            for index in 0..producers {
                let schedule = schedule(rate, index, producers);
                for number in (0..50).filter(|number| *number < schedule.total()) {
                    let at = schedule.at(number);
                    assert!(
                        schedule.arrived(at) > number,
                        "{rate}/s, {index} of {producers}, record {number}"
                    );
                    assert!(schedule.arrived(at - 1) <= number, "{rate}/s, record {number} too early");
                }
            }
        }
    }

    #[test]
    fn producers_share_the_rate_without_loss() {
        let whole = schedule(1001, 0, 1).total();
        assert_eq!(whole, 3003);
        assert_eq!((0..7).map(|index| schedule(1001, index, 7).total()).sum::<u64>(), whole);
    }

    #[test]
    fn nothing_arrives_before_the_start_nor_at_the_end() {
        let schedule = schedule(10, 0, 1);
        assert_eq!(schedule.arrived(5 * SECOND_NS - 1), 0);
        assert_eq!(schedule.arrived(5 * SECOND_NS), 1);
        assert_eq!(schedule.arrived(u64::MAX), 30);
        assert!(schedule.at(29) < 8 * SECOND_NS);
    }
}
