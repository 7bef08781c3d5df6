//! Latencies: from the scheduled arrival of a record to what it waited for.

use hdrhistogram::Histogram;

/// Longest latency that is told apart; longer ones count as this.
pub const LATENCY_NS_MAX: u64 = 3_600 * 1_000_000_000;

/// Latencies in nanoseconds, to three significant digits.
#[derive(Clone, Debug)]
pub struct Latencies {
    histogram: Histogram<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies::new()
    }
}

impl Latencies {
    /// None yet.
    pub fn new() -> Latencies {
        let histogram =
            Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("bounds that the histogram accepts");
        Latencies { histogram }
    }

    /// One record that waited from `from_ns` to `to_ns`.
    pub fn record(&mut self, from_ns: u64, to_ns: u64) {
        self.record_many(from_ns, to_ns, 1);
    }

    /// `count` records that waited alike.
    pub fn record_many(&mut self, from_ns: u64, to_ns: u64, count: u64) {
        self.histogram.saturating_record_n(to_ns.saturating_sub(from_ns).max(1), count);
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Latencies) {
        self.histogram.add(&other.histogram).expect("histograms of the same bounds");
    }

    /// How many records.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The latency that `percent` of the records did not exceed, in milliseconds; none without records.
    pub fn percentile_ms(&self, percent: f64) -> Option<f64> {
        (self.count() > 0).then(|| ms(self.histogram.value_at_percentile(percent)))
    }

    /// The longest, in milliseconds; none without records.
    pub fn max_ms(&self) -> Option<f64> {
        (self.count() > 0).then(|| ms(self.histogram.max()))
    }

    /// The arithmetic mean, in milliseconds; none without records.
    pub fn mean_ms(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.histogram.mean() / 1e6)
    }
}

fn ms(ns: u64) -> f64 {
    ns as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_recorded_values_to_three_digits() {
        let mut latencies = Latencies::new();
        for micros in 1..=10_000 {
            latencies.record(0, micros * 1000);
        }
        for (percent, expected_ms) in [(50.0, 5.0), (90.0, 9.0), (99.0, 9.9), (99.99, 9.999)] {
            let got = latencies.percentile_ms(percent).unwrap();
            assert!((got / expected_ms - 1.0).abs() < 1e-3, "p{percent}: {got}");
        }
        assert!((latencies.max_ms().unwrap() - 10.0).abs() < 0.01);
    }

    #[test]
    fn nothing_recorded_is_no_figure() {
        assert_eq!(Latencies::new().percentile_ms(50.0), None);
        assert_eq!(Latencies::new().max_ms(), None);
    }
}
