//! What the group coordinator is told.

use super::settings::Settings;
use crate::records::Codec;

/// Settings of groups and of the topic that holds them.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupsConfig {
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: u64,
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max_ms: i32,
    /// `group.max.size`.
    pub size_max: usize,
    /// How long a new member may wait for its first rebalance without a heartbeat (5 minutes, as in Kafka).
    pub new_member_join_timeout_ms: u64,
    /// `offset.metadata.max.bytes`, which Kafka counts in UTF-16 units.
    pub offset_metadata_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub expiry_check_ms: u64,
    /// `offsets.topic.num.partitions`: when the topic is created.
    pub topic_partitions: i32,
    /// `offsets.topic.replication.factor`, if it was set: unset it is 3, or as many brokers as there are.
    pub topic_replication_factor: Option<i16>,
    /// `offsets.topic.segment.bytes`: when the topic is created.
    pub topic_segment_bytes: i32,
    /// `offsets.topic.compression.codec`.
    pub topic_codec: Codec,
    /// Groups of the new protocol.
    pub consumer: ConsumerGroupsConfig,
}

/// Settings of groups of the new protocol (KIP-848), `group.consumer.*`. Times hold for groups that have none of their own
/// ([`GroupConfig`](super::GroupConfig)).
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerGroupsConfig {
    /// Whether `consumer` is among `group.coordinator.rebalance.protocols`.
    pub enabled: bool,
    /// `session.timeout.ms`.
    pub session_timeout_ms: i32,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval_ms: i32,
    /// `assignment.interval.ms` (KIP-1263): a target assignment is computed this often at most.
    pub assignment_interval_ms: i32,
    /// `max.size`.
    pub size_max: usize,
    /// `assignors`: the first is used where members ask for none.
    pub assignors: Vec<String>,
    /// `migration.policy`.
    pub migration: Migration,
    /// `regex.refresh.interval.ms`.
    pub regex_refresh_ms: i64,
}

/// Which way a group that is in use may change between the protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migration {
    /// From classic to consumer.
    pub upgrade: bool,
    /// From consumer to classic.
    pub downgrade: bool,
}

impl GroupsConfig {
    pub(super) fn new(settings: &Settings) -> GroupsConfig {
        let size = |name: &str| usize::try_from(settings.integer(name)).unwrap_or(0);
        let replication = settings.given("offsets.topic.replication.factor");
        GroupsConfig {
            initial_rebalance_delay_ms: settings.size("group.initial.rebalance.delay.ms"),
            session_timeout_min_ms: settings.int("group.min.session.timeout.ms"),
            session_timeout_max_ms: settings.int("group.max.session.timeout.ms"),
            size_max: size("group.max.size"),
            new_member_join_timeout_ms: 5 * 60 * 1000,
            offset_metadata_max: size("offset.metadata.max.bytes"),
            offsets_retention_ms: settings.integer("offsets.retention.minutes").saturating_mul(60_000),
            expiry_check_ms: settings.size("offsets.retention.check.interval.ms"),
            topic_partitions: settings.int("offsets.topic.num.partitions"),
            topic_replication_factor: replication.and_then(|(_, value)| value.parse().ok()),
            topic_segment_bytes: settings.int("offsets.topic.segment.bytes"),
            topic_codec: i16::try_from(settings.integer("offsets.topic.compression.codec"))
                .ok()
                .and_then(Codec::from_number)
                .unwrap_or(Codec::None),
            consumer: ConsumerGroupsConfig::new(settings),
        }
    }
}

impl ConsumerGroupsConfig {
    fn new(settings: &Settings) -> ConsumerGroupsConfig {
        let policy = settings.text("group.consumer.migration.policy").unwrap_or_default();
        let is = |word: &str| policy.eq_ignore_ascii_case(word);
        let protocols = settings.list("group.coordinator.rebalance.protocols");
        ConsumerGroupsConfig {
            enabled: protocols.iter().any(|protocol| protocol == "consumer"),
            session_timeout_ms: settings.int("group.consumer.session.timeout.ms"),
            heartbeat_interval_ms: settings.int("group.consumer.heartbeat.interval.ms"),
            assignment_interval_ms: settings.int("group.consumer.assignment.interval.ms"),
            size_max: usize::try_from(settings.int("group.consumer.max.size")).unwrap_or(0),
            assignors: settings.list("group.consumer.assignors"),
            migration: Migration {
                upgrade: is("upgrade") || is("bidirectional"),
                downgrade: is("downgrade") || is("bidirectional"),
            },
            regex_refresh_ms: settings.integer("group.consumer.regex.refresh.interval.ms"),
        }
    }
}
