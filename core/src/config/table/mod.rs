//! The tables: a row per key, and what a row knows how to do.
//!
//! Names, types, defaults and ranges were read from Kafka 4.3.0's own definitions.

mod row;

/// Writes a table as `name: kind = default, valid, update, status => "sentence";`.
macro_rules! rows {
    ($($name:literal: $kind:ident = $default:expr, $valid:expr, $update:ident, $status:expr => $doc:literal;)*) => {
        use super::row::{Kind, Row, Status::*, Update, Valid::*};

        /// The rows, by name.
        pub static ROWS: &[Row] = &[$(Row {
            name: $name,
            kind: Kind::$kind,
            default: $default,
            valid: $valid,
            update: Update::$update,
            status: $status,
            doc: $doc,
        }),*];
    };
}

mod client_metrics;
mod coordinators;
mod group;
mod logs;
mod node;
mod quorum;
mod reason;
mod remote;
mod removed;
mod security;
mod topic;

pub use removed::removed;
#[cfg(test)]
pub use row::Valid;
pub use row::{Kind, Row, Status, Update};
pub(crate) use row::{boolean, list, throttled_replica};

/// The parts of the broker's table, with the manual's heading for each.
pub static BROKER: [(&str, &[Row]); 6] = [
    ("The node", node::ROWS),
    ("Logs", logs::ROWS),
    ("Quorum, replication, metrics", quorum::ROWS),
    ("Coordinators", coordinators::ROWS),
    ("Security and quotas", security::ROWS),
    ("Tiered storage", remote::ROWS),
];

/// A topic's table.
pub static TOPIC: &[Row] = topic::ROWS;

/// A group's table.
pub static GROUP: &[Row] = group::ROWS;

/// A table for subscriptions of client metrics.
pub static CLIENT_METRICS: &[Row] = client_metrics::ROWS;

/// Every broker row, by part.
pub fn broker_rows() -> impl Iterator<Item = &'static Row> {
    BROKER.iter().flat_map(|(_, rows)| rows.iter())
}

/// The broker's row of this name.
pub fn broker_row(name: &str) -> Option<&'static Row> {
    BROKER.iter().find_map(|(_, rows)| find(rows, name))
}

/// A topic's row of this name.
pub fn topic_row(name: &str) -> Option<&'static Row> {
    find(TOPIC, name)
}

/// A group's row of this name.
pub fn group_row(name: &str) -> Option<&'static Row> {
    find(GROUP, name)
}

/// The row of this name for subscriptions of client metrics.
pub fn client_metrics_row(name: &str) -> Option<&'static Row> {
    find(CLIENT_METRICS, name)
}

/// Under which broker settings a topic's setting may stand, and how such a value becomes the topic's: in the order
/// in which they win.
pub fn topic_synonyms(name: &str) -> &'static [(&'static str, Scale)] {
    use Scale::{Hours, Minutes, Same};
    match name {
        "cleanup.policy" => &[("log.cleanup.policy", Same)],
        "compression.gzip.level" => &[("compression.gzip.level", Same)],
        "compression.lz4.level" => &[("compression.lz4.level", Same)],
        "compression.type" => &[("compression.type", Same)],
        "compression.zstd.level" => &[("compression.zstd.level", Same)],
        "delete.retention.ms" => &[("log.cleaner.delete.retention.ms", Same)],
        "file.delete.delay.ms" => &[("log.segment.delete.delay.ms", Same)],
        "flush.messages" => &[("log.flush.interval.messages", Same)],
        "flush.ms" => &[("log.flush.interval.ms", Same), ("log.flush.scheduler.interval.ms", Same)],
        "index.interval.bytes" => &[("log.index.interval.bytes", Same)],
        "local.retention.bytes" => &[("log.local.retention.bytes", Same)],
        "local.retention.ms" => &[("log.local.retention.ms", Same)],
        "max.compaction.lag.ms" => &[("log.cleaner.max.compaction.lag.ms", Same)],
        "max.message.bytes" => &[("message.max.bytes", Same)],
        "message.timestamp.after.max.ms" => &[("log.message.timestamp.after.max.ms", Same)],
        "message.timestamp.before.max.ms" => &[("log.message.timestamp.before.max.ms", Same)],
        "message.timestamp.type" => &[("log.message.timestamp.type", Same)],
        "min.cleanable.dirty.ratio" => &[("log.cleaner.min.cleanable.ratio", Same)],
        "min.compaction.lag.ms" => &[("log.cleaner.min.compaction.lag.ms", Same)],
        "min.insync.replicas" => &[("min.insync.replicas", Same)],
        "preallocate" => &[("log.preallocate", Same)],
        "retention.bytes" => &[("log.retention.bytes", Same)],
        "retention.ms" => {
            &[("log.retention.ms", Same), ("log.retention.minutes", Minutes), ("log.retention.hours", Hours)]
        }
        "segment.bytes" => &[("log.segment.bytes", Same)],
        "segment.index.bytes" => &[("log.index.size.max.bytes", Same)],
        "segment.jitter.ms" => &[("log.roll.jitter.ms", Same), ("log.roll.jitter.hours", Hours)],
        "segment.ms" => &[("log.roll.ms", Same), ("log.roll.hours", Hours)],
        "unclean.leader.election.enable" => &[("unclean.leader.election.enable", Same)],
        // The rest is a topic's alone.
        _ => &[],
    }
}

/// Settings of the broker that stand for each other, the winning one first; empty for one that stands alone.
pub fn broker_synonyms(name: &str) -> &'static [&'static str] {
    const GROUPS: [&[&str]; 4] = [
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
        &["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
    ];
    // log.flush.scheduler.interval.ms also means something by itself: in Kafka it is nobody's synonym.
    if name == "log.flush.scheduler.interval.ms" {
        return &[];
    }
    GROUPS.into_iter().find(|group| group.contains(&name)).unwrap_or(&[])
}

/// In what unit a broker's setting states a topic's milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// The same unit.
    Same,
    /// Minutes.
    Minutes,
    /// Hours.
    Hours,
}

impl Scale {
    /// The topic's value for a broker's. "No bound" (below zero) stays as it is.
    pub fn apply(self, value: i64) -> i64 {
        let factor = match self {
            Scale::Same => 1,
            Scale::Minutes => 60_000,
            Scale::Hours => 3_600_000,
        };
        if value < 0 { value } else { value.saturating_mul(factor) }
    }
}

/// Rows are written in the order of their names (a test says so).
fn find(rows: &'static [Row], name: &str) -> Option<&'static Row> {
    rows.binary_search_by(|row| row.name.cmp(name)).ok().map(|place| &rows[place])
}
