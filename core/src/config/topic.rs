//! What one topic is told, and what it inherits from the broker.

use super::{
    broker::BrokerConfig,
    describe::{ConfigSource, DescribedConfig, Synonym},
    table::{self, Row, Scale, Status, Update},
    throttle::ThrottledReplicas,
};
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
    /// Only the last record of each key is kept.
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
    /// `follower.replication.throttled.replicas`.
    pub follower_throttled: ThrottledReplicas,
    /// `leader.replication.throttled.replicas`.
    pub leader_throttled: ThrottledReplicas,
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
        let view = View { broker, overrides };
        let cleanup = view.value("cleanup.policy");
        let unbounded = |value: i64| (value >= 0).then_some(value);
        TopicConfig {
            cleanup: CleanupPolicy {
                delete: table::list(&cleanup).any(|policy| policy == "delete"),
                compact: table::list(&cleanup).any(|policy| policy == "compact"),
            },
            compression: compression(&view.value("compression.type")),
            gzip_level: view.int("compression.gzip.level"),
            lz4_level: view.int("compression.lz4.level"),
            zstd_level: view.int("compression.zstd.level"),
            delete_retention_ms: view.long("delete.retention.ms"),
            file_delete_delay_ms: view.long("file.delete.delay.ms"),
            flush: flush(view.long("flush.messages"), view.long("flush.ms")),
            follower_throttled: ThrottledReplicas::read(
                &view.value("follower.replication.throttled.replicas"),
            ),
            leader_throttled: ThrottledReplicas::read(&view.value("leader.replication.throttled.replicas")),
            index_interval_bytes: view.int("index.interval.bytes"),
            compaction_lag_ms_max: view.long("max.compaction.lag.ms"),
            compaction_lag_ms_min: view.long("min.compaction.lag.ms"),
            message_bytes_max: view.int("max.message.bytes"),
            timestamp_after_ms_max: view.long("message.timestamp.after.max.ms"),
            timestamp_before_ms_max: view.long("message.timestamp.before.max.ms"),
            timestamp_type: match view.value("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            cleanable_dirty_ratio_min: view.parsed("min.cleanable.dirty.ratio"),
            insync_replicas_min: view.int("min.insync.replicas"),
            preallocate: view.boolean("preallocate"),
            retention_bytes: unbounded(view.long("retention.bytes")),
            retention_ms: unbounded(view.long("retention.ms")),
            segment_bytes: view.int("segment.bytes"),
            segment_index_bytes: view.int("segment.index.bytes"),
            segment_jitter_ms: view.long("segment.jitter.ms"),
            segment_ms: view.long("segment.ms"),
            unclean_leader_election: view.boolean("unclean.leader.election.enable"),
        }
    }
}

fn compression(value: &str) -> CompressionType {
    match value {
        "uncompressed" => CompressionType::Uncompressed,
        "gzip" => CompressionType::Gzip,
        "snappy" => CompressionType::Snappy,
        "lz4" => CompressionType::Lz4,
        "zstd" => CompressionType::Zstd,
        _ => CompressionType::Producer,
    }
}

fn flush(messages: i64, ms: i64) -> FlushPolicy {
    // Kafka writes "never" as the largest number there is.
    let bound = |value: i64| (value != i64::MAX).then_some(value);
    if messages <= 1 || ms == 0 {
        FlushPolicy::EveryGroup
    } else {
        FlushPolicy::Interval { messages: bound(messages), ms: bound(ms) }
    }
}

/// One topic's settings: its own over the broker's.
struct View<'a> {
    broker: &'a BrokerConfig,
    overrides: &'a OrdMap<String, String>,
}

impl View<'_> {
    /// The topic's own setting, if it may stand.
    fn own(&self, row: &Row) -> Option<&str> {
        let value = self.overrides.get(row.name)?.trim();
        check(row, value).is_ok().then_some(value)
    }

    /// The value that applies, in the topic's unit; empty where there is none.
    fn effective(&self, row: &Row) -> String {
        if let Some(value) = self.own(row) {
            return value.to_owned();
        }
        let inherited = table::topic_synonyms(row.name).iter().find_map(|(name, scale)| {
            let value = self.broker.settings.text(name)?;
            Some(match (scale, value.parse::<i64>()) {
                (Scale::Same, _) | (_, Err(_)) => value.to_owned(),
                (scale, Ok(number)) => scale.apply(number).to_string(),
            })
        });
        // A policy may be inherited as "nothing"; every other setting has a default on one side or the other.
        inherited.unwrap_or_else(|| match table::topic_synonyms(row.name) {
            [] => row.default.unwrap_or("").to_owned(),
            _ => String::new(),
        })
    }

    fn value(&self, name: &str) -> String {
        self.effective(table::topic_row(name).expect("named in this file, and a test resolves them all"))
    }

    fn parsed<T: std::str::FromStr>(&self, name: &str) -> T {
        self.value(name).parse().ok().expect("only checked values apply, and a default exists")
    }

    fn long(&self, name: &str) -> i64 {
        self.parsed(name)
    }

    fn int(&self, name: &str) -> i32 {
        self.parsed(name)
    }

    fn boolean(&self, name: &str) -> bool {
        table::boolean(&self.value(name)).expect("only checked values apply, and a default exists")
    }
}

/// Whether a topic setting may have this value.
///
/// # Errors
/// Kafka's text, for INVALID_CONFIG.
pub fn validate(name: &str, value: &str) -> Result<(), String> {
    match table::topic_row(name) {
        // What steers Kafka's own tests is nobody's setting here.
        Some(Row { status: Status::Without(_), .. }) | None => {
            Err(format!("Unknown topic config name: {name}"))
        }
        Some(row) => check(row, value.trim()),
    }
}

fn check(row: &Row, value: &str) -> Result<(), String> {
    row.check(value)?;
    let not_built = |feature: &str| {
        let verb = super::read::verb(feature);
        Err(format!("Invalid value {value} for configuration {}: {feature} {verb} not built yet", row.name))
    };
    match row.status {
        Status::Refused(feature) if !row.default.is_some_and(|default| row.same(default, value)) => {
            not_built(feature)
        }
        _ => Ok(()),
    }
}

/// Whether a topic's settings agree with each other; each was validated by itself.
///
/// # Errors
/// Kafka's text, for INVALID_CONFIG.
pub fn validate_together(broker: &BrokerConfig, overrides: &OrdMap<String, String>) -> Result<(), String> {
    let topic = TopicConfig::resolve(broker, overrides);
    let (least, most) = (topic.compaction_lag_ms_min, topic.compaction_lag_ms_max);
    if least > most {
        return Err(format!(
            "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms ({most})"
        ));
    }
    Ok(())
}

/// Every setting of a topic, or those among `keys`, as DescribeConfigs tells it, in the order of names.
pub fn describe_topic(
    broker: &BrokerConfig,
    overrides: &OrdMap<String, String>,
    keys: Option<&[&str]>,
) -> Vec<DescribedConfig> {
    let view = View { broker, overrides };
    let told = table::TOPIC.iter().filter(|row| row.update != Update::Internal);
    told.filter(|row| keys.is_none_or(|keys| keys.contains(&row.name)))
        .map(|row| {
            let names: Vec<_> = table::topic_synonyms(row.name).iter().map(|(name, _)| *name).collect();
            let own = view.own(row).map(|value| Synonym {
                name: row.name,
                value: Some(value.to_owned()),
                source: ConfigSource::Topic,
            });
            let synonyms: Vec<_> = own.into_iter().chain(broker.settings.synonyms(&names)).collect();
            DescribedConfig::alterable(row, Some(view.effective(row)), synonyms)
        })
        .collect()
}
