//! Latencies, in windows and in all.

use std::{
    io::Write,
    time::{Duration, Instant},
};

/// How many latencies are kept for the percentiles.
const SAMPLES_MAX: u64 = 500_000;

pub struct Stats {
    began: Instant,
    /// One in so many is kept.
    sampling: u64,
    samples: Vec<Duration>,
    total: Sum,
    window: Sum,
    window_began: Instant,
    interval: Duration,
    is_steady: bool,
    is_quiet: bool,
    is_told: bool,
}

#[derive(Clone, Copy, Default)]
struct Sum {
    count: u64,
    bytes: u64,
    latency: Duration,
    longest: Duration,
}

impl Sum {
    fn add(&mut self, latency: Duration, bytes: usize) {
        self.count += 1;
        self.bytes += bytes as u64;
        self.latency += latency;
        self.longest = self.longest.max(latency);
    }

    /// Records and MiB in a second.
    fn rates(&self, elapsed: Duration) -> (f64, f64) {
        let seconds = elapsed.as_secs_f64().max(1e-9);
        (self.count as f64 / seconds, self.bytes as f64 / seconds / (1024.0 * 1024.0))
    }

    fn mean_ms(&self) -> f64 {
        if self.count == 0 { 0.0 } else { millis(self.latency) / self.count as f64 }
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

impl Stats {
    pub fn new(records: u64, interval: Duration, is_steady: bool) -> Stats {
        let now = Instant::now();
        Stats {
            began: now,
            sampling: (records / records.clamp(1, SAMPLES_MAX)).max(1),
            samples: Vec::new(),
            total: Sum::default(),
            window: Sum::default(),
            window_began: now,
            interval,
            is_steady,
            is_quiet: false,
            is_told: false,
        }
    }

    /// From now on windows are not told.
    pub fn be_quiet(&mut self) {
        self.is_quiet = true;
    }

    pub fn record(&mut self, latency: Duration, bytes: usize) {
        if self.total.count.is_multiple_of(self.sampling) {
            self.samples.push(latency);
        }
        self.total.add(latency, bytes);
        self.window.add(latency, bytes);
        let elapsed = self.window_began.elapsed();
        if elapsed < self.interval {
            return;
        }
        if !self.is_quiet {
            let steady = if self.is_steady && !self.is_told { "In steady state.\n" } else { "" };
            self.is_told = true;
            // Told by the sender's thread, which has no console; what cannot be told is not missed.
            let _ = writeln!(std::io::stdout(), "{steady}{}", window_line(&self.window, elapsed));
        }
        self.window = Sum::default();
        self.window_began = Instant::now();
    }

    /// How many records were sent.
    pub fn count(&self) -> u64 {
        self.total.count
    }

    /// The last line.
    pub fn total(&mut self) -> String {
        let (records, megabytes) = self.total.rates(self.began.elapsed());
        self.samples.sort_unstable();
        let percentile = |share: f64| {
            let at = (share * self.samples.len() as f64) as usize;
            self.samples.get(at.min(self.samples.len().saturating_sub(1))).map_or(0, Duration::as_millis)
        };
        let steady = if self.is_steady { " steady state" } else { "" };
        format!(
            "{}{steady} records sent, {records:.6} records/sec ({megabytes:.2} MB/sec), {:.2} ms avg latency, {:.2} ms max \
             latency, {} ms 50th, {} ms 95th, {} ms 99th, {} ms 99.9th.",
            self.total.count,
            self.total.mean_ms(),
            millis(self.total.longest),
            percentile(0.5),
            percentile(0.95),
            percentile(0.99),
            percentile(0.999)
        )
    }
}

fn window_line(window: &Sum, elapsed: Duration) -> String {
    let (records, megabytes) = window.rates(elapsed);
    format!(
        "{} records sent, {records:.1} records/sec ({megabytes:.2} MB/sec), {:.1} ms avg latency, {:.1} ms max latency.",
        window.count,
        window.mean_ms(),
        millis(window.longest)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_form_that_scripts_parse() {
        let mut stats = Stats::new(4, Duration::from_secs(5), false);
        for latency in [1, 2, 3, 10] {
            stats.record(Duration::from_millis(latency), 1024 * 1024);
        }
        let line = window_line(&stats.window, Duration::from_secs(2));
        assert_eq!(
            line,
            "4 records sent, 2.0 records/sec (2.00 MB/sec), 4.0 ms avg latency, 10.0 ms max latency."
        );
        let line = stats.total();
        assert!(line.starts_with("4 records sent, "), "{line}");
        let end =
            "4.00 ms avg latency, 10.00 ms max latency, 3 ms 50th, 10 ms 95th, 10 ms 99th, 10 ms 99.9th.";
        assert!(line.ends_with(end), "{line}");
    }

    #[test]
    fn many_records_are_sampled() {
        let mut stats = Stats::new(2 * SAMPLES_MAX, Duration::from_secs(5), true);
        (0..10).for_each(|_| stats.record(Duration::ZERO, 0));
        assert_eq!(stats.samples.len(), 5);
        assert!(stats.total().starts_with("10 steady state records sent"));
    }
}
