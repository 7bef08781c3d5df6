//! A topic's settings.

use super::reason::{CODEC_LEVELS, INTERNAL, OTHER_FILES};

rows! {
    "cleanup.policy": List = Some("delete"), ListOf(&["compact", "delete"]), ClusterWide, Honoured =>
        "What becomes of old segments: delete, compact, both, or nothing.";
    "compression.gzip.level": Int = Some("-1"), GzipLevel, ClusterWide, Without(CODEC_LEVELS) =>
        "The level at which gzip compresses where the broker does; -1 is the codec's own.";
    "compression.lz4.level": Int = Some("9"), Between(1, 17), ClusterWide, Without(CODEC_LEVELS) =>
        "The level at which lz4 compresses where the broker does.";
    "compression.type": String = Some("producer"),
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]),
        ClusterWide, Honoured =>
        "How batches are stored: as the producer sent them, uncompressed, or with one codec for all.";
    "compression.zstd.level": Int = Some("3"), Between(-131072, 22), ClusterWide, Without(CODEC_LEVELS) =>
        "The level at which zstd compresses where the broker does.";
    "delete.retention.ms": Long = Some("86400000"), AtLeast(0), ClusterWide, Honoured =>
        "How long a compacted topic keeps tombstones.";
    "file.delete.delay.ms": Long = Some("60000"), AtLeast(0), ClusterWide, Without(OTHER_FILES) =>
        "How long after its removal from the log a segment's file is deleted.";
    "flush.messages": Long = Some("1"), AtLeast(1), ClusterWide, Honoured =>
        "After how many messages the log is flushed; 1, the default here and not Kafka's, flushes every \
         append before it is acknowledged.";
    "flush.ms": Long = Some("9223372036854775807"), AtLeast(0), ClusterWide, Honoured =>
        "After how long the log is flushed at the latest; has an effect only where flush.messages is \
         above 1.";
    "follower.replication.throttled.replicas": List = Some(""),
        ThrottledReplicas,
        ClusterWide, Honoured =>
        "Which replicas are throttled on the brokers that follow with them, partition:broker, or * for all.";
    "index.interval.bytes": Int = Some("4096"), AtLeast(0), ClusterWide, Honoured =>
        "How many bytes of log lie between two entries of the offset index.";
    "internal.segment.bytes": Int = None, Any, Internal, Without(INTERNAL) =>
        "The size of a segment, for tests.";
    "leader.replication.throttled.replicas": List = Some(""),
        ThrottledReplicas,
        ClusterWide, Honoured =>
        "Which replicas are throttled on the brokers that lead with them, partition:broker, or * for all.";
    "local.retention.bytes": Long = Some("-2"), AtLeast(-2), ClusterWide, Refused("tiered storage") =>
        "How many bytes of a tiered partition stay on the local disk.";
    "local.retention.ms": Long = Some("-2"), AtLeast(-2), ClusterWide, Refused("tiered storage") =>
        "How long records of a tiered partition stay on the local disk.";
    "max.compaction.lag.ms": Long = Some("9223372036854775807"), AtLeast(1), ClusterWide, Honoured =>
        "After how long a record must have been compacted.";
    "max.message.bytes": Int = Some("1048588"), AtLeast(0), ClusterWide, Honoured =>
        "The largest record batch, as stored, that the topic accepts.";
    "message.timestamp.after.max.ms": Long = Some("3600000"), AtLeast(0), ClusterWide, Honoured =>
        "How far ahead of the broker's clock a record's timestamp may lie.";
    "message.timestamp.before.max.ms": Long = Some("9223372036854775807"),
        AtLeast(0),
        ClusterWide, Honoured =>
        "How far behind the broker's clock a record's timestamp may lie.";
    "message.timestamp.type": String = Some("CreateTime"),
        OneOf(&["CreateTime", "LogAppendTime"]),
        ClusterWide, Honoured =>
        "Whose time a record bears: its producer's (CreateTime) or the leader's at append (LogAppendTime).";
    "min.cleanable.dirty.ratio": Double = Some("0.5"), RealBetween(0.0, 1.0), ClusterWide, Honoured =>
        "The share of uncompacted log at which compaction begins.";
    "min.compaction.lag.ms": Long = Some("0"), AtLeast(0), ClusterWide, Honoured =>
        "For how long a record is not compacted.";
    "min.insync.replicas": Int = Some("1"), AtLeast(1), ClusterWide, Honoured =>
        "How many replicas, the leader included, must have a record before acks=all is answered.";
    "preallocate": Boolean = Some("false"), Any, ClusterWide, Without(OTHER_FILES) =>
        "Whether a segment's whole size is reserved on disk when it is created.";
    "remote.log.copy.disable": Boolean = Some("false"), Any, ClusterWide, Refused("tiered storage") =>
        "Whether copying to the remote tier is stopped.";
    "remote.log.delete.on.disable": Boolean = Some("false"), Any, ClusterWide, Refused("tiered storage") =>
        "Whether tiered data is deleted when tiering is turned off.";
    "remote.storage.enable": Boolean = Some("false"), Any, ClusterWide, Refused("tiered storage") =>
        "Whether the topic has a remote tier.";
    "retention.bytes": Long = Some("-1"), Any, ClusterWide, Honoured =>
        "The bytes of a partition beyond which its oldest segments are deleted; -1 is no bound.";
    "retention.ms": Long = Some("604800000"), AtLeast(-1), ClusterWide, Honoured =>
        "How long segments are kept; -1 is for ever.";
    "segment.bytes": Int = Some("1073741824"), AtLeast(1048576), ClusterWide, Honoured =>
        "The size of a segment file.";
    "segment.index.bytes": Int = Some("10485760"), AtLeast(4), ClusterWide, Without(OTHER_FILES) =>
        "The largest index of a segment; a full one ends the segment.";
    "segment.jitter.ms": Long = Some("0"), AtLeast(0), ClusterWide, Honoured =>
        "The most by which the beginning of a new segment is varied, so that not all partitions roll at \
         once.";
    "segment.ms": Long = Some("604800000"), AtLeast(1), ClusterWide, Honoured =>
        "After how long a new segment begins, full or not.";
    "unclean.leader.election.enable": Boolean = Some("false"), Any, ClusterWide, Honoured =>
        "Whether a replica that may lack acknowledged records may become leader when no other is left.";
}
