//! What one topic is told, and what it inherits from the broker.

use super::{BrokerConfig, DescribedConfig};
use imbl::OrdMap;

/// When appends are flushed.
///
/// Kafka's default of `flush.messages` is "never"; here it is 1: every append is flushed with its group before it is
/// acknowledged to acks=all (design: nothing acknowledged is lost). `flush.ms` is an upper bound, which flushing
/// with every group keeps, so setting it alone changes nothing; raising `flush.messages` gives the promise up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushPolicy {
    /// With every group; the watermark follows what is flushed.
    EveryGroup,
    /// After so many messages or so long, whichever comes first; the watermark follows what is written.
    Interval {
        /// `flush.messages`, `None` for never.
        messages: Option<i64>,
        /// `flush.ms`, `None` for never.
        ms: Option<i64>,
    },
}

/// `cleanup.policy`: both may be set. Neither keeps everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments are deleted by retention.
    pub delete: bool,
    /// Only the last record of each key is kept (not built yet: refused where it is set).
    pub compact: bool,
}

/// `compression.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// Kept as the producer sent it.
    Producer,
    /// Stored uncompressed.
    Uncompressed,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

/// `message.timestamp.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The leader's clock at append.
    LogAppendTime,
}

/// One topic's settings: its own, else the broker's, else the default.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// `cleanup.policy`.
    pub cleanup: CleanupPolicy,
    /// `compression.type`.
    pub compression: CompressionType,
    /// `compression.gzip.level`, 1 to 9, or -1 for the codec's own.
    pub gzip_level: i32,
    /// `compression.lz4.level`.
    pub lz4_level: i32,
    /// `compression.zstd.level`.
    pub zstd_level: i32,
    /// `delete.retention.ms`: how long a compacted topic keeps a tombstone.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `flush.messages` and `flush.ms`.
    pub flush: FlushPolicy,
    /// `index.interval.bytes`.
    pub index_interval_bytes: i32,
    /// `max.compaction.lag.ms`.
    pub compaction_lag_ms_max: i64,
    /// `min.compaction.lag.ms`.
    pub compaction_lag_ms_min: i64,
    /// `max.message.bytes`: of one record batch, as it is stored.
    pub message_bytes_max: i32,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_ms_max: i64,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_ms_max: i64,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `min.cleanable.dirty.ratio`.
    pub cleanable_dirty_ratio_min: f64,
    /// `min.insync.replicas`.
    pub insync_replicas_min: i32,
    /// `preallocate`.
    pub preallocate: bool,
    /// `retention.bytes`, per partition; `None` without bound.
    pub retention_bytes: Option<i64>,
    /// `retention.ms`; `None` without bound.
    pub retention_ms: Option<i64>,
    /// `segment.bytes`.
    pub segment_bytes: i32,
    /// `segment.index.bytes`.
    pub segment_index_bytes: i32,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
}

impl TopicConfig {
    /// The topic's own settings over the broker's. Overrides that do not read are passed over: they were checked by
    /// [`validate`] before they were recorded.
    pub fn resolve(broker: &BrokerConfig, overrides: &OrdMap<String, String>) -> TopicConfig {
        unimplemented!("{broker:?} {overrides:?}")
    }
}

/// Whether a topic setting may have this value.
///
/// # Errors
/// Kafka's text, for INVALID_CONFIG.
pub fn validate(name: &str, value: &str) -> Result<(), String> {
    unimplemented!("{name} {value}")
}

/// Whether a topic's settings agree with each other; each was validated by itself.
///
/// # Errors
/// Kafka's text, for INVALID_CONFIG.
pub fn validate_together(broker: &BrokerConfig, overrides: &OrdMap<String, String>) -> Result<(), String> {
    unimplemented!("{broker:?} {overrides:?}")
}

/// Every setting of a topic, or those among `keys`, as DescribeConfigs tells it, in the order of names.
pub fn describe_topic(
    broker: &BrokerConfig,
    overrides: &OrdMap<String, String>,
    keys: Option<&[&str]>,
) -> Vec<DescribedConfig> {
    unimplemented!("{broker:?} {overrides:?} {keys:?}")
}
