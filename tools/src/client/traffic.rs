//! What the connections of one client moved, as Kafka's clients count it (`Selector`, `SenderMetricsRegistry`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Shared by all connections of a client, whichever thread has them.
#[derive(Debug, Default)]
pub struct Traffic {
    open: AtomicU64,
    opened: AtomicU64,
    requests: AtomicU64,
    answers: AtomicU64,
    bytes_out: AtomicU64,
    bytes_in: AtomicU64,
    latency_us: AtomicU64,
    longest_us: AtomicU64,
}

impl Traffic {
    /// A request of so many bytes has left.
    pub(super) fn sent(&self, bytes: usize) {
        self.requests.fetch_add(1, Relaxed);
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }

    /// An answer of so many bytes came.
    pub(super) fn received(&self, bytes: usize) {
        self.answers.fetch_add(1, Relaxed);
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    /// The answer to a request took so long.
    pub(super) fn answered(&self, after: Duration) {
        let us = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        self.latency_us.fetch_add(us, Relaxed);
        self.longest_us.fetch_max(us, Relaxed);
    }

    /// Every count by Kafka's name.
    pub fn counts(&self) -> [(&'static str, f64); 6] {
        let count = |of: &AtomicU64| of.load(Relaxed) as f64;
        [
            ("connection-count", count(&self.open)),
            ("connection-creation-total", count(&self.opened)),
            ("request-total", count(&self.requests)),
            ("response-total", count(&self.answers)),
            ("outgoing-byte-total", count(&self.bytes_out)),
            ("incoming-byte-total", count(&self.bytes_in)),
        ]
    }

    /// How long answers took, in ms: on average, which is not a number while there was none, and at most.
    pub fn latencies(&self) -> [(&'static str, f64); 2] {
        let ms = |of: &AtomicU64| of.load(Relaxed) as f64 / 1000.0;
        let answers = self.answers.load(Relaxed) as f64;
        [
            ("request-latency-avg", ms(&self.latency_us) / answers),
            ("request-latency-max", if answers > 0.0 { ms(&self.longest_us) } else { f64::NAN }),
        ]
    }
}

/// A connection that is open for as long as this lives.
#[derive(Debug)]
pub(super) struct Open(Arc<Traffic>);

impl Open {
    pub fn new(traffic: &Arc<Traffic>) -> Open {
        traffic.open.fetch_add(1, Relaxed);
        traffic.opened.fetch_add(1, Relaxed);
        Open(Arc::clone(traffic))
    }

    pub fn traffic(&self) -> &Traffic {
        &self.0
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_is_counted_and_connections_while_they_are_open() {
        let traffic = Arc::new(Traffic::default());
        assert!(traffic.latencies().iter().all(|(_, ms)| ms.is_nan()), "there was no answer");
        let open = Open::new(&traffic);
        drop(Open::new(&traffic));
        open.traffic().sent(10);
        open.traffic().sent(20);
        open.traffic().received(7);
        open.traffic().answered(Duration::from_millis(3));
        let counts = traffic.counts().map(|(_, count)| count);
        assert_eq!(counts, [1.0, 2.0, 2.0, 1.0, 30.0, 7.0]);
        assert_eq!(traffic.latencies().map(|(_, ms)| ms), [3.0, 3.0]);
    }
}
