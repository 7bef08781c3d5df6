//! What a topic inherits, and the upkeep of logs.

use super::reason::{CLEANER, CODEC_LEVELS, JOURNAL, OTHER_FILES};

rows! {
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
    "log.cleaner.backoff.ms": Long = Some("15000"), AtLeast(0), ClusterWide, Honoured =>
        "How long the log cleaner sleeps when it finds nothing to do.";
    "log.cleaner.dedupe.buffer.size": Long = Some("134217728"), Any, ClusterWide, Honoured =>
        "The most memory of the log cleaner's key maps, of all shards together; each is only as large as its \
         log needs, and only while that is compacted.";
    "log.cleaner.delete.retention.ms": Long = Some("86400000"), AtLeast(0), ClusterWide, Honoured =>
        "How long a compacted topic keeps tombstones, where it has no delete.retention.ms of its own.";
    "log.cleaner.enable": Boolean = Some("true"), Any, ReadOnly, Honoured =>
        "Whether logs are compacted at all.";
    "log.cleaner.io.buffer.load.factor": Double = Some("0.9"), Any, ClusterWide, Honoured =>
        "How full the log cleaner's key map may become.";
    "log.cleaner.io.buffer.size": Int = Some("524288"), AtLeast(0), ClusterWide, Without(CLEANER) =>
        "Memory of the log cleaner's I/O buffers.";
    "log.cleaner.io.max.bytes.per.second": Double = Some("1.7976931348623157E308"),
        Any,
        ClusterWide, Honoured =>
        "The most bytes per second the log cleaner reads and writes, on all shards together.";
    "log.cleaner.max.compaction.lag.ms": Long = Some("9223372036854775807"),
        AtLeast(1),
        ClusterWide, Honoured =>
        "After how long a record must have been compacted, where the topic has no max.compaction.lag.ms \
         of its own.";
    "log.cleaner.min.cleanable.ratio": Double = Some("0.5"), RealBetween(0.0, 1.0), ClusterWide, Honoured =>
        "The share of uncompacted log at which compaction begins, where the topic has no \
         min.cleanable.dirty.ratio of its own.";
    "log.cleaner.min.compaction.lag.ms": Long = Some("0"), AtLeast(0), ClusterWide, Honoured =>
        "For how long a record is not compacted, where the topic has no min.compaction.lag.ms of its own.";
    "log.cleaner.threads": Int = Some("1"), AtLeast(0), ClusterWide, Without(CLEANER) =>
        "How many threads compact logs.";
    "log.cleanup.policy": List = Some("delete"), ListOf(&["compact", "delete"]), ClusterWide, Honoured =>
        "What becomes of old segments, where the topic has no cleanup.policy of its own.";
    "log.dir.failure.timeout.ms": Long = Some("30000"), AtLeast(1), ReadOnly, Without(JOURNAL) =>
        "How long a broker that cannot tell the quorum of a failed directory keeps running.";
    "log.flush.interval.messages": Long = Some("1"), AtLeast(1), ClusterWide, Honoured =>
        "After how many messages a log is flushed; 1, the default here and not Kafka's, flushes every \
         append before it is acknowledged.";
    "log.flush.interval.ms": Long = None, Any, ClusterWide, Honoured =>
        "After how long a log is flushed at the latest; has an effect only where \
         log.flush.interval.messages is above 1.";
    "log.flush.offset.checkpoint.interval.ms": Int = Some("60000"), AtLeast(0), ReadOnly, Without(JOURNAL) =>
        "How often the offset up to which logs are flushed is recorded.";
    "log.flush.scheduler.interval.ms": Long = Some("9223372036854775807"), Any, ReadOnly, Honoured =>
        "Stands in for log.flush.interval.ms where that is not given.";
    "log.flush.start.offset.checkpoint.interval.ms": Int = Some("60000"),
        AtLeast(0),
        ReadOnly, Without(JOURNAL) =>
        "How often the offsets at which logs start are recorded.";
    "log.index.interval.bytes": Int = Some("4096"), AtLeast(0), ClusterWide, Honoured =>
        "How many bytes of log lie between two entries of an offset index.";
    "log.index.size.max.bytes": Int = Some("10485760"), AtLeast(4), ClusterWide, Without(OTHER_FILES) =>
        "The largest index of a segment; a full one ends the segment.";
    "log.initial.task.delay.ms": Long = Some("30000"), AtLeast(0), Internal, Without(JOURNAL) =>
        "How long after the start background work on logs begins.";
    "log.local.retention.bytes": Long = Some("-2"), AtLeast(-2), ClusterWide, Refused("tiered storage") =>
        "How many bytes of a tiered partition stay on the local disk.";
    "log.local.retention.ms": Long = Some("-2"), AtLeast(-2), ClusterWide, Refused("tiered storage") =>
        "How long records of a tiered partition stay on the local disk.";
    "log.message.timestamp.after.max.ms": Long = Some("3600000"), AtLeast(0), ClusterWide, Honoured =>
        "How far ahead of this broker's clock a record's timestamp may lie.";
    "log.message.timestamp.before.max.ms": Long = Some("9223372036854775807"),
        AtLeast(0),
        ClusterWide, Honoured =>
        "How far behind this broker's clock a record's timestamp may lie.";
    "log.message.timestamp.type": String = Some("CreateTime"),
        OneOf(&["CreateTime", "LogAppendTime"]),
        ClusterWide, Honoured =>
        "Whose time a record bears: its producer's (CreateTime) or the leader's at append (LogAppendTime).";
    "log.preallocate": Boolean = Some("false"), Any, ClusterWide, Without(OTHER_FILES) =>
        "Whether a segment's whole size is reserved on disk when it is created.";
    "log.retention.bytes": Long = Some("-1"), Any, ClusterWide, Honoured =>
        "The bytes of a partition beyond which its oldest segments are deleted; -1 is no bound.";
    "log.retention.check.interval.ms": Long = Some("300000"), AtLeast(1), ReadOnly, Honoured =>
        "How often segments that may be deleted are looked for.";
    "log.retention.hours": Int = Some("168"), Any, ReadOnly, Honoured =>
        "How many hours segments are kept, where neither log.retention.ms nor log.retention.minutes is \
         given.";
    "log.retention.minutes": Int = None, Any, ReadOnly, Honoured =>
        "How many minutes segments are kept, where log.retention.ms is not given.";
    "log.retention.ms": Long = None, Any, ClusterWide, Honoured =>
        "How long segments are kept; -1 is for ever.";
    "log.roll.hours": Int = Some("168"), AtLeast(1), ReadOnly, Honoured =>
        "After how many hours a new segment begins, where log.roll.ms is not given.";
    "log.roll.jitter.hours": Int = Some("0"), AtLeast(0), ReadOnly, Honoured =>
        "The most hours by which the beginning of a new segment is varied, where log.roll.jitter.ms is \
         not given.";
    "log.roll.jitter.ms": Long = None, Any, ClusterWide, Honoured =>
        "The most by which the beginning of a new segment is varied, so that not all partitions roll at \
         once.";
    "log.roll.ms": Long = None, Any, ClusterWide, Honoured =>
        "After how long a new segment begins, full or not.";
    "log.segment.bytes": Int = Some("1073741824"), AtLeast(1048576), ClusterWide, Honoured =>
        "The size of a segment file.";
    "log.segment.delete.delay.ms": Long = Some("60000"), AtLeast(0), ClusterWide, Without(OTHER_FILES) =>
        "How long after its removal from the log a segment's file is deleted.";
    "min.insync.replicas": Int = Some("1"), AtLeast(1), ClusterWide, Honoured =>
        "How many replicas, the leader included, must have a record before acks=all is answered.";
    "unclean.leader.election.enable": Boolean = Some("false"), Any, ClusterWide, Honoured =>
        "Whether a replica that may lack acknowledged records may become leader when no other is left.";
    "unclean.leader.election.interval.ms": Long = Some("300000"), AtLeast(1), Internal, Honoured =>
        "How often partitions that wait for an unclean election are looked at.";
}
