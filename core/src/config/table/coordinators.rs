//! Group, share and transaction coordinators.

use super::reason::{GROUPS, SHARE_GROUPS, STREAMS_GROUPS};

const WAITS: &str =
    "a partition is added as soon as the transaction before is completed, without asking again";
const LOADING: &str = "state is loaded in pieces of 256 KiB, between which requests are served";

rows! {
    "add.partitions.to.txn.retry.backoff.max.ms": Int = Some("100"),
        AtLeast(0),
        ReadOnly, Honoured =>
        "The longest wait before the broker asks again to add a partition to a transaction.";
    "add.partitions.to.txn.retry.backoff.ms": Int = Some("20"), AtLeast(1), ReadOnly, Without(WAITS) =>
        "How long the broker waits before it asks again to add a partition to a transaction.";
    "group.consumer.assignment.interval.ms": Int = Some("1000"), AtLeast(0), ClusterWide, Honoured =>
        "How long lies between two assignments of a consumer group.";
    "group.consumer.assignors": List = Some("uniform,range"), ListOf(&["range", "uniform"]), ReadOnly, Honoured =>
        "How partitions may be assigned in consumer groups (KIP-848).";
    "group.consumer.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly, Honoured =>
        "How often members of a consumer group report.";
    "group.consumer.max.assignment.interval.ms": Int = Some("15000"), AtLeast(0), ReadOnly, Honoured =>
        "The longest assignment interval a consumer group may ask for.";
    "group.consumer.max.heartbeat.interval.ms": Int = Some("15000"), AtLeast(1), ReadOnly, Honoured =>
        "The longest heartbeat interval a consumer group may ask for.";
    "group.consumer.max.session.timeout.ms": Int = Some("60000"), AtLeast(1), ReadOnly, Honoured =>
        "The longest session timeout a consumer group may ask for.";
    "group.consumer.max.size": Int = Some("2147483647"), AtLeast(1), ReadOnly, Honoured =>
        "The most members of a consumer group.";
    "group.consumer.migration.policy": String = Some("bidirectional"),
        OneOfAnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]),
        ReadOnly, Honoured =>
        "Whether a group may change between the classic and the consumer protocol while it is in use.";
    "group.consumer.min.assignment.interval.ms": Int = Some("0"), AtLeast(0), ReadOnly, Honoured =>
        "The shortest assignment interval a consumer group may ask for.";
    "group.consumer.min.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly, Honoured =>
        "The shortest heartbeat interval a consumer group may ask for.";
    "group.consumer.min.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly, Honoured =>
        "The shortest session timeout a consumer group may ask for.";
    "group.consumer.regex.refresh.interval.ms": Int = Some("600000"),
        AtLeast(10000),
        Internal, Honoured =>
        "How often subscriptions by regular expression are evaluated anew.";
    "group.consumer.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly, Honoured =>
        "After how long without a heartbeat a member of a consumer group is removed.";
    "group.coordinator.append.linger.ms": Int = Some("-1"), AtLeast(-1), ReadOnly, Without(GROUPS) =>
        "How long the group coordinator gathers records before it writes them; -1 adapts.";
    "group.coordinator.background.threads": Int = Some("2"), AtLeast(1), ReadOnly, Without(GROUPS) =>
        "How many threads do the group coordinator's background work.";
    "group.coordinator.cached.buffer.max.bytes": Int = Some("1048588"),
        AtLeast(524288),
        ClusterWide, Without(GROUPS) =>
        "The largest write buffer the group coordinator keeps for reuse.";
    "group.coordinator.rebalance.protocols": List = Some("classic,consumer,streams"),
        ListOf(&["consumer", "classic", "share", "streams"]),
        ReadOnly, Honoured =>
        "Which group protocols are served.";
    "group.coordinator.threads": Int = Some("4"), AtLeast(1), ReadOnly, Without(GROUPS) =>
        "How many threads the group coordinator has.";
    "group.initial.rebalance.delay.ms": Int = Some("3000"), Any, ReadOnly, Honoured =>
        "How long a new classic group waits for more members before its first rebalance.";
    "group.max.session.timeout.ms": Int = Some("1800000"), Any, ReadOnly, Honoured =>
        "The longest session timeout a member of a classic group may ask for.";
    "group.max.size": Int = Some("2147483647"), AtLeast(1), ReadOnly, Honoured =>
        "The most members of a classic group.";
    "group.min.session.timeout.ms": Int = Some("6000"), Any, ReadOnly, Honoured =>
        "The shortest session timeout a member of a classic group may ask for.";
    "group.share.assignment.interval.ms": Int = Some("1000"),
        AtLeast(0),
        ClusterWide, Without(SHARE_GROUPS) =>
        "How long lies between two assignments of a share group.";
    "group.share.assignors": List = Some("simple"), Any, ReadOnly, Without(SHARE_GROUPS) =>
        "How partitions may be assigned in share groups.";
    "group.share.delivery.count.limit": Int = Some("5"), Between(2, 10), ReadOnly, Without(SHARE_GROUPS) =>
        "How often a record is delivered to a share group before it is given up.";
    "group.share.heartbeat.interval.ms": Int = Some("5000"), AtLeast(1), ReadOnly, Without(SHARE_GROUPS) =>
        "How often members of a share group report.";
    "group.share.initialize.retry.interval.ms": Int = Some("30000"),
        AtLeast(1),
        Internal, Without(SHARE_GROUPS) =>
        "How long a failed initialisation of a share partition waits before its repetition.";
    "group.share.max.assignment.interval.ms": Int = Some("15000"),
        AtLeast(0),
        ReadOnly, Without(SHARE_GROUPS) =>
        "The longest assignment interval a share group may ask for.";
    "group.share.max.delivery.count.limit": Int = Some("10"),
        Between(5, 25),
        ReadOnly, Without(SHARE_GROUPS) =>
        "The highest delivery count limit a share group may ask for.";
    "group.share.max.heartbeat.interval.ms": Int = Some("15000"),
        AtLeast(1),
        ReadOnly, Without(SHARE_GROUPS) =>
        "The longest heartbeat interval a share group may ask for.";
    "group.share.max.partition.max.record.locks": Int = Some("4000"),
        Between(2000, 10000),
        ReadOnly, Without(SHARE_GROUPS) =>
        "The highest number of locked records a share group may ask for.";
    "group.share.max.record.lock.duration.ms": Int = Some("60000"),
        Between(30000, 3600000),
        ReadOnly, Without(SHARE_GROUPS) =>
        "The longest lock of a record a share group may ask for.";
    "group.share.max.session.timeout.ms": Int = Some("60000"), AtLeast(1), ReadOnly, Without(SHARE_GROUPS) =>
        "The longest session timeout a share group may ask for.";
    "group.share.max.share.sessions": Int = Some("2000"), AtLeast(1), ReadOnly, Without(SHARE_GROUPS) =>
        "The most share sessions of a broker.";
    "group.share.max.size": Int = Some("200"), Between(1, 1000), ReadOnly, Without(SHARE_GROUPS) =>
        "The most members of a share group.";
    "group.share.min.assignment.interval.ms": Int = Some("0"), AtLeast(0), ReadOnly, Without(SHARE_GROUPS) =>
        "The shortest assignment interval a share group may ask for.";
    "group.share.min.delivery.count.limit": Int = Some("2"), Between(2, 5), ReadOnly, Without(SHARE_GROUPS) =>
        "The lowest delivery count limit a share group may ask for.";
    "group.share.min.heartbeat.interval.ms": Int = Some("5000"),
        AtLeast(1),
        ReadOnly, Without(SHARE_GROUPS) =>
        "The shortest heartbeat interval a share group may ask for.";
    "group.share.min.partition.max.record.locks": Int = Some("100"),
        Between(100, 2000),
        ReadOnly, Without(SHARE_GROUPS) =>
        "The lowest number of locked records a share group may ask for.";
    "group.share.min.record.lock.duration.ms": Int = Some("15000"),
        Between(1000, 30000),
        ReadOnly, Without(SHARE_GROUPS) =>
        "The shortest lock of a record a share group may ask for.";
    "group.share.min.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly, Without(SHARE_GROUPS) =>
        "The shortest session timeout a share group may ask for.";
    "group.share.partition.max.record.locks": Int = Some("2000"),
        Between(100, 10000),
        ReadOnly, Without(SHARE_GROUPS) =>
        "The most records of a partition that are locked at once.";
    "group.share.persister.class.name": String = Some("org.apache.kafka.server.share.persister.DefaultStatePersister"),
        Any,
        Internal, Without(SHARE_GROUPS) =>
        "The class that keeps the state of share groups.";
    "group.share.record.lock.duration.ms": Int = Some("30000"),
        Between(1000, 3600000),
        ReadOnly, Without(SHARE_GROUPS) =>
        "How long a record given to a member of a share group stays locked.";
    "group.share.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly, Without(SHARE_GROUPS) =>
        "After how long without a heartbeat a member of a share group is removed.";
    "group.streams.assignment.interval.ms": Int = Some("1000"),
        AtLeast(0),
        ClusterWide, Without(STREAMS_GROUPS) =>
        "How long lies between two assignments of a streams group.";
    "group.streams.heartbeat.interval.ms": Int = Some("5000"),
        AtLeast(1),
        ReadOnly, Without(STREAMS_GROUPS) =>
        "How often members of a streams group report.";
    "group.streams.initial.rebalance.delay.ms": Int = Some("3000"),
        AtLeast(0),
        ReadOnly, Without(STREAMS_GROUPS) =>
        "How long a new streams group waits for more members.";
    "group.streams.max.assignment.interval.ms": Int = Some("15000"),
        AtLeast(0),
        ReadOnly, Without(STREAMS_GROUPS) =>
        "The longest assignment interval a streams group may ask for.";
    "group.streams.max.heartbeat.interval.ms": Int = Some("15000"),
        AtLeast(1),
        ReadOnly, Without(STREAMS_GROUPS) =>
        "The longest heartbeat interval a streams group may ask for.";
    "group.streams.max.session.timeout.ms": Int = Some("60000"),
        AtLeast(1),
        ReadOnly, Without(STREAMS_GROUPS) =>
        "The longest session timeout a streams group may ask for.";
    "group.streams.max.size": Int = Some("2147483647"), AtLeast(1), ReadOnly, Without(STREAMS_GROUPS) =>
        "The most members of a streams group.";
    "group.streams.max.standby.replicas": Int = Some("2"), AtLeast(0), ReadOnly, Without(STREAMS_GROUPS) =>
        "The most standby replicas a streams group may ask for.";
    "group.streams.min.assignment.interval.ms": Int = Some("0"),
        AtLeast(0),
        ReadOnly, Without(STREAMS_GROUPS) =>
        "The shortest assignment interval a streams group may ask for.";
    "group.streams.min.heartbeat.interval.ms": Int = Some("5000"),
        AtLeast(1),
        ReadOnly, Without(STREAMS_GROUPS) =>
        "The shortest heartbeat interval a streams group may ask for.";
    "group.streams.min.session.timeout.ms": Int = Some("45000"),
        AtLeast(1),
        ReadOnly, Without(STREAMS_GROUPS) =>
        "The shortest session timeout a streams group may ask for.";
    "group.streams.num.standby.replicas": Int = Some("0"), AtLeast(0), ReadOnly, Without(STREAMS_GROUPS) =>
        "How many standby replicas each stateful task has.";
    "group.streams.session.timeout.ms": Int = Some("45000"), AtLeast(1), ReadOnly, Without(STREAMS_GROUPS) =>
        "After how long without a heartbeat a member of a streams group is removed.";
    "offset.metadata.max.bytes": Int = Some("4096"), Any, ReadOnly, Honoured =>
        "The most bytes of metadata beside a committed offset.";
    "offsets.commit.timeout.ms": Int = Some("5000"), AtLeast(1), ReadOnly, Without(GROUPS) =>
        "How long an offset commit waits for its replicas.";
    "offsets.load.buffer.size": Int = Some("5242880"), AtLeast(1), ReadOnly, Without(GROUPS) =>
        "The bytes read at once while committed offsets are loaded.";
    "offsets.retention.check.interval.ms": Long = Some("600000"), AtLeast(1), ReadOnly, Honoured =>
        "How often expired committed offsets are looked for.";
    "offsets.retention.minutes": Int = Some("10080"), AtLeast(1), ReadOnly, Honoured =>
        "How long the committed offsets of an empty group are kept.";
    "offsets.topic.compression.codec": Int = Some("0"), Any, ReadOnly, Honoured =>
        "The codec of the offsets topic.";
    "offsets.topic.num.partitions": Int = Some("50"), AtLeast(1), ReadOnly, Honoured =>
        "Partitions of the offsets topic.";
    "offsets.topic.replication.factor": Short = Some("3"), AtLeast(1), ReadOnly, Honoured =>
        "Replicas of the offsets topic.";
    "offsets.topic.segment.bytes": Int = Some("104857600"), AtLeast(1), ReadOnly, Honoured =>
        "The size of the offsets topic's segments.";
    "share.coordinator.append.linger.ms": Int = Some("-1"), AtLeast(-1), ReadOnly, Without(SHARE_GROUPS) =>
        "How long the share coordinator gathers records before it writes them; -1 adapts.";
    "share.coordinator.cached.buffer.max.bytes": Int = Some("1048588"),
        AtLeast(524288),
        ClusterWide, Without(SHARE_GROUPS) =>
        "The largest write buffer the share coordinator keeps for reuse.";
    "share.coordinator.cold.partition.snapshot.interval.ms": Int = Some("300000"),
        AtLeast(1),
        Internal, Without(SHARE_GROUPS) =>
        "How often quiet share partitions are recorded whole.";
    "share.coordinator.load.buffer.size": Int = Some("5242880"),
        AtLeast(1),
        ReadOnly, Without(SHARE_GROUPS) =>
        "The bytes read at once while share state is loaded.";
    "share.coordinator.snapshot.update.records.per.snapshot": Int = Some("500"),
        Between(0, 500),
        ReadOnly, Without(SHARE_GROUPS) =>
        "How many updates of share state lie between two whole records of it.";
    "share.coordinator.state.topic.compression.codec": Int = Some("0"),
        Any,
        ReadOnly, Without(SHARE_GROUPS) =>
        "The codec of the share state topic.";
    "share.coordinator.state.topic.min.isr": Short = Some("2"), AtLeast(1), ReadOnly, Without(SHARE_GROUPS) =>
        "How many replicas of the share state topic must have a record before it counts.";
    "share.coordinator.state.topic.num.partitions": Int = Some("50"),
        AtLeast(1),
        ReadOnly, Without(SHARE_GROUPS) =>
        "Partitions of the share state topic.";
    "share.coordinator.state.topic.prune.interval.ms": Int = Some("300000"),
        AtLeast(1),
        Internal, Without(SHARE_GROUPS) =>
        "How often the share state topic is pruned.";
    "share.coordinator.state.topic.replication.factor": Short = Some("3"),
        AtLeast(1),
        ReadOnly, Without(SHARE_GROUPS) =>
        "Replicas of the share state topic.";
    "share.coordinator.state.topic.segment.bytes": Int = Some("104857600"),
        AtLeast(1),
        ReadOnly, Without(SHARE_GROUPS) =>
        "The size of the share state topic's segments.";
    "share.coordinator.threads": Int = Some("1"), AtLeast(1), ReadOnly, Without(SHARE_GROUPS) =>
        "How many threads the share coordinator has.";
    "share.coordinator.write.timeout.ms": Int = Some("5000"), AtLeast(1), ReadOnly, Without(SHARE_GROUPS) =>
        "How long a write of the share coordinator waits for its replicas.";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": Int = Some("10000"),
        AtLeast(1),
        ReadOnly, Honoured =>
        "How often transactions past their timeout are looked for.";
    "transaction.max.timeout.ms": Int = Some("900000"), AtLeast(1), ReadOnly, Honoured =>
        "The longest timeout a transaction may ask for.";
    "transaction.partition.verification.enable": Boolean = Some("true"),
        Any,
        ClusterWide, Honoured =>
        "Whether a partition is checked to be part of its transaction before it is written.";
    "transaction.remove.expired.transaction.cleanup.interval.ms": Int = Some("3600000"),
        AtLeast(1),
        ReadOnly, Honoured =>
        "How often expired transactional ids are looked for.";
    "transaction.state.log.load.buffer.size": Int = Some("5242880"),
        AtLeast(1),
        ReadOnly, Without(LOADING) =>
        "The bytes read at once while transactional state is loaded.";
    "transaction.state.log.min.isr": Int = Some("2"), AtLeast(1), ReadOnly, Honoured =>
        "How many replicas of the transaction topic must have a record before it counts.";
    "transaction.state.log.num.partitions": Int = Some("50"), AtLeast(1), ReadOnly, Honoured =>
        "Partitions of the transaction topic.";
    "transaction.state.log.replication.factor": Short = Some("3"),
        AtLeast(1),
        ReadOnly, Honoured =>
        "Replicas of the transaction topic.";
    "transaction.state.log.segment.bytes": Int = Some("104857600"),
        AtLeast(1),
        ReadOnly, Honoured =>
        "The size of the transaction topic's segments.";
    "transaction.two.phase.commit.enable": Boolean = Some("false"),
        Any,
        ReadOnly, Refused("two-phase commit") =>
        "Whether transactions may take part in a two-phase commit (KIP-939).";
    "transactional.id.expiration.ms": Int = Some("604800000"), AtLeast(1), ReadOnly, Honoured =>
        "How long an idle transactional id is kept.";
}
