//! Log compaction: of each key, the last record stays (Kafka's `LogCleaner`).
//!
//! A [`Pass`] over one log has two halves. The first reads the dirty segments and notes in an [`OffsetMap`] where each
//! key stands last; the second reads every segment up to there, writes what stays into new files, and has each group of
//! segments replaced by one. The pass decides and remembers; the store carries its operations out, one slice at a time,
//! and swaps what is finished.
//!
//! Offsets never change, so a compacted log has holes. The last batch of every file stays, empty if need be: a file's
//! content tells where it ends, and segments go on bordering on each other.

mod offset_map;
mod pass;
mod plan;
mod target;
#[cfg(test)]
mod tests;
mod transactions;

pub(super) use offset_map::OffsetMap;
pub(super) use pass::{Next, Pass, Step};
pub(super) use plan::Cleanable;
pub(super) use target::{Replacement, Trouble};

/// What the cleaner of one shard is told. One log is cleaned at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanerSettings {
    /// Whether logs are compacted at all (`log.cleaner.enable`).
    pub enabled: bool,
    /// From a search that found nothing to the next (`log.cleaner.backoff.ms`).
    pub backoff_ms: u64,
    /// Most memory of the map of keys: this shard's share of `log.cleaner.dedupe.buffer.size`.
    pub map_bytes_max: u64,
    /// How full the map may become, from 0 to 1 (`log.cleaner.io.buffer.load.factor`).
    pub map_load_max: f64,
    /// Bytes read and written per second: this shard's share of `log.cleaner.io.max.bytes.per.second`; `None` without
    /// bound.
    pub bytes_per_second_max: Option<f64>,
}

impl Default for CleanerSettings {
    /// Kafka's defaults.
    fn default() -> Self {
        CleanerSettings {
            enabled: true,
            backoff_ms: 15_000,
            map_bytes_max: 128 << 20,
            map_load_max: 0.9,
            bytes_per_second_max: None,
        }
    }
}

impl CleanerSettings {
    /// How long `bytes` take at the allowed rate, in milliseconds.
    pub fn pause_ms(&self, bytes: u64) -> u64 {
        let Some(rate) = self.bytes_per_second_max.filter(|rate| *rate > 0.0) else { return 0 };
        // A byte per second is the slowest there is. A cast from a float saturates.
        (bytes as f64 * 1000.0 / rate.max(1.0)) as u64
    }
}
