//! Tiered storage: not built yet.

rows! {
    "remote.fetch.max.wait.ms": Int = Some("500"), AtLeast(1), ClusterWide, Refused("tiered storage") =>
        "How long a fetch waits for a tiered segment.";
    "remote.list.offsets.request.timeout.ms": Long = Some("30000"),
        AtLeast(1),
        ClusterWide, Refused("tiered storage") =>
        "How long a search for an offset in tiered segments may take.";
    "remote.log.index.file.cache.total.size.bytes": Long = Some("1073741824"),
        AtLeast(1),
        ClusterWide, Refused("tiered storage") =>
        "The bytes of tiered segments' indexes kept on the local disk.";
    "remote.log.index.file.cache.ttl.ms": Long = Some("900000"),
        AtLeast(-1),
        Internal, Refused("tiered storage") =>
        "How long a tiered segment's index stays on the local disk unused.";
    "remote.log.manager.copier.thread.pool.size": Int = Some("10"),
        AtLeast(1),
        ClusterWide, Refused("tiered storage") =>
        "How many threads copy segments to the remote tier.";
    "remote.log.manager.copy.max.bytes.per.second": Long = Some("9223372036854775807"),
        AtLeast(1),
        ClusterWide, Refused("tiered storage") =>
        "The most bytes per second copied to the remote tier.";
    "remote.log.manager.copy.quota.window.num": Int = Some("11"),
        AtLeast(1),
        ReadOnly, Refused("tiered storage") =>
        "How many samples of the copy quota are kept.";
    "remote.log.manager.copy.quota.window.size.seconds": Int = Some("1"),
        AtLeast(1),
        ReadOnly, Refused("tiered storage") =>
        "How long a sample of the copy quota lasts.";
    "remote.log.manager.expiration.thread.pool.size": Int = Some("10"),
        AtLeast(1),
        ClusterWide, Refused("tiered storage") =>
        "How many threads delete expired tiered segments.";
    "remote.log.manager.fetch.max.bytes.per.second": Long = Some("9223372036854775807"),
        AtLeast(1),
        ClusterWide, Refused("tiered storage") =>
        "The most bytes per second fetched from the remote tier.";
    "remote.log.manager.fetch.quota.window.num": Int = Some("11"),
        AtLeast(1),
        ReadOnly, Refused("tiered storage") =>
        "How many samples of the fetch quota are kept.";
    "remote.log.manager.fetch.quota.window.size.seconds": Int = Some("1"),
        AtLeast(1),
        ReadOnly, Refused("tiered storage") =>
        "How long a sample of the fetch quota lasts.";
    "remote.log.manager.follower.thread.pool.size": Int = Some("2"),
        AtLeast(1),
        ClusterWide, Refused("tiered storage") =>
        "How many threads keep followers' view of the remote tier.";
    "remote.log.manager.task.interval.ms": Long = Some("30000"),
        AtLeast(1),
        ReadOnly, Refused("tiered storage") =>
        "How often segments to copy or delete are looked for.";
    "remote.log.manager.task.retry.backoff.max.ms": Long = Some("30000"),
        AtLeast(1),
        Internal, Refused("tiered storage") =>
        "The longest wait before a failed task is repeated.";
    "remote.log.manager.task.retry.backoff.ms": Long = Some("500"),
        AtLeast(1),
        Internal, Refused("tiered storage") =>
        "How long a failed task waits before its repetition.";
    "remote.log.manager.task.retry.jitter": Double = Some("0.2"),
        RealBetween(0.0, 0.5),
        Internal, Refused("tiered storage") =>
        "By how much the repetition of a failed task is varied.";
    "remote.log.manager.thread.pool.size": Int = Some("2"), AtLeast(1), ReadOnly, Refused("tiered storage") =>
        "How many threads run the remote tier's tasks.";
    "remote.log.metadata.custom.metadata.max.bytes": Int = Some("128"),
        AtLeast(0),
        ReadOnly, Refused("tiered storage") =>
        "The most bytes of custom metadata a storage plugin may keep per segment.";
    "remote.log.metadata.manager.class.name": String = Some("org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager"),
        NotEmpty,
        ReadOnly, Refused("tiered storage") =>
        "The class that keeps the remote tier's metadata.";
    "remote.log.metadata.manager.class.path": String = None, Any, ReadOnly, Refused("tiered storage") =>
        "Where the metadata manager's classes are.";
    "remote.log.metadata.manager.impl.prefix": String = Some("rlmm.config."),
        NotEmpty,
        ReadOnly, Refused("tiered storage") =>
        "The prefix of the metadata manager's own settings.";
    "remote.log.metadata.manager.listener.name": String = None,
        NotEmpty,
        ReadOnly, Refused("tiered storage") =>
        "The listener over which the metadata manager reaches brokers.";
    "remote.log.reader.max.pending.tasks": Int = Some("100"),
        AtLeast(1),
        ReadOnly, Refused("tiered storage") =>
        "How many reads of the remote tier may queue.";
    "remote.log.reader.threads": Int = Some("10"), AtLeast(1), ClusterWide, Refused("tiered storage") =>
        "How many threads read from the remote tier.";
    "remote.log.storage.manager.class.name": String = None, NotEmpty, ReadOnly, Refused("tiered storage") =>
        "The class that stores segments in the remote tier.";
    "remote.log.storage.manager.class.path": String = None, Any, ReadOnly, Refused("tiered storage") =>
        "Where the storage manager's classes are.";
    "remote.log.storage.manager.impl.prefix": String = Some("rsm.config."),
        NotEmpty,
        ReadOnly, Refused("tiered storage") =>
        "The prefix of the storage manager's own settings.";
    "remote.log.storage.system.enable": Boolean = Some("false"), Any, ReadOnly, Refused("tiered storage") =>
        "Whether the broker has a remote tier.";
}
