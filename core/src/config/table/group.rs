//! A group's settings (Kafka's `GroupConfig`). The broker's of the same meaning is called `group.` and the name.

use super::reason::{SHARE_GROUPS, STREAMS_GROUPS};

rows! {
    "consumer.assignment.interval.ms": Int = Some("1000"), AtLeast(0), ClusterWide, Honoured =>
        "How long lies between two assignments of the consumer group.";
    "consumer.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ClusterWide, Honoured =>
        "How often members of the consumer group report.";
    "consumer.session.timeout.ms": Int = Some("45000"), AtLeast(1), ClusterWide, Honoured =>
        "After how long without a heartbeat a member of the consumer group is removed.";
    "share.assignment.interval.ms": Int = Some("1000"), AtLeast(0), ClusterWide, Without(SHARE_GROUPS) =>
        "How long lies between two assignments of the share group.";
    "share.auto.offset.reset": String = Some("latest"), OffsetReset, ClusterWide, Without(SHARE_GROUPS) =>
        "Where a share group begins to read: earliest, latest, or a duration before now.";
    "share.delivery.count.limit": Int = Some("5"), AtLeast(2), ClusterWide, Without(SHARE_GROUPS) =>
        "How often a record is delivered to the share group before it is given up.";
    "share.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ClusterWide, Without(SHARE_GROUPS) =>
        "How often members of the share group report.";
    "share.isolation.level": String = Some("read_uncommitted"),
        OneOf(&["read_committed", "read_uncommitted"]),
        ClusterWide, Without(SHARE_GROUPS) =>
        "Whether the share group is given records of transactions that are open or were aborted.";
    "share.partition.max.record.locks": Int = Some("2000"),
        AtLeast(100),
        ClusterWide, Without(SHARE_GROUPS) =>
        "The most records of a partition that are locked at once.";
    "share.record.lock.duration.ms": Int = Some("30000"),
        AtLeast(1000),
        ClusterWide, Without(SHARE_GROUPS) =>
        "How long a record given to a member of the share group stays locked.";
    "share.renew.acknowledge.enable": Boolean = Some("true"), Any, ClusterWide, Without(SHARE_GROUPS) =>
        "Whether members of the share group may prolong the lock of a record.";
    "share.session.timeout.ms": Int = Some("45000"), AtLeast(1), ClusterWide, Without(SHARE_GROUPS) =>
        "After how long without a heartbeat a member of the share group is removed.";
    "streams.assignment.interval.ms": Int = Some("1000"),
        AtLeast(0),
        ClusterWide, Without(STREAMS_GROUPS) =>
        "How long lies between two assignments of the streams group.";
    "streams.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ClusterWide, Without(STREAMS_GROUPS) =>
        "How often members of the streams group report.";
    "streams.initial.rebalance.delay.ms": Int = Some("3000"),
        AtLeast(0),
        ClusterWide, Without(STREAMS_GROUPS) =>
        "How long the streams group, while it is new, waits for more members.";
    "streams.num.standby.replicas": Int = Some("0"), AtLeast(0), ClusterWide, Without(STREAMS_GROUPS) =>
        "How many standby replicas each stateful task has.";
    "streams.session.timeout.ms": Int = Some("45000"), AtLeast(1), ClusterWide, Without(STREAMS_GROUPS) =>
        "After how long without a heartbeat a member of the streams group is removed.";
}
